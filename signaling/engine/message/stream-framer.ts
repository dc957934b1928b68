import { LIMITS } from './limits.ts';
import { Message } from './message.ts';
import { findHeadEnd, lengthFault, readMessageHead, refuse, refuseHead, type ReadHead } from './parse.ts';
import type { ParseFailure } from './sip-message.ts';

export type Framed =
  | { readonly type: 'message'; readonly message: Message }
  /** CRLFCRLF: to be answered with CRLF (RFC 5626 §4.4.1). */
  | { readonly type: 'ping' }
  /** A single CRLF: the answer to our own ping, or the first half of one. */
  | { readonly type: 'pong' }
  /** `fatal`: where the next message starts is unknown, the connection has to be closed. */
  | { readonly type: 'failure'; readonly failure: ParseFailure; readonly fatal: boolean };

const EMPTY = Buffer.alloc(0);
const CR = 0x0d;
const LF = 0x0a;

/**
 * Cuts the byte stream of a connection into messages (RFC 3261 §18.3): headers up to the empty line, then as
 * many bytes as Content-Length says. Holds at most one message's worth of bytes beyond the last chunk, looks at each
 * byte once however small the pieces are, and takes the chunks as its own: bodies are views of them.
 */
export class StreamFramer {
  #buffer: Buffer = EMPTY;
  /** `[#start, #end)` of the buffer waits; what is before belongs to messages that were given out. */
  #start = 0;
  #end = 0;
  /** The empty line does not begin before. */
  #searched = 0;
  /** Headers whose body is still to come, and where that begins. */
  #head: { readonly read: ReadHead; readonly body: number } | undefined;
  #halfPing = false;
  #dead = false;

  push(chunk: Uint8Array): Framed[] {
    if (this.#dead || chunk.length === 0) return [];
    this.#take(chunk);
    const frames: Framed[] = [];
    for (let frame = this.#next(); frame !== undefined; frame = this.#next()) {
      frames.push(frame);
      if (frame.type !== 'failure' || !frame.fatal) continue;
      this.#dead = true;
      this.#start = this.#end;
    }
    if (this.#start === this.#end) this.#reset(EMPTY);
    return frames;
  }

  get pendingBytes(): number {
    return this.#end - this.#start;
  }

  #reset(buffer: Buffer): void {
    this.#buffer = buffer;
    this.#start = this.#searched = 0;
    this.#end = buffer.length;
    this.#head = undefined;
  }

  #take(chunk: Uint8Array): void {
    if (this.#start === this.#end) {
      this.#reset(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
      return;
    }
    const wanted = this.#end + chunk.length;
    if (wanted > this.#buffer.length) {
      // Twice the room each time; never in place, because bodies that were given out are views.
      const waiting = this.#end - this.#start;
      const larger = Buffer.allocUnsafeSlow(Math.max(1024, 2 * (waiting + chunk.length)));
      this.#buffer.copy(larger, 0, this.#start, this.#end);
      this.#searched -= this.#start;
      if (this.#head) this.#head = { ...this.#head, body: this.#head.body - this.#start };
      this.#buffer = larger;
      this.#start = 0;
      this.#end = waiting;
    }
    this.#buffer.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  #next(): Framed | undefined {
    if (this.#start === this.#end) return undefined;
    if (this.#head === undefined) {
      const keepAlive = this.#keepAlive();
      if (keepAlive !== undefined) return keepAlive === 'wait' ? undefined : keepAlive;
      const problem = this.#readHead();
      if (problem !== undefined) return problem;
    }
    return this.#body();
  }

  /** Reads the headers when all of them are there. */
  #readHead(): Framed | undefined {
    const waiting = this.#buffer.subarray(0, this.#end);
    let { at, body } = findHeadEnd(waiting, Math.max(this.#start, this.#searched));
    // The same however it was cut: the empty line may have come in the same piece, or not yet.
    const most = LIMITS.headerBytes + (at < 0 ? 2 : 0);
    if ((at < 0 ? this.#end : at) - this.#start > most) return fatal(refuseHead(waiting, this.#start, 'headers'));
    this.#searched = Math.max(this.#start, this.#end - 2);
    if (at < 0) return undefined;
    let read = readMessageHead(waiting, this.#start, at);
    if (read.early) {
      at = waiting.indexOf('\n\n', this.#start, 'latin1');
      body = at + 2;
      read = readMessageHead(waiting, this.#start, at);
    }
    const { result, length } = read;
    // Content-Length is mandatory here (§20.14), and all that tells the end.
    const lost = lengthFault(length) ?? (length < 0 ? 'Missing Content-Length On A Stream' : undefined);
    if (lost !== undefined)
      return fatal(result instanceof Message ? refuse(result, { status: 400, reason: lost }) : result);
    if (body - this.#start + length > LIMITS.messageBytes) {
      const fault = { status: 413, reason: 'Request Entity Too Large', limit: 'body' } as const;
      return fatal(result instanceof Message ? refuse(result, fault) : { ...result, ...fault });
    }
    this.#head = { read, body };
    return undefined;
  }

  #body(): Framed | undefined {
    if (this.#head === undefined) return undefined;
    const { read, body } = this.#head;
    const end = body + read.length;
    if (end > this.#end) return undefined;
    this.#head = undefined;
    this.#start = this.#searched = end;
    const { result } = read;
    if (!(result instanceof Message)) return { type: 'failure', failure: result, fatal: false };
    result.body = this.#buffer.subarray(body, end);
    return { type: 'message', message: result };
  }

  /** Line ends before a message: pings, answers to pings, or nothing at all (§7.5). */
  #keepAlive(): Framed | 'wait' | undefined {
    for (; this.#start < this.#end; this.#start++) {
      const byte = this.#buffer[this.#start];
      if (byte !== CR && byte !== LF) {
        this.#halfPing = false;
        return undefined;
      }
      // What looks like a line end may become one with the next piece.
      if (byte === CR && this.#start + 1 === this.#end) return 'wait';
      if (this.#isCrlf(this.#start)) break;
      this.#halfPing = false;
    }
    if (this.#start === this.#end) return 'wait';
    this.#start += 2;
    if (this.#halfPing) {
      this.#halfPing = false;
      return { type: 'ping' };
    }
    if (this.#isCrlf(this.#start)) {
      this.#start += 2;
      return { type: 'ping' };
    }
    this.#halfPing = true;
    return { type: 'pong' };
  }

  #isCrlf(at: number): boolean {
    return at + 1 < this.#end && this.#buffer[at] === CR && this.#buffer[at + 1] === LF;
  }
}

function fatal(failure: ParseFailure): Framed {
  return { type: 'failure', failure, fatal: true };
}
