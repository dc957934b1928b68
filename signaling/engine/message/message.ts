import { canonicalName, defaultReason, keyOf } from './names.ts';
import type { SipHeader, SipMessage } from './sip-message.ts';

const EMPTY = new Uint8Array(0);

/** The one implementation of {@link SipMessage}. */
export class Message implements SipMessage {
  readonly type: 'request' | 'response';
  method: string;
  uri: string;
  status: number;
  reason: string;
  headers: SipHeader[];
  body: Uint8Array;

  private constructor(
    type: 'request' | 'response',
    start: { method: string; uri: string; status: number; reason: string },
    headers: SipHeader[],
    body: Uint8Array,
  ) {
    this.type = type;
    this.method = start.method;
    this.uri = start.uri;
    this.status = start.status;
    this.reason = start.reason;
    this.headers = headers;
    this.body = body;
  }

  static request(method: string, uri: string, headers: SipHeader[] = [], body: Uint8Array = EMPTY): Message {
    return new Message('request', { method, uri, status: 0, reason: '' }, headers, body);
  }

  static response(status: number, reason?: string, headers: SipHeader[] = [], body: Uint8Array = EMPTY): Message {
    return new Message(
      'response',
      { method: '', uri: '', status, reason: reason ?? defaultReason(status) },
      headers,
      body,
    );
  }

  get(name: string): string | undefined {
    const wanted = canonicalName(name);
    for (const header of this.headers) {
      if (keyOf(header) === wanted) return header.value;
    }
    return undefined;
  }

  getAll(name: string): string[] {
    const wanted = canonicalName(name);
    const values: string[] = [];
    for (const header of this.headers) {
      if (keyOf(header) === wanted) values.push(header.value);
    }
    return values;
  }

  set(name: string, value: string): void {
    const wanted = canonicalName(name);
    const index = this.headers.findIndex((header) => keyOf(header) === wanted);
    if (index < 0) {
      this.headers.push({ name, value });
      return;
    }
    this.headers[index] = { name, value };
    this.headers = this.headers.filter((header, i) => i <= index || keyOf(header) !== wanted);
  }

  append(name: string, value: string): void {
    this.headers.push({ name, value });
  }

  prepend(name: string, value: string): void {
    this.headers.unshift({ name, value });
  }

  remove(name: string): void {
    const wanted = canonicalName(name);
    this.headers = this.headers.filter((header) => keyOf(header) !== wanted);
  }

  clone(): Message {
    return new Message(
      this.type,
      this,
      this.headers.map((header) => ({ ...header })),
      this.body,
    );
  }

  toBytes(): Buffer {
    const head = this.#head();
    const { body } = this;
    if (body.length === 0) return Buffer.from(head, 'utf8');
    // One buffer, into which both are written once.
    const headBytes = Buffer.byteLength(head, 'utf8');
    const bytes = Buffer.allocUnsafe(headBytes + body.length);
    bytes.write(head, 0, headBytes, 'utf8');
    bytes.set(body, headBytes);
    return bytes;
  }

  toString(): string {
    return this.#head() + Buffer.from(this.body.buffer, this.body.byteOffset, this.body.byteLength).toString('utf8');
  }

  /** Start line and headers. Content-Length comes last: one client in the field reads it only there. */
  #head(): string {
    let text =
      this.type === 'request' ? `${this.method} ${this.uri} SIP/2.0\r\n` : `SIP/2.0 ${this.status} ${this.reason}\r\n`;
    for (const header of this.headers) {
      if (keyOf(header) !== 'content-length') text += `${header.name}: ${header.value}\r\n`;
    }
    return `${text}Content-Length: ${this.body.length}\r\n\r\n`;
  }
}
