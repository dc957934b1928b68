import { canonicalName } from './names.ts';
import { Message } from './message.ts';
import type { ParseFailure, SipHeader } from './sip-message.ts';
import { CR, LF, findHeaderEnd } from './bytes.ts';

/** What a peer may send before it is refused: far above what real messages need. */
export const LIMITS = {
  messageBytes: 65_535,
  headerBytes: 32_768,
  headers: 256,
  uriBytes: 8_192,
} as const;

/** Headers that an answer is built from (RFC 3261 §8.2.6.2). */
const ANSWER_HEADERS = new Set(['via', 'from', 'to', 'call-id', 'cseq']);
/** Without these a message cannot be matched to anything (§8.1.1). */
const MANDATORY = ['via', 'from', 'to', 'call-id', 'cseq'] as const;
/** Twice is once too often (§7.3.1): they hold one value. */
const SINGLE = new Set(['from', 'to', 'call-id', 'cseq', 'max-forwards', 'content-length', 'content-type']);

const TOKEN = /^[A-Za-z0-9\-.!%*_+`'~]+$/;

/**
 * One message from bytes (RFC 3261 §7, §18.3). `datagram`: the body ends with the datagram, or earlier where
 * Content-Length says so. `framed`: the bytes are exactly one message, as a stream framer or a WebSocket gives them.
 * Never throws.
 */
export function parseMessage(bytes: Uint8Array, mode: 'datagram' | 'framed'): Message | ParseFailure {
  if (bytes.length > LIMITS.messageBytes) return failure(513, 'Message Too Large');
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let start = 0;
  // Empty lines before the start line are to be ignored (§7.5).
  while (start < buffer.length && (buffer[start] === CR || buffer[start] === LF)) start++;
  const end = findHeaderEnd(buffer, start);
  if (end.length === 0) return failure(400, 'Missing empty line after headers');
  if (end.at - start > LIMITS.headerBytes) return failure(513, 'Headers Too Large');

  const lines = headerLines(buffer.toString('utf8', start, end.at));
  const headers = readHeaders(lines);
  const bodyStart = end.at + end.length;
  if ('type' in headers) return headers;
  const startLine = lines[0] ?? '';
  if (startLine.startsWith('SIP/')) return readResponse(startLine, headers.list, buffer.subarray(bodyStart), mode);
  return readRequest(startLine, headers, buffer.subarray(bodyStart), mode);
}

function headerLines(text: string): string[] {
  const lines = text.split('\n');
  const unfolded: string[] = [];
  for (const raw of lines) {
    const line = raw.endsWith('\r') ? raw.slice(0, -1) : raw;
    const first = line.charCodeAt(0);
    // A line that starts with white space goes on where the last one ended (§7.3.1).
    if ((first === 0x20 || first === 0x09) && unfolded.length > 0) {
      unfolded[unfolded.length - 1] = `${(unfolded.at(-1) as string).trimEnd()} ${line.trim()}`;
    } else {
      unfolded.push(line);
    }
  }
  return unfolded;
}

interface Headers {
  readonly list: SipHeader[];
  readonly problem: string | undefined;
}

function readHeaders(lines: readonly string[]): Headers | ParseFailure {
  if (lines.length - 1 > LIMITS.headers) return failure(513, 'Too Many Headers');
  const list: SipHeader[] = [];
  const seen = new Set<string>();
  let problem: string | undefined;
  for (let i = 1; i < lines.length; i++) {
    const line = lines[i] as string;
    if (line === '') continue;
    const colon = line.indexOf(':');
    const name = colon < 0 ? '' : line.slice(0, colon).trimEnd();
    if (!TOKEN.test(name)) {
      problem ??= 'Malformed header line';
      continue;
    }
    const canonical = canonicalName(name);
    if (SINGLE.has(canonical) && seen.has(canonical)) problem ??= `Repeated ${canonical} header`;
    seen.add(canonical);
    list.push({ name, value: line.slice(colon + 1).trim() });
  }
  return { list, problem };
}

function readResponse(
  startLine: string,
  list: SipHeader[],
  rest: Buffer,
  mode: 'datagram' | 'framed',
): Message | ParseFailure {
  const match = /^SIP\/2\.0[ \t]+([1-6]\d\d)(?:[ \t](.*))?$/i.exec(startLine);
  if (!match) return failure(400, 'Malformed status line');
  const message = Message.response(Number(match[1]), match[2] ?? '', list);
  const problem = checkMandatory(message);
  if (problem !== undefined) return failure(400, problem);
  return withBody(message, rest, mode);
}

function readRequest(
  startLine: string,
  headers: Headers,
  rest: Buffer,
  mode: 'datagram' | 'framed',
): Message | ParseFailure {
  const first = startLine.indexOf(' ');
  const last = startLine.lastIndexOf(' ');
  const method = startLine.slice(0, Math.max(first, 0));
  const version = startLine.slice(last + 1);
  if (first <= 0 || !TOKEN.test(method) || !/^SIP\/\d+\.\d+$/i.test(version))
    return failure(400, 'Malformed request line');
  const uri = startLine.slice(first + 1, Math.max(last, first + 1));
  const message = Message.request(method, uri, headers.list);
  if (!/^SIP\/2\.0$/i.test(version)) return failure(505, 'Version Not Supported', message);
  if (uri.length > LIMITS.uriBytes) return failure(414, 'Request-URI Too Long', message);
  if (uri === '' || /[\s<>"]/.test(uri)) return failure(400, 'Malformed Request-URI', message);
  if (!/^[A-Za-z][A-Za-z0-9+.-]*:./.test(uri)) return failure(400, 'Request-URI Without Scheme', message);
  const problem = headers.problem ?? checkMandatory(message);
  if (problem !== undefined) return failure(400, problem, message);
  const cseq = /^(\d{1,10})[ \t]+(\S+)$/.exec(message.get('cseq') as string);
  if (!cseq || Number(cseq[1]) > 0xffff_ffff) return failure(400, 'Malformed CSeq', message);
  if (cseq[2] !== method) return failure(400, 'CSeq Method Mismatch', message);
  return withBody(message, rest, mode);
}

function checkMandatory(message: Message): string | undefined {
  for (const name of MANDATORY) {
    const value = message.get(name);
    if (value === undefined || value === '') return `Missing ${name} header`;
  }
  return undefined;
}

function withBody(message: Message, rest: Buffer, mode: 'datagram' | 'framed'): Message | ParseFailure {
  const length = message.get('content-length');
  if (length === undefined) {
    message.body = rest;
    return message;
  }
  if (!/^\d{1,9}$/.test(length)) return failure(400, 'Malformed Content-Length', message);
  const wanted = Number(length);
  if (wanted > rest.length) return failure(400, 'Body Shorter Than Content-Length', message);
  // Bytes after the body of a datagram are to be thrown away (§18.3); in a frame they should not be there.
  if (wanted < rest.length && mode === 'framed') return failure(400, 'Body Longer Than Content-Length', message);
  message.body = rest.subarray(0, wanted);
  return message;
}

function failure(status: number, reason: string, request?: Message): ParseFailure {
  if (request === undefined || request.type === 'response' || request.method === 'ACK') {
    return { type: 'failure', status, reason };
  }
  const partial = Message.request(
    request.method,
    request.uri,
    request.headers.filter((header) => ANSWER_HEADERS.has(canonicalName(header.name))),
  );
  return partial.get('via') === undefined
    ? { type: 'failure', status, reason }
    : { type: 'failure', status, reason, partial };
}
