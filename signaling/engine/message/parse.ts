import { isToken, readHead } from './head.ts';
import { LIMITS } from './limits.ts';
import { Message } from './message.ts';
import { keyOf } from './names.ts';
import type { ParseFailure, SipHeader } from './sip-message.ts';
import { headerFault, isKnownMethod, requestUriFault, type Fault } from './validate.ts';

/** Headers that an answer is built from (RFC 3261 §8.2.6.2). */
const ANSWER_HEADERS = new Set(['via', 'from', 'to', 'call-id', 'cseq']);

const LF = 0x0a;
const CR = 0x0d;

/** What {@link lengthOf} says when there is no length. */
const ABSENT = -1;
const MALFORMED = -2;
const REPEATED = -3;

/** Start line and headers as a message without its body, and how long that is to be. */
export interface ReadHead {
  readonly result: Message | ParseFailure;
  /** What Content-Length says; -1 without one, and less when nobody can say where the body ends. */
  readonly length: number;
  /** An empty line stands before the end that was given: lines of LF alone, and a body with CRLFs. */
  readonly early: boolean;
}

/**
 * One message from bytes (RFC 3261 §7, §18.3). `datagram`: the body ends with the datagram, or earlier where
 * Content-Length says so. `framed`: the bytes are exactly one message, as a stream framer or a WebSocket gives them.
 * The body is a view of the bytes. Never throws.
 */
export function parseMessage(bytes: Uint8Array, mode: 'datagram' | 'framed'): Message | ParseFailure {
  const buffer = bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let start = 0;
  // Empty lines before the start line are to be ignored (§7.5).
  while (start < buffer.length && (buffer[start] === CR || buffer[start] === LF)) start++;
  if (buffer.length > LIMITS.messageBytes) return refuseHead(buffer, start, 'message');
  const end = findHeadEnd(buffer, start);
  if ((end.at < 0 ? buffer.length : end.at) - start > LIMITS.headerBytes) return refuseHead(buffer, start, 'headers');
  let read = readMessageHead(buffer, start, end.at < 0 ? buffer.length : end.at);
  let { body } = end;
  if (read.early) {
    const at = buffer.indexOf('\n\n', start, 'latin1');
    body = at + 2;
    read = readMessageHead(buffer, start, at);
  }
  const { result, length } = read;
  if (!(result instanceof Message)) return result;
  if (body < 0) return refuse(result, bad('Missing Empty Line After Headers'));
  const lost = lengthFault(length);
  if (lost !== undefined) return refuse(result, bad(lost));
  const there = buffer.length - body;
  if (length > there) return refuse(result, bad('Body Shorter Than Content-Length'));
  // Bytes after the body of a datagram are to be thrown away (§18.3); in a frame they should not be there.
  if (length >= 0 && length < there && mode === 'framed') return refuse(result, bad('Body Longer Than Content-Length'));
  result.body = there === 0 ? EMPTY : buffer.subarray(body, length < 0 ? undefined : body + length);
  return result;
}

const EMPTY = Buffer.alloc(0);

/** The end of the headers' last line and the beginning of the body; -1 when the empty line is not there. */
export function findHeadEnd(buffer: Buffer, from: number): { readonly at: number; readonly body: number } {
  const text = buffer.toString('latin1', from, Math.min(buffer.length, from + LIMITS.headerBytes + 3));
  const crlf = text.indexOf('\n\r\n');
  // The CRLF behind an empty line of LF alone is not of the headers any more.
  if (crlf > 0 && text.charCodeAt(crlf - 1) === LF) return { at: from + crlf - 1, body: from + crlf + 1 };
  if (crlf >= 0) return { at: from + crlf, body: from + crlf + 3 };
  // Lenient peers end lines with LF alone.
  const lf = text.indexOf('\n\n');
  return lf < 0 ? { at: -1, body: -1 } : { at: from + lf, body: from + lf + 2 };
}

/** Reads `[start, end)`, which holds start line and headers without the empty line. */
export function readMessageHead(buffer: Buffer, start: number, end: number): ReadHead {
  const head = readHead(buffer.toString('utf8', start, end));
  const early = head.end >= 0;
  const length = lengthOf(head.headers);
  const message = head.startLine.startsWith('SIP/') ? statusLine(head.startLine) : requestLine(head.startLine);
  if (message instanceof Message) {
    message.headers = head.headers;
    const fault = faultOf(message, head);
    return { result: fault === undefined ? message : refuse(message, fault), length, early };
  }
  if (message.of !== 'request') return { result: { type: 'failure', ...message }, length, early };
  // Answered all the same: CSeq names the method.
  const cseq = head.headers.find(({ key }) => key === 'cseq')?.value ?? '';
  const request = Message.request(/\S+$/.exec(cseq)?.[0] ?? '', '', head.headers);
  return { result: refuse(request, message), length, early };
}

/** What makes a length useless; `undefined` for one that is there, or absent. */
export function lengthFault(length: number): string | undefined {
  if (length >= ABSENT) return undefined;
  return length === REPEATED ? 'Repeated Content-Length Header' : 'Malformed Content-Length Header';
}

function faultOf(message: Message, head: ReturnType<typeof readHead>): Fault | undefined {
  const { limit, problem } = head;
  if (limit !== undefined)
    return { status: 513, reason: limit === 'line' ? 'Header Too Long' : 'Too Many Headers', limit };
  if (message.status === 505) return { status: 505, reason: 'Version Not Supported' };
  if (message.type === 'request') {
    const fault = requestUriFault(message.uri);
    if (fault) return fault;
  }
  return problem === undefined ? headerFault(message) : bad(problem);
}

const bad = (reason: string): Fault => ({ status: 400, reason });

interface BadLine extends Fault {
  readonly of: ParseFailure['of'];
}

/** §7.2: a status of three digits, and a reason that may be empty. */
function statusLine(line: string): Message | BadLine {
  const match = /^SIP\/2\.0[ \t]+([1-6]\d\d)(?:[ \t](.*))?$/i.exec(line);
  if (!match) return { ...bad('Malformed Status Line'), of: 'response' };
  return Message.response(Number(match[1]), match[2] ?? '');
}

/** §7.1: `method SP URI SP version`, single spaces and none at the end. Another version than 2.0 is noted as status 505. */
function requestLine(line: string): Message | BadLine {
  const first = line.indexOf(' ');
  const last = line.lastIndexOf(' ');
  const method = line.slice(0, Math.max(first, 0));
  if (first <= 0 || !(isKnownMethod(method) || isToken(method)))
    return { ...bad('Malformed Request Line'), of: 'unknown' };
  const version = line.slice(last + 1);
  if (version !== 'SIP/2.0' && !/^SIP\/\d+\.\d+$/i.test(version))
    return { ...bad(version === '' ? 'Space At End Of Request Line' : 'Malformed Request Line'), of: 'request' };
  const message = Message.request(method, line.slice(first + 1, Math.max(last, first + 1)));
  if (version !== 'SIP/2.0' && version.toUpperCase() !== 'SIP/2.0') message.status = 505;
  return message;
}

/** Several that say the same are one fault of the sender's, but no doubt about the length. */
function lengthOf(headers: readonly SipHeader[]): number {
  let text: string | undefined;
  for (const { key, value } of headers) {
    if (key !== 'content-length') continue;
    if (text !== undefined && text !== value) return REPEATED;
    text = value;
  }
  if (text === undefined) return ABSENT;
  return /^\d{1,9}$/.test(text) ? Number(text) : MALFORMED;
}

/** A refusal of bytes that are beyond a limit, with what can be read of them. */
export function refuseHead(buffer: Buffer, start: number, limit: 'message' | 'headers'): ParseFailure {
  const fault = {
    status: 513,
    reason: limit === 'headers' ? 'Headers Too Large' : 'Message Too Large',
    limit,
  } as const;
  const { at } = findHeadEnd(buffer, start);
  const end = Math.min(at < 0 ? buffer.length : at, start + LIMITS.headerBytes);
  const { result } = readMessageHead(buffer, start, end);
  return result instanceof Message ? refuse(result, fault) : { ...result, ...fault };
}

/** The failure that a message is, with what its answer is made from. */
export function refuse(message: Message, fault: Fault): ParseFailure {
  const failure: ParseFailure = {
    type: 'failure',
    status: fault.status,
    reason: fault.reason,
    of: message.type,
    ...(fault.limit !== undefined && { limit: fault.limit }),
  };
  if (message.type === 'response' || message.method === 'ACK') return failure;
  const seen = new Set<string>();
  const headers = message.headers.filter((header) => {
    const key = keyOf(header);
    // Of what stands twice the first is answered; Via is a list.
    if (!ANSWER_HEADERS.has(key) || (key !== 'via' && seen.has(key))) return false;
    seen.add(key);
    return true;
  });
  if (!seen.has('via')) return failure;
  return { ...failure, partial: Message.request(message.method, message.uri, headers) };
}
