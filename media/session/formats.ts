import {
  canTranscode,
  eventFor,
  existing,
  isEvent,
  isSpeech,
  named,
  newCodec,
  sameCodec,
  settingsOf,
  type Codec,
} from '../../codecs/mod.ts';
import type { PathSpec, PayloadFormat } from '../dataplane/mod.ts';
import type { MediaFlags } from './flags.ts';

/** The formats that the other party is offered. Masked ones are kept from it, but the offerer may still be answered with them. */
export function offeredCodecs(codecs: readonly Codec[], flags: MediaFlags): readonly Codec[] {
  const { strip, except, offer, mask, transcode, consume } = flags.codec;
  const spared = [...except, ...offer];
  // Nothing would be left: rtpengine leaves the list as it is.
  const strips = spared.length === 0 && mask.length === 0 && transcode.length === 0 ? strip.filter(notAll) : strip;
  const hidden = [...strips, ...mask, ...consume];
  const restored = transcode.map((pattern) => existing(pattern, codecs)).filter((codec) => codec !== undefined);
  const kept = codecs.filter((codec) => {
    if (spared.some((pattern) => named(codec, pattern))) return true;
    if (!hidden.some((pattern) => named(codec, pattern))) return true;
    return restored.includes(codec) && !strips.filter(notAll).some((pattern) => named(codec, pattern));
  });
  const listed = offer.flatMap((pattern) => kept.filter((codec) => named(codec, pattern)));
  const ordered = [...new Set([...listed, ...kept])];
  for (const pattern of transcode) {
    if (existing(pattern, ordered)) continue;
    // Numbers that the offerer uses for what is hidden are not given to something else.
    const fresh = newCodec(pattern, [...codecs, ...ordered]);
    if (!fresh) continue;
    // Behind speech, before events.
    const at = isSpeech(fresh) ? ordered.findIndex((codec) => !isSpeech(codec)) : -1;
    ordered.splice(at < 0 ? ordered.length : at, 0, fresh);
  }
  return ordered;
}

function notAll(pattern: string): boolean {
  return pattern.toLowerCase() !== 'all';
}

/** What the offer has said about coding, for when it is answered. */
export interface CodingPolicy {
  /** Formats that the offerer may be answered with whatever the other party takes. */
  readonly accepted: readonly string[];
  /** Nothing in common is no reason to give up. */
  readonly engaged: boolean;
  /** Speech is packed anew even where the codec is common: another packet time was asked for. */
  readonly repacked: boolean;
}

export function codingPolicy(flags: MediaFlags, ptimeMs: number | undefined): CodingPolicy {
  const { mask, accept, consume, transcode } = flags.codec;
  const repacked =
    (flags.ptimeMs !== undefined && flags.ptimeMs !== (ptimeMs ?? 20)) || flags.ptimeReverseMs !== undefined;
  const accepted = [...accept, ...consume];
  return { accepted, engaged: accepted.length + mask.length + transcode.length > 0, repacked };
}

export interface Agreement {
  /** What the offerer is answered. */
  readonly forOfferer: readonly Codec[];
  /** Undefined: packets pass as they are. */
  readonly transcode: { readonly offerer: Codec; readonly answerer: Codec } | undefined;
}

/**
 * From what one party offered and the other one chose. What stands first in the offer wins, among the formats that the
 * answerer has taken too and those that we accept in its place and can code. Where there is none and coding was asked
 * for, the best of the offer that we can code takes its place; else packets pass untouched and the offer is repeated.
 */
export function agree(
  offer: readonly Codec[],
  answer: readonly Codec[],
  policy: CodingPolicy,
  flags: MediaFlags,
): Agreement {
  const chosen = answer.find(isSpeech);
  // What was not offered is not for the offerer. Numbers and parameters are the answerer's, about what it receives
  // (RFC 3264 §6.1): packets reach it as they are.
  const shared = answer.filter((codec) => offer.some((other) => sameCodec(other, codec)));
  if (!chosen) return { forOfferer: shared.length > 0 ? shared : offer, transcode: undefined };
  const taken = (codec: Codec) => answer.some((other) => sameCodec(other, codec));
  const able = (codec: Codec) => canTranscode(codec) && canTranscode(chosen);
  const best =
    offer.find(
      (codec) =>
        isSpeech(codec) && (taken(codec) || (able(codec) && policy.accepted.some((pattern) => named(codec, pattern)))),
    ) ?? (policy.engaged ? offer.find((codec) => isSpeech(codec) && able(codec)) : undefined);
  if (!best) return { forOfferer: offer, transcode: undefined };
  const event = answer.some(isEvent) ? eventFor(offer, best) : undefined;
  if (taken(best)) {
    const speech = shared.find((codec) => sameCodec(codec, best)) ?? best;
    const one = flags.flags.has('single-codec');
    const coded = policy.repacked && canTranscode(best);
    return {
      forOfferer: one ? single(shared, speech) : shared,
      transcode: coded ? { offerer: best, answerer: speech } : undefined,
    };
  }
  return { forOfferer: event ? [best, event] : [best], transcode: { offerer: best, answerer: chosen } };
}

function single(codecs: readonly Codec[], speech: Codec): Codec[] {
  const event = eventFor(codecs, speech);
  return event ? [speech, event] : [speech];
}

/** What our encoder towards a party is asked to do: as the offerer by its offer, else by the offer to it. */
export function tuningOf({ codec }: MediaFlags, offerer: boolean): readonly string[] {
  const { transcode, set, accept, consume, mask } = codec;
  return offerer ? [...set, ...accept, ...consume, ...mask] : transcode;
}

const JITTER = { minMs: 40, maxMs: 400 } as const;

interface PathEnd {
  readonly codecs: readonly Codec[];
  readonly speech: Codec | undefined;
  readonly ptimeMs: number | undefined;
  readonly tuning: readonly string[];
}

/** How what one party sends is to reach the other. */
export function pathBetween(from: PathEnd, to: PathEnd, transcode: boolean): PathSpec {
  if (!transcode || !from.speech || !to.speech) return { mode: 'relay' };
  const inFormats = codableFormats(from.codecs, from.ptimeMs);
  const out = formatOf(to.speech, to.ptimeMs, to.tuning);
  if (inFormats.length === 0 || !out) return { mode: 'relay' };
  const target = eventFor(to.codecs, to.speech);
  const dtmf = target
    ? from.codecs
        .filter(isEvent)
        .map((event) => ({ inPt: event.pt, inClock: event.clockRate, outPt: target.pt, outClock: target.clockRate }))
    : [];
  return { mode: 'transcode', in: inFormats, out, dtmf, jitter: JITTER };
}

/** Of what a party hears, that into which something can be mixed. */
export function codableFormats(
  codecs: readonly Codec[],
  ptimeMs: number | undefined,
  tuning: readonly string[] = [],
): readonly PayloadFormat[] {
  return codecs
    .filter((codec) => isSpeech(codec) && canTranscode(codec))
    .map((codec) => formatOf(codec, ptimeMs, tuning))
    .filter((format) => format !== undefined);
}

/** What a pattern asks for comes before a=ptime; the bitrate that the receiver has set is never exceeded (RFC 7587 §6.1). */
function formatOf(codec: Codec, saidPtimeMs: number | undefined, tuning: readonly string[]): PayloadFormat | undefined {
  const name = codec.name.toLowerCase();
  const asked = settingsOf(codec, tuning);
  const ptimeMs = asked.ptimeMs ?? saidPtimeMs;
  const common = { pt: codec.pt, clockRate: codec.clockRate, channels: codec.channels };
  if (name === 'opus') {
    const fmtp = codec.fmtp ?? '';
    const number = (key: string) => Number(new RegExp(`(?:^|[;\\s])${key}=(\\d+)`).exec(fmtp)?.[1] ?? Number.NaN);
    const rate = number('maxplaybackrate');
    const limit = number('maxaveragebitrate');
    const bitrate = asked.bitrate === undefined ? limit : Math.min(asked.bitrate, limit || asked.bitrate);
    return {
      ...common,
      codec: 'opus',
      ptimeMs: opusPtime(ptimeMs),
      opus: {
        fec: number('useinbandfec') === 1,
        dtx: number('usedtx') === 1,
        ...(rate >= 8000 && rate <= 48_000 ? { maxPlaybackRate: rate } : {}),
        ...(bitrate >= 6000 && bitrate <= 510_000 ? { bitrate } : {}),
      },
    };
  }
  if (name === 'pcmu' || name === 'pcma') {
    return { ...common, codec: name === 'pcmu' ? 'PCMU' : 'PCMA', ptimeMs: wholeFrames(ptimeMs) };
  }
  return undefined;
}

/** G.711 is cut into tens of milliseconds, at most six. */
function wholeFrames(ptimeMs: number | undefined): number {
  return ptimeMs === undefined || !(ptimeMs > 0) ? 20 : Math.min(60, Math.max(10, Math.floor(ptimeMs / 10) * 10));
}

function opusPtime(ptimeMs: number | undefined): number {
  return ptimeMs === 10 || ptimeMs === 40 || ptimeMs === 60 ? ptimeMs : 20;
}
