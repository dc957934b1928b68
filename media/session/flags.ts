import type { Bencode } from '../../vocabulary/mod.ts';

/** What an ng offer or answer asks for, after its many spellings have been brought together. */
export interface MediaFlags {
  readonly ice: 'remove' | 'force' | 'default';
  readonly dtls: 'off' | 'passive' | 'active' | 'default';
  readonly sdesOff: boolean;
  /** `RTP/AVP`, `UDP/TLS/RTP/SAVPF` …; absent: as it came. */
  readonly protocol: string | undefined;
  readonly rtcpMux: ReadonlySet<string>;
  readonly replaceOrigin: boolean;
  readonly replaceSessionConnection: boolean;
  readonly flags: ReadonlySet<string>;
  readonly codec: {
    readonly strip: readonly string[];
    readonly except: readonly string[];
    readonly offer: readonly string[];
    readonly mask: readonly string[];
    readonly transcode: readonly string[];
  };
  /** Interfaces towards the sender and towards the receiver. */
  readonly direction: readonly string[];
  readonly learning: 'off' | 'immediate' | 'delayed' | 'heuristic';
  readonly ptimeMs: number | undefined;
}

type Dictionary = Readonly<Record<string, Bencode>>;

export function readFlags(command: Dictionary): MediaFlags {
  const flags = new Set(words(command['flags']));
  const prefixed = (prefix: string) =>
    [...flags].filter((flag) => flag.startsWith(prefix)).map((flag) => flag.slice(prefix.length).replaceAll('--', '='));
  const codecs = isDictionary(command['codec']) ? command['codec'] : {};
  const list = (name: string) => [
    ...words(codecs[name]),
    ...prefixed(`codec-${name}-`),
    ...(name === 'transcode' ? prefixed('transcode-') : []),
  ];
  const ice = text(command['ICE'])?.toLowerCase();
  const dtls = text(command['DTLS'])?.toLowerCase();
  const replace = new Set(words(command['replace']));
  const learned = text(command['endpoint-learning']) ?? prefixed('endpoint-learning-')[0];
  const ptime = Number(command['ptime']);
  return {
    ice: ice === 'remove' ? 'remove' : ice === 'force' || ice === 'force-relay' ? 'force' : 'default',
    dtls:
      dtls === 'off' || dtls === 'no' || dtls === 'disable'
        ? 'off'
        : dtls === 'passive'
          ? 'passive'
          : dtls === 'active'
            ? 'active'
            : 'default',
    sdesOff: words(command['SDES']).some((word) => ['off', 'no', 'disable'].includes(word)) || flags.has('SDES-off'),
    protocol: text(command['transport-protocol'])?.toUpperCase() ?? protocolFlags(flags),
    rtcpMux: new Set(words(command['rtcp-mux'])),
    replaceOrigin: replace.has('origin') || replace.has('force-increment-sdp-ver'),
    replaceSessionConnection: replace.has('session-connection') || replace.has('session connection'),
    flags,
    codec: {
      strip: list('strip'),
      except: list('except'),
      offer: list('offer'),
      mask: list('mask'),
      transcode: list('transcode'),
    },
    direction: words(command['direction']),
    learning:
      learned === 'off' || flags.has('no-endpoint-learning')
        ? 'off'
        : learned === 'immediate' || learned === 'delayed'
          ? learned
          : 'heuristic',
    ptimeMs: Number.isInteger(ptime) && ptime >= 10 && ptime <= 60 && ptime % 10 === 0 ? ptime : undefined,
  };
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

/** Lists, and single words in the place of a list; `trust address` is the same as `trust-address`. */
function words(value: Bencode | undefined): string[] {
  const items: readonly Bencode[] = Array.isArray(value)
    ? (value as readonly Bencode[])
    : value === undefined
      ? []
      : [value];
  return items.filter((item): item is string => typeof item === 'string').map((word) => word.replaceAll(' ', '-'));
}
