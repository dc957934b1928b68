import type { Learning } from '../dataplane/mod.ts';
import { isAddress, type Bencode } from '../../vocabulary/mod.ts';
import { readChanges, type SdpChanges } from './attribute-changes.ts';
import type { Dialect } from './dialect.ts';

/** What an ng offer or answer asks for, after its many spellings have been brought together. */
export interface MediaFlags {
  readonly ice: 'remove' | 'force' | 'default' | 'optional' | 'force-relay';
  /** `a=ice-lite` for whoever gets this SDP; `backward` is for whoever gets the answer to it. */
  readonly iceLite: ReadonlySet<'forward' | 'backward'>;
  readonly dtls: 'off' | 'passive' | 'active' | 'default';
  /** Our role towards the sender of this offer, when it is answered. */
  readonly dtlsReverse: 'off' | 'passive' | 'active' | 'default';
  /** Hash of a=fingerprint, e.g. `sha-256`. */
  readonly fingerprint: string | undefined;
  readonly sdes: SdesFlags;
  /** SRTP offered or accepted on RTP/AVP (RFC 8643). */
  readonly osrtp: ReadonlySet<string>;
  /** `RTP/AVP`, `UDP/TLS/RTP/SAVPF` …; absent: as it came. */
  readonly protocol: string | undefined;
  readonly rtcpMux: ReadonlySet<string>;
  /** `offer`, `accept`, `require`: the BUNDLE group (RFC 9143) is ours to say; else there is none. */
  readonly bundle: ReadonlySet<string>;
  /** With hyphens, in lower case. */
  readonly replace: ReadonlySet<string>;
  /** With hyphens, as they came. */
  readonly flags: ReadonlySet<string>;
  readonly codec: Readonly<Record<CodecVerb, readonly string[]>>;
  /** Interfaces towards the sender and towards the receiver. */
  readonly direction: readonly string[];
  readonly mediaAddress: string | undefined;
  readonly addressFamily: 'IP4' | 'IP6' | undefined;
  /** The address that the SIP message came from. */
  readonly receivedFrom: string | undefined;
  readonly learning: Learning;
  readonly ptimeMs: number | undefined;
  readonly ptimeReverseMs: number | undefined;
  readonly label: string | undefined;
  /** Attributes to leave out, to put in and to replace, by media type; `global` and `none` for the session part. */
  readonly sdpChanges: SdpChanges;
  readonly dialect: Dialect;
  /** IP_TOS of what is sent, 0 to 255; `keep`: as it is; absent: the node's own. */
  readonly tos: number | 'keep' | undefined;
  /** Reports are ours to make; absent: as before. */
  readonly generateRtcp: boolean | undefined;
  /** Nothing passes from now on, or everything again; absent: as before. */
  readonly dropTraffic: boolean | undefined;
  /** Who gets back what it sends; absent: as before. */
  readonly echo: Echo | undefined;
}

/** As the sender of the message sees it. `blackhole`: nobody, and nothing passes. */
export type Echo = 'blackhole' | 'forward' | 'backwards' | 'both';

export interface SdesFlags {
  readonly off: boolean;
  readonly without: ReadonlySet<string>;
  /** Empty: all. */
  readonly only: ReadonlySet<string>;
  /** Base64 with its padding. */
  readonly pad: boolean;
  /** `|2^31` behind the key. */
  readonly lifetime: boolean;
}

const CODEC_VERBS = ['strip', 'except', 'offer', 'mask', 'transcode', 'accept', 'consume', 'set'] as const;
export type CodecVerb = (typeof CODEC_VERBS)[number];

const OFF = new Set(['off', 'no', 'disable', 'none']);

type Dictionary = Readonly<Record<string, Bencode>>;

/**
 * Reads the keys of an offer or answer. `T.38` and `t38`, `media address` and `media-address`, `ICE` and `ice` are the
 * same. Unknown ones are passed over; never throws.
 */
export function readFlags(command: Dictionary, dialect: Dialect = '10.5'): MediaFlags {
  const keys = new Map(Object.entries(command).map(([key, value]) => [spelled(key), value]));
  // Newer releases take a word where a list of words is wanted.
  const words = (value: Bencode | undefined, verbatim = false) =>
    listed(dialect === '26' && typeof value === 'string' ? [value] : value, verbatim);
  const flags = new Set(words(keys.get('flags')));
  const ice = iceWords(keys.get('ice'), flags);
  const webrtc = flags.has('WebRTC');
  if (webrtc) for (const flag of ['trickle-ICE', 'no-rtcp-attribute', 'generate-mid']) flags.add(flag);
  const prefixed = (prefix: string) =>
    [...flags].filter((flag) => flag.startsWith(prefix)).map((flag) => flag.slice(prefix.length).replaceAll('--', '='));
  const codecs = dictionaryOf(keys.get('codec'));
  const codec = Object.fromEntries(
    CODEC_VERBS.map((verb) => [
      verb,
      [...words(codecs[verb]), ...prefixed(`codec-${verb}-`), ...(verb === 'transcode' ? prefixed('transcode-') : [])],
    ]),
  ) as Record<CodecVerb, string[]>;
  if (flags.has('always-transcode')) codec.accept.push('all');
  const sdes = [...words(keys.get('sdes')), ...prefixed('SDES-')];
  const learned = text(keys.get('endpoint-learning')) ?? prefixed('endpoint-learning-')[0];
  const lite = text(keys.get('ice-lite'))?.toLowerCase() ?? ice.find((word) => word.startsWith('lite-'))?.slice(5);
  const osrtp = [...words(keys.get('osrtp')), ...prefixed('OSRTP-')].map((word) => word.toLowerCase().split('-')[0]);
  return {
    ice: ice.map(iceOf).find((word) => word !== 'default') ?? (webrtc ? 'force' : 'default'),
    iceLite: new Set(
      lite === 'both' ? (['forward', 'backward'] as const) : lite === 'forward' || lite === 'backward' ? [lite] : [],
    ),
    dtls: dtlsOf(keys.get('dtls')),
    dtlsReverse: reverseOf(keys, dialect),
    fingerprint: text(keys.get('dtls-fingerprint'))?.toLowerCase(),
    sdes: {
      off: webrtc || sdes.some((word) => OFF.has(word.toLowerCase())),
      without: new Set(sdes.filter((word) => word.startsWith('no-')).map((word) => word.slice(3))),
      only: new Set(sdes.filter((word) => word.startsWith('only-')).map((word) => word.slice(5))),
      pad: sdes.includes('pad') || flags.has('pad-crypto'),
      lifetime: sdes.includes('lifetime'),
    },
    osrtp: new Set(osrtp.filter((word) => word !== undefined)),
    protocol:
      text(keys.get('transport-protocol'))?.toUpperCase() ??
      protocolFlags(flags) ??
      (webrtc ? 'UDP/TLS/RTP/SAVPF' : undefined),
    rtcpMux: new Set([
      ...words(keys.get('rtcp-mux')).map((word) => word.toLowerCase()),
      ...(webrtc ? ['offer', 'require'] : []),
    ]),
    bundle: new Set(words(keys.get('bundle')).map((word) => word.toLowerCase())),
    replace: new Set(words(keys.get('replace')).map((word) => word.toLowerCase())),
    flags,
    codec,
    direction: directionOf(words(keys.get('direction'), true), keys),
    mediaAddress: addressOf(text(keys.get('media-address'))),
    addressFamily: familyOf(text(keys.get('address-family'))),
    receivedFrom: receivedFrom(keys.get('received-from')),
    learning: flags.has('asymmetric')
      ? 'asymmetric'
      : learned === 'off' || flags.has('no-endpoint-learning')
        ? 'off'
        : learned === 'immediate' || learned === 'heuristic'
          ? learned
          : 'delayed',
    ptimeMs: ptimeOf(keys.get('ptime')),
    ptimeReverseMs: ptimeOf(keys.get('ptime-reverse')),
    label: text(keys.get('label')) ?? text(keys.get('set-label')),
    sdpChanges: readChanges(keys.get('sdp-attr'), flags),
    dialect,
    tos: tosOf(keys.get('tos')),
    generateRtcp: onOrOff(text(keys.get('generate-rtcp'))) ?? (flags.has('generate-RTCP') ? true : undefined),
    dropTraffic: dropOf(text(keys.get('drop-traffic'))?.toLowerCase()),
    echo: echoOf(text(keys.get('media-echo'))?.toLowerCase()),
  };
}

/** `[IP4, 192.0.2.1]` */
export function receivedFrom(value: Bencode | undefined): string | undefined {
  const received = listed(value);
  return received.length === 2 ? addressOf(received[1]) : undefined;
}

/** What is no address would be written into SDP as it is, or could not be sent to. */
function addressOf(value: string | undefined): string | undefined {
  return value !== undefined && isAddress(value) ? value : undefined;
}

function spelled(key: string): string {
  return key.toLowerCase().replaceAll(' ', '-').replaceAll('.', '');
}

function iceOf(word: string | undefined): MediaFlags['ice'] {
  return word === 'remove' || word === 'force' || word === 'optional' || word === 'force-relay' ? word : 'default';
}

function dtlsOf(value: Bencode | undefined): MediaFlags['dtls'] {
  const word = text(value)?.toLowerCase() ?? '';
  if (OFF.has(word)) return 'off';
  return word === 'passive' || word === 'active' ? word : 'default';
}

/** Newer releases have one key for both directions. */
function reverseOf(keys: ReadonlyMap<string, Bencode>, dialect: Dialect): MediaFlags['dtls'] {
  const own = dtlsOf(keys.get('dtls-reverse'));
  const both = dialect === '26' && own === 'default' ? dtlsOf(keys.get('dtls')) : own;
  return own === 'off' || both !== 'off' ? both : own;
}

function familyOf(word: string | undefined): 'IP4' | 'IP6' | undefined {
  const upper = word?.toUpperCase();
  return upper === 'IP4' || upper === 'IP6' ? upper : undefined;
}

function ptimeOf(value: Bencode | undefined): number | undefined {
  const ptime = Number(value);
  return Number.isInteger(ptime) && ptime >= 10 && ptime <= 60 && ptime % 10 === 0 ? ptime : undefined;
}

function tosOf(value: Bencode | undefined): MediaFlags['tos'] {
  const tos = value === undefined || value === '' ? Number.NaN : Number(value);
  if (tos < 0) return 'keep';
  return Number.isInteger(tos) && tos <= 255 ? tos : undefined;
}

function onOrOff(word: string | undefined): boolean | undefined {
  const lower = word?.toLowerCase() ?? '';
  return lower === 'on' || lower === 'yes' ? true : OFF.has(lower) ? false : undefined;
}

function dropOf(word: string | undefined): boolean | undefined {
  return word === 'start' ? true : word === 'stop' ? false : undefined;
}

function echoOf(word: string | undefined): Echo | undefined {
  if (word === 'sinkhole') return 'blackhole';
  if (word === 'backward') return 'backwards';
  return word === 'blackhole' || word === 'forward' || word === 'backwards' || word === 'both' ? word : undefined;
}

/** One word or, of newer releases, several: `trickle` is a flag. */
function iceWords(value: Bencode | undefined, flags: Set<string>): string[] {
  const ice = (typeof value === 'string' ? [value] : listed(value)).map((word) => word.toLowerCase());
  if (ice.includes('trickle')) flags.add('trickle-ICE');
  return ice;
}

/** Newer releases name the two interfaces by keys of their own. */
function directionOf(direction: string[], keys: ReadonlyMap<string, Bencode>): readonly string[] {
  const from = text(keys.get('from-interface'));
  const to = text(keys.get('to-interface'));
  return from === undefined && to === undefined ? direction : [from ?? direction[0] ?? '', to ?? direction[1] ?? ''];
}

/** The older way to name the protocol: `RTP AVP`, `RTP SAVPF` as flags. */
function protocolFlags(flags: ReadonlySet<string>): string | undefined {
  for (const name of ['RTP/SAVPF', 'RTP/SAVP', 'RTP/AVPF', 'RTP/AVP']) {
    if (flags.has(name) || flags.has(name.replace('/', '-'))) return name;
  }
  return undefined;
}

export function text(value: Bencode | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

export function isDictionary(value: Bencode | undefined): value is Dictionary {
  return typeof value === 'object' && !Array.isArray(value);
}

function dictionaryOf(value: Bencode | undefined): Dictionary {
  return isDictionary(value) ? value : {};
}

/** Of one list: each codec of an offer is held against each pattern. */
const MAX_WORDS = 256;

/** Of a list; `trust address` is the same as `trust-address`. A word in the place of a list is none (as rtpengine has it). */
function listed(value: Bencode | undefined, verbatim = false): string[] {
  if (!Array.isArray(value)) return [];
  return (value as readonly Bencode[])
    .slice(0, MAX_WORDS)
    .filter((item): item is string => typeof item === 'string')
    .map((word) => (verbatim ? word : word.replaceAll(' ', '-')));
}
