/** A bencode value as rtpengine's ng protocol uses it: strings are text here, SDP included. */
export type Bencode = string | number | readonly Bencode[] | { readonly [key: string]: Bencode };

/** Keys in the given order; `undefined` members are left out. */
export function encodeBencode(value: Bencode | undefined): string {
  if (typeof value === 'number') return `i${Math.trunc(value)}e`;
  if (typeof value === 'string') return `${Buffer.byteLength(value, 'utf8')}:${value}`;
  if (Array.isArray(value)) return `l${value.map((item: Bencode) => encodeBencode(item)).join('')}e`;
  let out = 'd';
  for (const [key, item] of Object.entries(value ?? {})) {
    if (item !== undefined) out += encodeBencode(key) + encodeBencode(item as Bencode);
  }
  return `${out}e`;
}

const MAX_DEPTH = 16;
const MAX_ITEMS = 4096;

/** `undefined` when the bytes are not exactly one value, nest too deep or hold too much. Never throws. */
export function decodeBencode(bytes: Uint8Array): Bencode | undefined {
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
    return text.toString('utf8', colon + 1, end);
  };

  const list = (depth: number): Bencode[] | undefined => {
    at++;
    const out: Bencode[] = [];
    while (text[at] !== 0x65) {
      const item = value(depth + 1);
      if (item === undefined) return undefined;
      out.push(item);
    }
    at++;
    return out;
  };

  const dictionary = (depth: number): Bencode | undefined => {
    at++;
    const out: Record<string, Bencode> = Object.create(null) as Record<string, Bencode>;
    while (text[at] !== 0x65) {
      const first = text[at];
      const key = first !== undefined && first >= 0x30 && first <= 0x39 ? string() : undefined;
      const item = key === undefined ? undefined : value(depth + 1);
      if (key === undefined || item === undefined) return undefined;
      out[key] = item;
    }
    at++;
    return out;
  };

  const decoded = value(0);
  return at === text.length ? decoded : undefined;
}
