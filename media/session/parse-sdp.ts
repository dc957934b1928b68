import { parse, type SessionDescription } from 'sdp-transform';
import { BoundedCache, type CacheCounters } from './bounded-cache.ts';
import type { SdpLine, SdpText } from './sdp-text.ts';

/** Fields that are numbers; in all others digits are text: a codec named 128, an ICE password of digits. */
const NUMBERS = new Set(['port', 'payload', 'rate', 'ptime', 'maxptime', 'id']);

/**
 * sdp-transform's reading of it, with every field of the type that it promises: by itself it makes a number of whatever
 * looks like one, and leaves text where a number is missing. Of the lines that decide anything: m=, c= and a=.
 * What calls have in common is read once and shared: nothing of it may be changed.
 * `undefined` when an m= line has no port from 0 to 65535, no media type, no protocol or no format (RFC 8866 §5.14).
 * Never throws.
 */
export function parseSdp({ session, media }: SdpText): SessionDescription | undefined {
  const sdp = { ...merged(session, ofSessions), media: media.map((part) => merged(part, ofMedia)) };
  const good = ({ type, port, protocol, payloads }: SessionDescription['media'][number]) =>
    type && protocol && payloads && port >= 0 && port <= 65_535;
  const read = sdp as unknown as SessionDescription;
  return read.media.every(good) ? read : undefined;
}

type Facts = Readonly<Record<string, unknown>>;
type OwnFacts = Record<string, unknown>;

/** Attributes in which calls are alike; their fields are no other line's. */
const COMMON =
  /^a=(?:rtpmap|fmtp|rtcp-fb|ptime|sendrecv|sendonly|recvonly|inactive|mid|rtcp-mux|setup|ice-options|extmap|rtcp-rsize)\b/;
const MAX_COMMON = 1000;
const MAX_COMMON_LENGTH = 4000;

/** Of the common lines of a part, by their text. */
interface Common {
  readonly known: BoundedCache<Facts>;
  /** What a part has without any line. */
  readonly bare: () => OwnFacts;
}

const ofSessions: Common = { known: new BoundedCache(MAX_COMMON), bare: () => ({}) };
const ofMedia: Common = { known: new BoundedCache(MAX_COMMON), bare: () => ({ rtp: [], fmtp: [] }) };

/** Of the media parts; a session part has hardly any. */
export function sdpLinesCounters(): CacheCounters {
  return ofMedia.known.counters;
}

/** sdp-transform reads every line by itself: those of one part are laid together as it would. */
function merged(lines: readonly SdpLine[], common: Common): Facts {
  let alike = '';
  const own: OwnFacts = {};
  for (const { text } of lines) {
    if (COMMON.test(text)) alike += `${text}\n`;
    else lay(own, readLine(text));
  }
  return { ...factsOf(alike, common), ...own };
}

function factsOf(alike: string, { known, bare }: Common): Facts {
  const before = known.get(alike);
  if (before) return before;
  const facts = bare();
  // Of a copy: pieces of a text hold on to the whole of it.
  const own = Buffer.from(alike).toString();
  for (const line of own.split('\n')) lay(facts, readLine(line));
  if (own.length <= MAX_COMMON_LENGTH) known.set(own, facts);
  return facts;
}

function lay(out: OwnFacts, facts: Facts): void {
  for (const key in facts) {
    const value = facts[key];
    const before = out[key];
    if (Array.isArray(value) && before !== undefined) (before as unknown[]).push(...(value as unknown[]));
    else if (typeof value === 'object' && before !== undefined) Object.assign(before as object, value);
    else out[key] = value;
  }
}

const NOTHING: Facts = {};

/** Every call has lines of its own of these three kinds; what sdp-transform makes of them is read here without its many tries. */
function readLine(line: string): Facts {
  if (line.startsWith('c=')) return readConnection(line);
  if (line.startsWith('m=')) return readMedia(line);
  if (!line.startsWith('a=')) return NOTHING;
  return line.startsWith('a=crypto:') ? readCrypto(line) : readOther(line);
}

function readConnection(line: string): Facts {
  const [, version, ip] = /^c=IN IP(\d) (\S*)/.exec(line) ?? [];
  return version === undefined ? NOTHING : { connection: { version, ip } };
}

function readMedia(line: string): Facts {
  const [all, type, port, protocol, payloads] = /^m=(\w*) (\d*) ([\w/]*)(?: (.*))?/.exec(line) ?? [];
  if (all === undefined) return NOTHING;
  return { type, ...whole('port', port), protocol, ...(payloads === undefined ? {} : { payloads }) };
}

function readCrypto(line: string): Facts {
  const [all, id, suite, config, sessionConfig] = /^a=crypto:(\d*) ([\w_]*) (\S*)(?: (\S*))?/.exec(line) ?? [];
  if (all === undefined) return NOTHING;
  return {
    crypto: [{ ...whole('id', id), suite, config, ...(sessionConfig === undefined ? {} : { sessionConfig }) }],
  };
}

/** A number that is written as numbers are. */
function whole<Name extends string>(name: Name, text: string | undefined): { readonly [key in Name]?: number } {
  const value = Number(text);
  return (Number.isSafeInteger(value) && String(value) === text ? { [name]: value } : {}) as {
    readonly [key in Name]?: number;
  };
}

function readOther(line: string): Facts {
  try {
    // Lines that it does not know are nobody's.
    const { media: _none, invalid: _unknown, ...facts } = parse(line);
    return typed(facts) as Facts;
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
