import { parse, type SessionDescription } from 'sdp-transform';
import { BoundedCache, type CacheCounters } from './bounded-cache.ts';
import type { SdpLine, SdpText } from './sdp-text.ts';

/** Fields that are numbers; in all others digits are text: a codec named 128, an ICE password of digits. */
const NUMBERS = new Set(['port', 'payload', 'rate', 'ptime', 'maxptime', 'id']);

/**
 * sdp-transform's reading of it, with every field of the type that it promises: by itself it makes a number of whatever
 * looks like one, and leaves text where a number is missing. Of the lines that decide anything: m=, c= and a=.
 * `undefined` when an m= line has no port from 0 to 65535, no media type, no protocol or no format (RFC 8866 §5.14).
 * Never throws.
 */
export function parseSdp({ session, media }: SdpText): SessionDescription | undefined {
  const sdp = { ...merged(session), media: media.map((part) => ({ rtp: [], fmtp: [], ...merged(part) })) };
  const good = ({ type, port, protocol, payloads }: SessionDescription['media'][number]) =>
    type && protocol && payloads && port >= 0 && port <= 65_535;
  const read = sdp as unknown as SessionDescription;
  return read.media.every(good) ? read : undefined;
}

type Facts = Readonly<Record<string, unknown>>;

/** sdp-transform reads every line by itself: those of one part are laid together as it would. */
function merged(lines: readonly SdpLine[]): Facts {
  const out: Record<string, unknown> = {};
  for (const { text } of lines) {
    const facts = factsOf(text);
    for (const key in facts) {
      const value = facts[key];
      const before = out[key];
      // Never into what is shared: the first of a kind is copied.
      if (Array.isArray(value)) {
        if (before === undefined) out[key] = [...(value as unknown[])];
        else (before as unknown[]).push(...(value as unknown[]));
      } else if (typeof value === 'object') out[key] = Object.assign(before ?? {}, value);
      else out[key] = value;
    }
  }
  return out;
}

/** What most calls have in common is read once. */
const COMMON = /^a=(?:rtpmap|fmtp|rtcp-fb|ptime|sendrecv|sendonly|recvonly|inactive|mid|rtcp-mux|setup|ice-options)\b/;
const MAX_COMMON = 2000;
const MAX_COMMON_LENGTH = 200;
const common = new BoundedCache<Facts>(MAX_COMMON);

export function sdpLinesCounters(): CacheCounters {
  return common.counters;
}

function factsOf(line: string): Facts {
  if (line.length > MAX_COMMON_LENGTH || !COMMON.test(line)) return readLine(line);
  const known = common.get(line);
  if (known) return known;
  // Of a copy: pieces of a text hold on to the whole of it.
  const own = Buffer.from(line).toString();
  const facts = readLine(own);
  common.set(own, facts);
  return facts;
}

const NOTHING: Facts = {};

function readLine(line: string): Facts {
  if (!/^[acm]/.test(line)) return NOTHING;
  try {
    const { media, ...session } = parse(line);
    return typed(media[0] ?? session) as Facts;
  } catch {
    return NOTHING;
  }
}

/** As deep as sdp-transform goes, which is three. */
function typed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => typed(item));
  if (typeof value === 'number') return String(value);
  if (typeof value !== 'object' || value === null) return value;
  const out: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(value)) {
    if (!NUMBERS.has(key)) out[key] = typed(item);
    else if (Number.isSafeInteger(item)) out[key] = item;
  }
  return out;
}
