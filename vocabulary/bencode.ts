import { isUtf8 } from 'node:buffer';

/**
 * A bencode value as rtpengine's ng protocol uses it. Strings are bytes there and text here: what is not UTF-8 stands as
 * lone surrogates U+DC80 to U+DCFF, one a byte, and leaves as the bytes that it was.
 */
export type Bencode = string | number | readonly Bencode[] | { readonly [key: string]: Bencode };

/** Keys in the given order; `undefined` members are left out. */
export function encodeBencode(value: Bencode | undefined): string {
  if (typeof value === 'number') return `i${Math.trunc(value)}e`;
  if (typeof value === 'string') return `${lengthOf(value)}:${value}`;
  if (Array.isArray(value)) return `l${value.map((item: Bencode) => encodeBencode(item)).join('')}e`;
  let out = 'd';
  for (const [key, item] of Object.entries(value ?? {})) {
    if (item !== undefined) out += encodeBencode(key) + encodeBencode(item as Bencode);
  }
  return `${out}e`;
}

/** The same as bytes for the network. */
export function bencodeBytes(value: Bencode | undefined): Buffer {
  return bytesOf(encodeBencode(value));
}

const MAX_DEPTH = 16;
const MAX_ITEMS = 4096;

/**
 * `undefined` when the bytes are not exactly one value, nest too deep or hold too much. Never throws.
 * `openEnd`: the last `e` of the outermost list or dictionary may be missing, and white space may follow it.
 */
export function decodeBencode(bytes: Uint8Array, openEnd = false): Bencode | undefined {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  let items = 0;

  const value = (depth: number): Bencode | undefined => {
    if (depth > MAX_DEPTH || ++items > MAX_ITEMS) return undefined;
    const first = text[at];
    if (first === undefined) return undefined;
    if (first === 0x69) return integer();
    if (first >= 0x30 && first <= 0x39) return string();
    if (first === 0x6c) return list(depth);
    return first === 0x64 ? dictionary(depth) : undefined;
  };

  const integer = (): number | undefined => {
    const end = text.indexOf(0x65, at);
    const digits = end < 0 || end - at > 20 ? '' : text.toString('latin1', at + 1, end);
    if (!/^-?\d+$/.test(digits)) return undefined;
    at = end + 1;
    return Number(digits);
  };

  const string = (): string | undefined => {
    const colon = text.indexOf(0x3a, at);
    const digits = colon < 0 || colon - at > 7 ? '' : text.toString('latin1', at, colon);
    if (!/^\d+$/.test(digits)) return undefined;
    const end = colon + 1 + Number(digits);
    if (end > text.length) return undefined;
    at = end;
    return textOf(text.subarray(colon + 1, end));
  };

  const more = (depth: number): boolean => {
    if (openEnd && depth === 0 && at === text.length) return false;
    if (text[at] !== 0x65) return true;
    at++;
    return false;
  };

  const list = (depth: number): Bencode[] | undefined => {
    at++;
    const out: Bencode[] = [];
    while (more(depth)) {
      const item = value(depth + 1);
      if (item === undefined) return undefined;
      out.push(item);
    }
    return out;
  };

  const dictionary = (depth: number): Bencode | undefined => {
    at++;
    const out: Record<string, Bencode> = Object.create(null) as Record<string, Bencode>;
    while (more(depth)) {
      const first = text[at];
      const key = first !== undefined && first >= 0x30 && first <= 0x39 ? string() : undefined;
      const item = key === undefined ? undefined : value(depth + 1);
      if (key === undefined || item === undefined) return undefined;
      out[key] = item;
    }
    return out;
  };

  const decoded = value(0);
  const rest = text.subarray(at);
  return rest.length === 0 || (openEnd && rest.every(isSpace)) ? decoded : undefined;
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0;
}

function lengthOf(text: string): number {
  return text.isWellFormed() ? Buffer.byteLength(text, 'utf8') : bytesOf(text).length;
}

function bytesOf(text: string): Buffer {
  if (text.isWellFormed()) return Buffer.from(text, 'utf8');
  // With the flag `u` only lone surrogates match.
  const parts = text.split(/([\uDC80-\uDCFF]+)/u);
  return Buffer.concat(
    parts.map((part, index) =>
      index % 2 === 0 ? Buffer.from(part, 'utf8') : Buffer.from(Uint8Array.from(part, (unit) => unit.charCodeAt(0))),
    ),
  );
}

function textOf(bytes: Buffer): string {
  if (isUtf8(bytes)) return bytes.toString('utf8');
  let out = '';
  for (let at = 0; at < bytes.length;) {
    const byte = bytes[at] as number;
    const size = byte < 0x80 ? 1 : byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    const whole = bytes.subarray(at, at + size);
    const good = whole.length === size && isUtf8(whole);
    out += good ? whole.toString('utf8') : String.fromCharCode(0xdc00 + byte);
    at += good ? size : 1;
  }
  return out;
}
