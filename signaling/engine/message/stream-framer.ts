import { findHeaderEnd } from './bytes.ts';
import { Message } from './message.ts';
import { LIMITS, parseMessage } from './parse.ts';
import type { ParseFailure } from './sip-message.ts';

export type Framed =
  | { readonly type: 'message'; readonly message: Message }
  /** CRLFCRLF: to be answered with CRLF (RFC 5626 §4.4.1). */
  | { readonly type: 'ping' }
  /** A single CRLF: the answer to our own ping. */
  | { readonly type: 'pong' }
  /** `fatal`: where the next message starts is unknown, the connection has to be closed. */
  | { readonly type: 'failure'; readonly failure: ParseFailure; readonly fatal: boolean };

/**
 * Cuts the byte stream of a connection into messages (RFC 3261 §18.3): headers up to the empty line, then as
 * many bytes as Content-Length says. Holds at most one message's worth of bytes.
 */
export class StreamFramer {
  #pending: Buffer = Buffer.alloc(0);
  #dead = false;

  push(chunk: Uint8Array): Framed[] {
    if (this.#dead) return [];
    const buffer = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    this.#pending = this.#pending.length === 0 ? Buffer.from(buffer) : Buffer.concat([this.#pending, buffer]);
    const frames: Framed[] = [];
    for (;;) {
      const frame = this.#next();
      if (frame === undefined) break;
      frames.push(frame);
      if (frame.type === 'failure' && frame.fatal) {
        this.#dead = true;
        this.#pending = Buffer.alloc(0);
        break;
      }
    }
    return frames;
  }

  get pendingBytes(): number {
    return this.#pending.length;
  }

  #next(): Framed | undefined {
    const keepAlive = this.#keepAlive();
    if (keepAlive !== undefined) return keepAlive === 'wait' ? undefined : keepAlive;
    const end = findHeaderEnd(this.#pending, 0);
    // The same however it was cut: the empty line may have come in the same piece, or not yet.
    const most = LIMITS.headerBytes + (end.length === 0 ? 4 : 0);
    if ((end.length === 0 ? this.#pending.length : end.at) > most) return fatal(513, 'Headers Too Large');
    if (end.length === 0) return undefined;
    const length = contentLength(this.#pending.toString('latin1', 0, end.at));
    if (typeof length === 'string') return fatal(400, length);
    const total = end.at + end.length + length;
    if (total > LIMITS.messageBytes) return fatal(513, 'Message Too Large');
    if (this.#pending.length < total) return undefined;
    const bytes = this.#pending.subarray(0, total);
    this.#pending = this.#pending.subarray(total);
    const message = parseMessage(bytes, 'framed');
    return message instanceof Message
      ? { type: 'message', message }
      : { type: 'failure', failure: message, fatal: false };
  }

  #keepAlive(): Framed | 'wait' | undefined {
    const pending = this.#pending;
    if (pending.length === 0) return 'wait';
    if (pending[0] !== 0x0d && pending[0] !== 0x0a) return undefined;
    if (pending.length >= 4 && pending.toString('latin1', 0, 4) === '\r\n\r\n') {
      this.#pending = pending.subarray(4);
      return { type: 'ping' };
    }
    // A ping may arrive in pieces; a lone CRLF at the end of what came may become one.
    if ('\r\n\r\n'.startsWith(pending.toString('latin1'))) {
      if (pending.length === 2) {
        this.#pending = Buffer.alloc(0);
        return { type: 'pong' };
      }
      return 'wait';
    }
    let skip = 0;
    while (skip < pending.length && (pending[skip] === 0x0d || pending[skip] === 0x0a)) skip++;
    this.#pending = pending.subarray(skip);
    return { type: 'pong' };
  }
}

/** The length, or what is wrong with it. On a stream it is mandatory (§20.14). */
function contentLength(head: string): number | string {
  const match = /(?:^|\n)(?:content-length|l)[ \t]*:[ \t]*(\S*)[ \t]*(?:\r|\n|$)/i.exec(head);
  if (!match) return 'Missing Content-Length On A Stream';
  const text = match[1] as string;
  if (!/^\d{1,9}$/.test(text)) return 'Malformed Content-Length';
  return Number(text);
}

function fatal(status: number, reason: string): Framed {
  return { type: 'failure', failure: { type: 'failure', status, reason }, fatal: true };
}
