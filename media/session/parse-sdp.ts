import { parse, type SessionDescription } from 'sdp-transform';

/** Fields that are numbers; in all others digits are text: a codec named 128, an ICE password of digits. */
const NUMBERS = new Set(['port', 'payload', 'rate', 'ptime', 'maxptime', 'id']);

/**
 * sdp-transform's reading of it, with every field of the type that it promises: by itself it makes a number of whatever
 * looks like one, and leaves text where a number is missing. `undefined` when it cannot be read, or an m= line has no
 * port from 0 to 65535, no media type, no protocol or no format (RFC 8866 §5.14). Never throws.
 */
export function parseSdp(text: string): SessionDescription | undefined {
  let sdp: SessionDescription;
  try {
    sdp = typed(parse(text)) as SessionDescription;
  } catch {
    return undefined;
  }
  const good = ({ type, port, protocol, payloads }: SessionDescription['media'][number]) =>
    type && protocol && payloads && port >= 0 && port <= 65_535;
  return sdp.media.every(good) ? sdp : undefined;
}

/** As deep as sdp-transform goes, which is three. */
function typed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => typed(item));
  if (typeof value === 'number') return String(value);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, item]: [string, unknown]) => {
      if (!NUMBERS.has(key)) return [[key, typed(item)]];
      return Number.isSafeInteger(item) ? [[key, item]] : [];
    }),
  );
}
