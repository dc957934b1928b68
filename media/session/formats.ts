import { canTranscode, eventFor, isEvent, isSpeech, named, newCodec, sameCodec, type Codec } from '../../codecs/mod.ts';
import type { PathSpec, PayloadFormat } from '../dataplane/mod.ts';
import type { MediaFlags } from './flags.ts';

/** The formats that the other party is offered. Masked ones are kept from it, but the offerer may still be answered with them. */
export function offeredCodecs(codecs: readonly Codec[], flags: MediaFlags): readonly Codec[] {
  const { strip, except, offer, mask, transcode } = flags.codec;
  const excepted = (codec: Codec) => [...except, ...offer].some((pattern) => named(codec, pattern));
  let kept = codecs.filter((codec) => excepted(codec) || ![...strip, ...mask].some((pattern) => named(codec, pattern)));
  for (const name of transcode) {
    if (kept.some((codec) => named(codec, name))) continue;
    const added = newCodec(name, kept);
    if (!added) continue;
    // Behind speech, before events.
    const at = kept.findIndex((codec) => !isSpeech(codec));
    kept = at < 0 ? [...kept, added] : [...kept.slice(0, at), added, ...kept.slice(at)];
  }
  return kept;
}

export interface Agreement {
  /** What the offerer is answered. */
  readonly forOfferer: readonly Codec[];
  /** Undefined: packets pass as they are. */
  readonly transcode: { readonly offerer: Codec; readonly answerer: Codec } | undefined;
}

/**
 * From what one party offered and the other one chose. What stands first in the offer wins, among the formats that the
 * answerer has taken too and those that were masked from it and that we can code. Where there is none, the best of the
 * offer that we can code takes its place.
 */
export function agree(
  offer: readonly Codec[],
  answer: readonly Codec[],
  mask: readonly string[],
  flags: MediaFlags,
): Agreement {
  const chosen = answer.find(isSpeech);
  if (!chosen) return { forOfferer: answer, transcode: undefined };
  const taken = (codec: Codec) => answer.some((other) => sameCodec(other, codec));
  const masked = (codec: Codec) =>
    canTranscode(codec) && canTranscode(chosen) && mask.some((name) => named(codec, name));
  const best =
    offer.find((codec) => isSpeech(codec) && (taken(codec) || masked(codec))) ??
    offer.find((codec) => isSpeech(codec) && canTranscode(codec) && canTranscode(chosen));
  // Nobody can help: the answer goes through as it is, as rtpengine does it.
  if (!best) return { forOfferer: answer, transcode: undefined };
  if (taken(best)) {
    // What was not offered is not for the offerer. Numbers and parameters are the answerer's, about what it receives
    // (RFC 3264 §6.1): packets reach it as they are.
    const shared = answer.filter((codec) => offer.some((other) => sameCodec(other, codec)));
    const speech = shared.find((codec) => sameCodec(codec, best)) ?? best;
    return { forOfferer: flags.flags.has('single-codec') ? single(shared, speech) : shared, transcode: undefined };
  }
  const event = answer.some(isEvent) ? eventFor(offer, best) : undefined;
  return { forOfferer: event ? [best, event] : [best], transcode: { offerer: best, answerer: chosen } };
}

function single(codecs: readonly Codec[], speech: Codec): Codec[] {
  const event = eventFor(codecs, speech);
  return event ? [speech, event] : [speech];
}

const JITTER = { minMs: 40, maxMs: 400 } as const;

/** How what one party sends is to reach the other. */
export function pathBetween(
  from: { readonly codecs: readonly Codec[]; readonly speech: Codec | undefined; readonly ptimeMs: number | undefined },
  to: { readonly codecs: readonly Codec[]; readonly speech: Codec | undefined; readonly ptimeMs: number | undefined },
  transcode: boolean,
): PathSpec {
  if (!transcode || !from.speech || !to.speech) return { mode: 'relay' };
  const receivable = from.codecs.filter((codec) => isSpeech(codec) && canTranscode(codec));
  const inFormats = receivable.map((codec) => formatOf(codec, from.ptimeMs)).filter((format) => format !== undefined);
  const out = formatOf(to.speech, to.ptimeMs);
  if (inFormats.length === 0 || !out) return { mode: 'relay' };
  const target = eventFor(to.codecs, to.speech);
  const dtmf = target
    ? from.codecs
        .filter(isEvent)
        .map((event) => ({ inPt: event.pt, inClock: event.clockRate, outPt: target.pt, outClock: target.clockRate }))
    : [];
  return { mode: 'transcode', in: inFormats, out, dtmf, jitter: JITTER };
}

function formatOf(codec: Codec, ptimeMs: number | undefined): PayloadFormat | undefined {
  const name = codec.name.toLowerCase();
  const common = { pt: codec.pt, clockRate: codec.clockRate, channels: codec.channels };
  if (name === 'opus') {
    const fmtp = codec.fmtp ?? '';
    const number = (key: string) => Number(new RegExp(`(?:^|[;\\s])${key}=(\\d+)`).exec(fmtp)?.[1] ?? Number.NaN);
    const rate = number('maxplaybackrate');
    const bitrate = number('maxaveragebitrate');
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
