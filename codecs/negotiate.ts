import { factsOf, factsOfStatic } from './table.ts';

/** One payload type of a media line. */
export interface Codec {
  readonly pt: number;
  readonly name: string;
  readonly clockRate: number;
  readonly channels: number;
  readonly fmtp: string | undefined;
  /** Values of a=rtcp-fb for this payload type (RFC 4585 §4.2). */
  readonly feedback?: readonly string[];
}

/** The parts of a parsed media section that say what its payload types are (sdp-transform's shape). */
export interface PayloadLines {
  readonly payloads?: string | undefined;
  readonly rtp: readonly {
    payload: number;
    codec: string;
    rate?: number | undefined;
    encoding?: number | string | undefined;
  }[];
  readonly fmtp: readonly { payload: number; config: string }[];
  readonly rtcpFb?: readonly { payload: number | string; type: string; subtype?: string | undefined }[] | undefined;
}

/** The payload types of a media line in the order of preference; unknown dynamic ones have an empty name. */
export function codecsOf(media: PayloadLines): Codec[] {
  // Each number once: there are 128, however long the line is.
  return [...new Set(String(media.payloads ?? '').split(/\s+/))]
    .filter((text) => /^\d{1,3}$/.test(text) && Number(text) < 128)
    .map((text) => {
      const pt = Number(text);
      const line = media.rtp.find(({ payload, rate }) => payload === pt && (rate === undefined || isClock(rate)));
      const fixed = line ? undefined : factsOfStatic(pt);
      return {
        pt,
        name: line?.codec ?? fixed?.name ?? '',
        clockRate: line?.rate ?? fixed?.clockRate ?? 8000,
        channels: Number(line?.encoding ?? fixed?.channels ?? 1) || 1,
        fmtp: media.fmtp.find((fmtp) => fmtp.payload === pt)?.config,
        feedback: feedbackOf(media, pt),
      };
    });
}

/** Hz of any RTP clock that there is; what is none names no codec. */
function isClock(rate: number): boolean {
  return rate >= 1000 && rate <= 192_000;
}

const NO_FEEDBACK: readonly string[] = [];

function feedbackOf({ rtcpFb }: PayloadLines, pt: number): readonly string[] {
  if (rtcpFb === undefined) return NO_FEEDBACK;
  return rtcpFb
    .filter(({ payload }) => Number(payload) === pt)
    .map(({ type, subtype }) => (subtype === undefined ? type : `${type} ${subtype}`));
}

export function isEvent(codec: Codec): boolean {
  return codec.name.toLowerCase() === 'telephone-event';
}

export function isNoise(codec: Codec): boolean {
  return codec.name.toUpperCase() === 'CN';
}

/** Audio proper: neither events, comfort noise nor redundancy. */
export function isSpeech(codec: Codec): boolean {
  const name = codec.name.toLowerCase();
  return !isEvent(codec) && !isNoise(codec) && name !== 'red' && name !== '' && name !== 'rtx' && name !== 'ulpfec';
}

export function sameCodec(a: Codec, b: Codec): boolean {
  return a.name.toLowerCase() === b.name.toLowerCase() && a.clockRate === b.clockRate && a.channels === b.channels;
}

/** By name, or `name/rate` or `name/rate/channels`, as ng's codec lists write it. */
export function named(codec: Codec, pattern: string): boolean {
  const [name, rate, channels] = pattern.split('/');
  if (name !== undefined && name.toLowerCase() === 'all') return true;
  if (codec.name.toLowerCase() !== name?.toLowerCase()) return false;
  if (rate && Number(rate) !== codec.clockRate) return false;
  return !channels || Number(channels) === codec.channels;
}

export function canTranscode(codec: Codec): boolean {
  return factsOf(codec.name)?.native !== undefined && codec.channels <= 2;
}

/**
 * A codec of ours for a media line that does not have it, with a payload type that is free there. `pattern` is
 * `name[/clock[/channels[/bitrate[/ptime[/fmtp]]]]]`; what is left empty is the codec's own.
 */
export function newCodec(pattern: string, used: readonly Codec[]): Codec | undefined {
  const [name = '', rate, channels, , , fmtp] = pattern.split('/');
  const facts = factsOf(name);
  if (facts === undefined || (facts.native === undefined && facts.name !== 'telephone-event')) return undefined;
  const taken = new Set(used.map((codec) => codec.pt));
  let pt = facts.staticPt;
  for (let candidate = 96; pt === undefined && candidate < 128; candidate++) if (!taken.has(candidate)) pt = candidate;
  if (pt === undefined || (facts.staticPt !== undefined && taken.has(pt))) return undefined;
  return {
    pt,
    name: facts.name,
    clockRate: isClock(Number(rate)) ? Number(rate) : facts.clockRate,
    channels: Number(channels) || facts.channels,
    fmtp: fmtp || facts.fmtp,
  };
}

/** What patterns ask of an encoder: bits a second, and how much a packet holds. */
export interface CodecSettings {
  readonly bitrate: number | undefined;
  readonly ptimeMs: number | undefined;
}

/** Of the first pattern that names the codec and says something of it; parts that are no numbers say nothing. */
export function settingsOf(codec: Codec, patterns: readonly string[]): CodecSettings {
  const whole = (part: string | undefined) =>
    part !== undefined && /^[1-9]\d{0,6}$/.test(part) ? Number(part) : undefined;
  for (const pattern of patterns) {
    const [, , , bitrate, ptime] = pattern.split('/');
    const settings = { bitrate: whole(bitrate), ptimeMs: whole(ptime) };
    if ((settings.bitrate ?? settings.ptimeMs) !== undefined && named(codec, pattern)) return settings;
  }
  return NO_SETTINGS;
}

const NO_SETTINGS: CodecSettings = { bitrate: undefined, ptimeMs: undefined };

/** The codec that `newCodec` would add, when the media line has it already. */
export function existing(pattern: string, codecs: readonly Codec[]): Codec | undefined {
  const [name = '', rate] = pattern.split('/');
  const facts = factsOf(name);
  return codecs.find((codec) => named(codec, pattern) && (rate || !facts || codec.clockRate === facts.clockRate));
}

/** What a party uses with the codec it has chosen for speech: the event type of the same clock, else any. */
export function eventFor(codecs: readonly Codec[], speech: Codec): Codec | undefined {
  const events = codecs.filter(isEvent);
  return (
    events.find((event) => event.clockRate === speech.clockRate) ??
    events.find((event) => event.clockRate === 8000) ??
    events[0]
  );
}
