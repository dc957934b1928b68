import type { Learning } from '../dataplane/mod.ts';
import { isAddress, type Bencode } from '../../vocabulary/mod.ts';

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
  /** Attributes to leave out, by media type; `global` for all, `none` for the session part. */
  readonly removedAttributes: ReadonlyMap<string, ReadonlySet<string>>;
}

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
export function readFlags(command: Dictionary): MediaFlags {
  const keys = new Map(Object.entries(command).map(([key, value]) => [spelled(key), value]));
  const flags = new Set(words(keys.get('flags')));
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
  const lite = text(keys.get('ice-lite'))?.toLowerCase();
  const osrtp = [...words(keys.get('osrtp')), ...prefixed('OSRTP-')].map((word) => word.toLowerCase().split('-')[0]);
  return {
    ice: iceOf(text(keys.get('ice'))?.toLowerCase()),
    iceLite: new Set(
      lite === 'both' ? (['forward', 'backward'] as const) : lite === 'forward' || lite === 'backward' ? [lite] : [],
    ),
    dtls: dtlsOf(keys.get('dtls')),
    dtlsReverse: dtlsOf(keys.get('dtls-reverse')),
    fingerprint: text(keys.get('dtls-fingerprint'))?.toLowerCase(),
    sdes: {
      off: sdes.some((word) => OFF.has(word.toLowerCase())),
      without: new Set(sdes.filter((word) => word.startsWith('no-')).map((word) => word.slice(3))),
      only: new Set(sdes.filter((word) => word.startsWith('only-')).map((word) => word.slice(5))),
      pad: sdes.includes('pad') || flags.has('pad-crypto'),
      lifetime: sdes.includes('lifetime'),
    },
    osrtp: new Set(osrtp.filter((word) => word !== undefined)),
    protocol: text(keys.get('transport-protocol'))?.toUpperCase() ?? protocolFlags(flags),
    rtcpMux: new Set(words(keys.get('rtcp-mux')).map((word) => word.toLowerCase())),
    bundle: new Set(words(keys.get('bundle')).map((word) => word.toLowerCase())),
    replace: new Set(words(keys.get('replace')).map((word) => word.toLowerCase())),
    flags,
    codec,
    direction: words(keys.get('direction'), true),
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
    removedAttributes: removals(dictionaryOf(keys.get('sdp-attr'))),
  };
}

/** `[IP4, 192.0.2.1]` */
export function receivedFrom(value: Bencode | undefined): string | undefined {
  const received = words(value);
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

function familyOf(word: string | undefined): 'IP4' | 'IP6' | undefined {
  const upper = word?.toUpperCase();
  return upper === 'IP4' || upper === 'IP6' ? upper : undefined;
}

function ptimeOf(value: Bencode | undefined): number | undefined {
  const ptime = Number(value);
  return Number.isInteger(ptime) && ptime >= 10 && ptime <= 60 && ptime % 10 === 0 ? ptime : undefined;
}

/** `{audio: {remove: [ssrc, msid]}}`. */
function removals(parts: Dictionary): ReadonlyMap<string, ReadonlySet<string>> {
  return new Map(
    Object.entries(parts).map(([part, verbs]) => [part, new Set(words(dictionaryOf(verbs)['remove'], true))]),
  );
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
function words(value: Bencode | undefined, verbatim = false): string[] {
  if (!Array.isArray(value)) return [];
  return (value as readonly Bencode[])
    .slice(0, MAX_WORDS)
    .filter((item): item is string => typeof item === 'string')
    .map((word) => (verbatim ? word : word.replaceAll(' ', '-')));
}
