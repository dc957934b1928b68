import { canTranscode, isEvent, isSpeech, sameCodec, type Codec } from '../../codecs/mod.ts';
import type { TapCoding } from '../dataplane/mod.ts';
import { pathBetween } from './formats.ts';
import { senderCodecs } from './paths.ts';
import type { RemoteMedia } from './remote-media.ts';
import type { Side } from './session.ts';

/**
 * How a subscriber gets what it does not take of what a party may send: in the first of its formats that can be coded.
 * `undefined`: nothing is to be coded, or nothing can be.
 */
export function codingFor(party: Side, subscriber: RemoteMedia | undefined): TapCoding | undefined {
  if (!subscriber || subscriber.kind !== 'audio' || subscriber.carriage !== 'rtp') return undefined;
  const sent = senderCodecs(party, false);
  const takes = (codec: Codec) => subscriber.codecs.some((other) => sameCodec(other, codec));
  const missing = sent.filter((codec) => isSpeech(codec) && canTranscode(codec) && !takes(codec));
  const target = subscriber.codecs.find((codec) => isSpeech(codec) && canTranscode(codec));
  if (missing.length === 0 || !target) return undefined;
  const ptimeMs = party.ptimeMs ?? party.remote?.ptimeMs;
  const path = pathBetween(
    { codecs: [...missing, ...sent.filter(isEvent)], speech: missing[0], ptimeMs, tuning: [] },
    { codecs: subscriber.codecs, speech: target, ptimeMs: subscriber.ptimeMs ?? ptimeMs, tuning: [] },
    true,
  );
  if (path.mode !== 'transcode') return undefined;
  const untouched = sent.filter((codec) => !isEvent(codec) && takes(codec)).map(({ pt }) => ({ pt }));
  return { in: path.in, out: path.out, dtmf: path.dtmf, jitter: path.jitter, untouched };
}
