import { isUtf8 } from 'node:buffer';

/**
 * A bencode value as rtpengine's ng protocol uses it. Strings are bytes there and text here: what is not UTF-8 stands as
 * lone surrogates U+DC80 to U+DCFF, one a byte, and leaves as the bytes that it was.
 */
export type Bencode = string | number | readonly Bencode[] | { readonly [key: string]: Bencode };

/**
 * As text, of which the UTF-8 is to be sent; lone surrogates become U+FFFD there. Keys in the given order; `undefined`
 * members are left out.
 */
export function encodeBencode(value: Bencode | undefined): string {
  return write(value, lengthOf);
}

/** As bytes, with those that are not UTF-8 as they were. */
export function bencodeBytes(value: Bencode | undefined): Buffer {
  return bytesOf(write(value, exactLengthOf));
}

function write(value: Bencode | undefined, length: (text: string) => number): string {
  if (typeof value === 'number') return `i${Math.trunc(value)}e`;
  if (typeof value === 'string') return `${length(value)}:${value}`;
  if (Array.isArray(value)) {
    let list = 'l';
    for (const item of value as readonly Bencode[]) list += write(item, length);
    return `${list}e`;
  }
  let out = 'd';
  for (const key of Object.keys(value ?? {})) {
    const item = (value as { readonly [key: string]: Bencode | undefined })[key];
    if (item !== undefined) out += `${length(key)}:${key}${write(item, length)}`;
  }
  return `${out}e`;
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
    const negative = text[at + 1] === 0x2d;
    const digits = readDigits(text, negative ? at + 2 : at + 1, 19);
    if (!digits || text[digits.end] !== 0x65) return undefined;
    at = digits.end + 1;
    return negative ? -digits.value : digits.value;
  };

  const string = (name = false): string | undefined => {
    const digits = readDigits(text, at, 7);
    if (!digits || text[digits.end] !== 0x3a) return undefined;
    const start = digits.end + 1;
    const end = start + digits.value;
    if (end > text.length) return undefined;
    at = end;
    const known = name ? nameAt(text, start, end) : undefined;
    if (known !== undefined) return known;
    const plain = text.toString('utf8', start, end);
    // What is not UTF-8 has been replaced; the character may also stand there by itself.
    return plain.includes('\uFFFD') ? textOf(text.subarray(start, end)) : plain;
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
      const key = first !== undefined && first >= 0x30 && first <= 0x39 ? string(true) : undefined;
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

const MAX_NAME = 32;
const SLOTS = 1024;
/** The same few keys come in every message: each is made once. Others of the same slot take its place. */
const names: string[] = Array.from({ length: SLOTS }, () => '');

/** `undefined` when it is long or not ASCII. */
function nameAt(bytes: Buffer, start: number, end: number): string | undefined {
  const length = end - start;
  if (length === 0 || length > MAX_NAME) return undefined;
  let hash = length;
  for (let at = start; at < end; at++) {
    const byte = bytes[at] as number;
    if (byte > 0x7f) return undefined;
    hash = (hash * 31 + byte) & 0xffffff;
  }
  const slot = hash % SLOTS;
  const known = names[slot] as string;
  if (known.length === length) {
    let at = 0;
    while (at < length && known.charCodeAt(at) === bytes[start + at]) at++;
    if (at === length) return known;
  }
  return (names[slot] = bytes.toString('latin1', start, end));
}

/** Decimal digits from `from`, at most `most`; `undefined` when there is none, or more. */
function readDigits(bytes: Buffer, from: number, most: number): { value: number; end: number } | undefined {
  let value = 0;
  let end = from;
  for (let byte = bytes[end]; byte !== undefined && byte >= 0x30 && byte <= 0x39; byte = bytes[++end]) {
    value = value * 10 + byte - 0x30;
    if (end - from >= most) return undefined;
  }
  return end === from ? undefined : { value, end };
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0;
}

function lengthOf(text: string): number {
  // Keys and most values; a call out of the engine costs more.
  if (text.length <= 40 && isAscii(text)) return text.length;
  return Buffer.byteLength(text, 'utf8');
}

function exactLengthOf(text: string): number {
  return text.isWellFormed() ? lengthOf(text) : bytesOf(text).length;
}

function isAscii(text: string): boolean {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) > 0x7f) return false;
  return true;
}

/** The bytes that a string of {@link Bencode} stands for. */
export function bytesOf(text: string): Buffer {
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
