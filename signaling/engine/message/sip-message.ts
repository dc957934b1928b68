/** One header line. `name` keeps the sender's spelling; `value` is unfolded and trimmed, otherwise byte for byte. */
export interface SipHeader {
  name: string;
  value: string;
  /** The name's lower-case long form, where a parser has noted it. */
  readonly key?: string;
}

/**
 * A SIP message as it stood on the wire (RFC 3261 §7): start line, header lines in their order, body.
 * Nothing is interpreted until somebody asks; unknown headers survive untouched.
 * Lookups ignore case and know the compact forms (§7.3.3).
 */
export interface SipMessage {
  readonly type: 'request' | 'response';
  /** Requests. */
  method: string;
  uri: string;
  /** Responses; 0 in requests. */
  status: number;
  reason: string;
  headers: SipHeader[];
  body: Uint8Array;
  /** The first value; header lines with several comma-separated values count as one value here. */
  get(name: string): string | undefined;
  getAll(name: string): string[];
  /** Replaces the first and removes the others, or appends. */
  set(name: string, value: string): void;
  append(name: string, value: string): void;
  prepend(name: string, value: string): void;
  remove(name: string): void;
  clone(): SipMessage;
  /** Content-Length is written anew, last; the names' spelling is kept. */
  toBytes(): Buffer;
  toString(): string;
}

/** What of {@link LIMITS} a message went beyond. */
export type Limit = 'message' | 'headers' | 'line' | 'uri' | 'body';

/** Why bytes are not a SIP message. Never thrown: parsers return it. */
export interface ParseFailure {
  readonly type: 'failure';
  /** What to answer when the message was a request: 400, 413, 414, 505, 513 … */
  readonly status: number;
  /** Names the fault, as a reason phrase. */
  readonly reason: string;
  /** What it seems to have been. Responses are dropped. */
  readonly of: 'request' | 'response' | 'unknown';
  readonly limit?: Limit;
  /** The parts that an answer needs (Via, From, To, Call-ID, CSeq), when they could be read and it was a request other than ACK. */
  readonly partial?: SipMessage;
}
