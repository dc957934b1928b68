import { MAX_COOKIE, MAX_MESSAGE } from './message.ts';

/** So many bytes that make no sense end a connection: nothing says where the next message would begin. */
const MAX_NONSENSE = 1024;
const MAX_DEPTH = 64;

/**
 * ng over a stream: messages back to back without anything between them. The length is in the payload itself: bencode
 * counts its bytes, JSON ends with its outermost brace. Every byte is looked at once, however small the pieces are.
 */
export class StreamCutter {
  #buffer = Buffer.alloc(0);
  /** Of `#buffer`: what is filled; behind it there is room. */
  #end = 0;
  /** Where the payload begins; 0 before the cookie's space was seen. */
  #payload = 0;
  /** What has been looked at, and how deep the nesting is there. */
  #at = 0;
  #depth = 0;
  #quoted = false;
  #nonsense = false;

  get buffered(): number {
    return this.#end;
  }

  /** @returns the whole messages, cookie included; `broken` when the connection is of no more use. */
  push(chunk: Uint8Array): { readonly messages: readonly Buffer[]; readonly broken: boolean } {
    const messages: Buffer[] = [];
    // A piece is taken in steps, so that a buffer never holds more than one message and a step.
    for (let from = 0; from < chunk.length; from += 16_384) {
      this.#append(chunk.subarray(from, from + 16_384));
      for (let message = this.#next(); message; message = this.#next()) messages.push(message);
      const most = this.#nonsense ? MAX_NONSENSE : MAX_MESSAGE;
      if (this.#end > most) return { messages, broken: true };
    }
    return { messages, broken: false };
  }

  #append(chunk: Uint8Array): void {
    if (this.#end + chunk.length > this.#buffer.length) {
      const bigger = Buffer.allocUnsafe(Math.max(512, (this.#end + chunk.length) * 2));
      this.#buffer.copy(bigger, 0, 0, this.#end);
      this.#buffer = bigger;
    }
    this.#buffer.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  #next(): Buffer | undefined {
    if (this.#payload === 0 && !this.#findPayload()) return undefined;
    if (this.#nonsense || this.#payload >= this.#end) return undefined;
    const first = this.#buffer[this.#payload];
    const done = first === 0x64 ? this.#bencode() : first === 0x7b ? this.#json() : this.#isNonsense();
    if (!done) return undefined;
    const message = Buffer.from(this.#buffer.subarray(0, this.#at));
    this.#drop(this.#at);
    return message;
  }

  /** Line ends between messages are forgiven: people type them. */
  #findPayload(): boolean {
    let skip = 0;
    while (skip < this.#end && isSpace(this.#buffer[skip])) skip++;
    if (skip > 0) this.#drop(skip);
    const space = this.#buffer.subarray(0, this.#end).indexOf(0x20, this.#at);
    if (space < 0 || space > MAX_COOKIE) {
      this.#at = this.#end;
      if (this.#end > MAX_COOKIE) this.#nonsense = true;
      return false;
    }
    this.#payload = space + 1;
    this.#at = this.#payload;
    return true;
  }

  #drop(count: number): void {
    const rest = this.#end - count;
    // Idle connections keep no room.
    if (rest === 0) this.#buffer = Buffer.alloc(0);
    else this.#buffer.copyWithin(0, count, this.#end);
    this.#end = rest;
    this.#payload = 0;
    this.#at = 0;
    this.#depth = 0;
    this.#quoted = false;
  }

  #isNonsense(): false {
    this.#nonsense = true;
    return false;
  }

  /** Goes from token to token; `#at` stands behind the last whole one. */
  #bencode(): boolean {
    while (this.#at < this.#end) {
      const byte = this.#buffer[this.#at] as number;
      if (byte === 0x64 || byte === 0x6c) {
        if (++this.#depth > MAX_DEPTH) return this.#isNonsense();
        this.#at++;
      } else if (byte === 0x65) {
        this.#at++;
        if (--this.#depth === 0) return true;
      } else {
        const next = byte === 0x69 ? this.#integer() : this.#string(byte);
        if (next === undefined || next > this.#end) return false;
        this.#at = next;
      }
    }
    return false;
  }

  #integer(): number | undefined {
    const end = this.#buffer.subarray(0, this.#end).indexOf(0x65, this.#at);
    if (end < 0 && this.#end - this.#at <= 22) return undefined;
    if (end < 0 || end - this.#at > 22) {
      this.#isNonsense();
      return undefined;
    }
    return end + 1;
  }

  #string(byte: number): number | undefined {
    let size = 0;
    let at = this.#at;
    for (let digit = byte; digit >= 0x30 && digit <= 0x39; digit = this.#buffer[at] as number) {
      size = size * 10 + digit - 0x30;
      at++;
      if (size > MAX_MESSAGE || at - this.#at > 7) {
        this.#isNonsense();
        return undefined;
      }
      if (at >= this.#end) return undefined;
    }
    if (at > this.#at && this.#buffer[at] === 0x3a) return at + 1 + size;
    this.#isNonsense();
    return undefined;
  }

  /** Braces and brackets outside of strings; whether it is JSON is for its parser to say. */
  #json(): boolean {
    while (this.#at < this.#end) {
      const byte = this.#buffer[this.#at] as number;
      if (this.#quoted && byte === 0x5c) {
        if (this.#at + 1 >= this.#end) return false;
        this.#at += 2;
        continue;
      }
      this.#at++;
      if (byte === 0x22) this.#quoted = !this.#quoted;
      else if (this.#quoted) continue;
      else if (byte === 0x7b || byte === 0x5b) this.#depth++;
      else if ((byte === 0x7d || byte === 0x5d) && --this.#depth === 0) return true;
    }
    return false;
  }
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d;
}
