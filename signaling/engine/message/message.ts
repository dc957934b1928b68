import { canonicalName, defaultReason } from './names.ts';
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
      if (canonicalName(header.name) === wanted) return header.value;
    }
    return undefined;
  }

  getAll(name: string): string[] {
    const wanted = canonicalName(name);
    const values: string[] = [];
    for (const header of this.headers) {
      if (canonicalName(header.name) === wanted) values.push(header.value);
    }
    return values;
  }

  set(name: string, value: string): void {
    const wanted = canonicalName(name);
    const index = this.headers.findIndex((header) => canonicalName(header.name) === wanted);
    if (index < 0) {
      this.headers.push({ name, value });
      return;
    }
    this.headers[index] = { name, value };
    this.headers = this.headers.filter((header, i) => i <= index || canonicalName(header.name) !== wanted);
  }

  append(name: string, value: string): void {
    this.headers.push({ name, value });
  }

  prepend(name: string, value: string): void {
    this.headers.unshift({ name, value });
  }

  remove(name: string): void {
    const wanted = canonicalName(name);
    this.headers = this.headers.filter((header) => canonicalName(header.name) !== wanted);
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
    const head = Buffer.from(this.#head(), 'utf8');
    return this.body.length === 0 ? head : Buffer.concat([head, this.body]);
  }

  toString(): string {
    return this.#head() + Buffer.from(this.body.buffer, this.body.byteOffset, this.body.byteLength).toString('utf8');
  }

  /** Start line and headers. Content-Length comes last: one client in the field reads it only there. */
  #head(): string {
    let text =
      this.type === 'request' ? `${this.method} ${this.uri} SIP/2.0\r\n` : `SIP/2.0 ${this.status} ${this.reason}\r\n`;
    for (const header of this.headers) {
      if (canonicalName(header.name) !== 'content-length') text += `${header.name}: ${header.value}\r\n`;
    }
    return `${text}Content-Length: ${this.body.length}\r\n\r\n`;
  }
}
