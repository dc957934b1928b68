import { bencodeBytes, decodeBencode, type Bencode } from '../../vocabulary/mod.ts';

/** The two languages of ng; a reply speaks the one of its request. */
export type Encoding = 'bencode' | 'json';

export type Dictionary = Readonly<Record<string, Bencode>>;

/** What a payload says, or the `error-reason` when it cannot be read. */
export type Payload =
  | { readonly encoding: Encoding; readonly message: Dictionary; readonly refusal: undefined }
  | { readonly encoding: Encoding; readonly message: undefined; readonly refusal: string };

/** A longer cookie is not one: clients send 5 to 36 characters. */
export const MAX_COOKIE = 256;
/** Of a request, cookie included: what one datagram can hold, and twice that for streams. */
export const MAX_MESSAGE = 131_072;

/** `<cookie> SP <payload>`; `undefined` without a cookie: nobody could match the reply. */
export function cutCookie(bytes: Uint8Array): { readonly cookie: string; readonly payload: Uint8Array } | undefined {
  const space = bytes.indexOf(0x20);
  if (space <= 0 || space > MAX_COOKIE) return undefined;
  return {
    cookie: Buffer.from(bytes.buffer, bytes.byteOffset, space).toString('latin1'),
    payload: bytes.subarray(space + 1),
  };
}

/** Never throws. */
export function readPayload(payload: Uint8Array): Payload {
  if (payload.length === 0) return refused('bencode', 'Invalid data (no payload)');
  if (payload[0] === 0x64) {
    const message = decodeBencode(payload, true);
    if (!isDictionary(message)) return refused('bencode', 'Could not decode bencode dictionary');
    return { encoding: 'bencode', message, refusal: undefined };
  }
  if (payload[0] !== 0x7b) return refused('bencode', 'Invalid NG data format');
  const message = readJson(payload);
  if (!isDictionary(message)) return refused('json', 'Failed to parse JSON document');
  return { encoding: 'json', message, refusal: undefined };
}

export function writePayload(encoding: Encoding, reply: Dictionary): Buffer {
  return encoding === 'json' ? Buffer.from(JSON.stringify(reply), 'utf8') : bencodeBytes(reply);
}

/** The cookie is Latin-1: whatever bytes came, the same leave. */
export function frameOf(cookie: string, payload: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(cookie.length + 1 + payload.length);
  frame.write(cookie, 0, 'latin1');
  frame[cookie.length] = 0x20;
  frame.set(payload, cookie.length + 1);
  return frame;
}

export function isDictionary(value: Bencode | undefined): value is Dictionary {
  return typeof value === 'object' && !Array.isArray(value);
}

function refused(encoding: Encoding, refusal: string): Payload {
  return { encoding, message: undefined, refusal };
}

const MAX_DEPTH = 16;
const MAX_ITEMS = 4096;

/** JSON in the shape that bencode has: true and false are 1 and 0, null is left out. */
function readJson(bytes: Uint8Array): Bencode | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'));
  } catch {
    return undefined;
  }
  let items = 0;
  let good = true;
  const shaped = (value: unknown, depth: number): Bencode | undefined => {
    if (depth > MAX_DEPTH || ++items > MAX_ITEMS) {
      good = false;
      return undefined;
    }
    if (typeof value === 'string' || typeof value === 'number') return value;
    if (typeof value === 'boolean') return value ? 1 : 0;
    if (typeof value !== 'object' || value === null) return undefined;
    if (Array.isArray(value)) {
      const list: Bencode[] = [];
      for (const item of value) {
        const inner = good ? shaped(item, depth + 1) : undefined;
        if (inner !== undefined) list.push(inner);
      }
      return list;
    }
    const out: Record<string, Bencode> = Object.create(null) as Record<string, Bencode>;
    for (const [key, item] of Object.entries(value)) {
      const inner = good ? shaped(item, depth + 1) : undefined;
      if (inner !== undefined) out[key] = inner;
    }
    return out;
  };
  const result = shaped(parsed, 0);
  return good ? result : undefined;
}
