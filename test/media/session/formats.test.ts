import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import type { Codec } from '../../../codecs/mod.ts';
import { readFlags } from '../../../media/session/flags.ts';
import { agree, codingPolicy, offeredCodecs, pathBetween, tuningOf } from '../../../media/session/formats.ts';
import type { Bencode } from '../../../vocabulary/mod.ts';

const codec = (pt: number, name: string, clockRate = 8000, channels = 1, fmtp?: string): Codec => ({
  pt,
  name,
  clockRate,
  channels,
  fmtp,
});
const OPUS = codec(111, 'opus', 48_000, 2, 'useinbandfec=1');
const PCMU = codec(0, 'PCMU');
const PCMA = codec(8, 'PCMA');
const G722 = codec(9, 'G722');
const EVENT = codec(126, 'telephone-event');
const EVENT48 = codec(110, 'telephone-event', 48_000);
const flags = (keys: Record<string, Bencode>) => readFlags(keys);
const policy = (verbs: Record<string, Bencode>) => codingPolicy(flags({ codec: verbs }), undefined);
const names = (codecs: readonly Codec[]) => codecs.map(({ name, pt }) => `${name}:${pt}`);

describe('what is offered on', () => {
  it('keeps the order, less what is stripped and masked', () => {
    const kept = offeredCodecs([OPUS, G722, PCMU, EVENT], flags({ codec: { mask: ['opus'], strip: ['G722'] } }));
    assert.deepEqual(names(kept), ['PCMU:0', 'telephone-event:126']);
  });

  it('strips all but the excepted', () => {
    const kept = offeredCodecs([OPUS, PCMU, PCMA], flags({ codec: { strip: ['all'], except: ['PCMA'] } }));
    assert.deepEqual(names(kept), ['PCMA:8']);
  });

  it('adds a codec to transcode behind speech, with a free number', () => {
    const kept = offeredCodecs([PCMU, codec(96, 'telephone-event')], flags({ codec: { transcode: ['opus'] } }));
    assert.deepEqual(names(kept), ['PCMU:0', 'opus:97', 'telephone-event:96']);
  });
});

describe('what is agreed', () => {
  it('passes a common codec through', () => {
    const { forOfferer, transcode } = agree([OPUS, PCMU, EVENT], [PCMU, EVENT], policy({}), flags({}));
    assert.deepEqual(names(forOfferer), ['PCMU:0', 'telephone-event:126']);
    assert.equal(transcode, undefined);
  });

  it('keeps the numbers of the answer for what is sent to the answerer', () => {
    const { forOfferer } = agree([PCMU, EVENT], [PCMU, codec(101, 'telephone-event'), G722], policy({}), flags({}));
    assert.deepEqual(names(forOfferer), ['PCMU:0', 'telephone-event:101']);
  });

  it('answers with a consumed codec that stands first in the offer', () => {
    const { forOfferer, transcode } = agree(
      [OPUS, PCMU, EVENT48, EVENT],
      [PCMU, EVENT],
      policy({ consume: ['opus'] }),
      flags({}),
    );
    assert.deepEqual(names(forOfferer), ['opus:111', 'telephone-event:110']);
    assert.equal(transcode?.answerer.name, 'PCMU');
  });

  it('codes when there is nothing in common and coding was asked for', () => {
    const answer = [codec(96, 'opus', 48_000, 2)];
    assert.equal(agree([PCMU], answer, policy({ transcode: ['opus'] }), flags({})).transcode?.offerer.name, 'PCMU');
    assert.equal(agree([PCMU], answer, policy({}), flags({})).transcode, undefined);
  });

  it('repeats the offer where nobody can code, and lets packets through', () => {
    const { forOfferer, transcode } = agree([PCMU], [G722], policy({ accept: ['all'] }), flags({}));
    assert.deepEqual(names(forOfferer), ['PCMU:0']);
    assert.equal(transcode, undefined);
  });

  it('gives the encoder what the receiver has said, and maps events to their clock', () => {
    const path = pathBetween(
      { codecs: [PCMU, EVENT], speech: PCMU, ptimeMs: undefined, tuning: [] },
      { codecs: [OPUS, EVENT48], speech: OPUS, ptimeMs: undefined, tuning: [] },
      true,
    );
    assert.ok(path.mode === 'transcode');
    assert.equal(path.out.opus?.fec, true);
    assert.deepEqual(path.dtmf, [{ inPt: 126, inClock: 8000, outPt: 110, outClock: 48_000 }]);
  });

  const encoder = (speech: Codec, tuning: readonly string[], ptimeMs?: number) => {
    const other = speech === PCMU ? PCMA : PCMU;
    const from = { codecs: [other], speech: other, ptimeMs: undefined, tuning: [] };
    const path = pathBetween(from, { codecs: [speech], speech, ptimeMs, tuning }, true);
    assert.ok(path.mode === 'transcode');
    return { bitrate: path.out.opus?.bitrate, ptimeMs: path.out.ptimeMs };
  };

  it('gives the encoder what a pattern asks for, up to what the receiver allows', () => {
    const limited = codec(111, 'opus', 48_000, 2, 'maxaveragebitrate=24000');
    assert.deepEqual(encoder(OPUS, ['opus/48000/2/32000']), { bitrate: 32_000, ptimeMs: 20 });
    assert.deepEqual(encoder(limited, ['opus/48000/2/32000']), { bitrate: 24_000, ptimeMs: 20 });
    assert.deepEqual(encoder(limited, ['opus/48000/2/16000']), { bitrate: 16_000, ptimeMs: 20 });
    assert.deepEqual(encoder(limited, []), { bitrate: 24_000, ptimeMs: 20 });
    assert.deepEqual(encoder(OPUS, ['PCMU/8000/1/64000', 'opus', 'OPUS////40']), { bitrate: undefined, ptimeMs: 40 });
    // Beyond what Opus knows, of another clock, or no number.
    assert.deepEqual(encoder(OPUS, ['opus/48000/2/999999']), { bitrate: undefined, ptimeMs: 20 });
    assert.deepEqual(encoder(OPUS, ['opus/16000/2/32000', 'opus/48000/2/-1/x']), { bitrate: undefined, ptimeMs: 20 });
  });

  it('packs G.711 as a pattern asks for, before what the receiver has said', () => {
    assert.deepEqual(encoder(PCMU, ['PCMU/8000/1//40'], 20), { bitrate: undefined, ptimeMs: 40 });
    assert.deepEqual(encoder(PCMU, ['PCMU'], 30), { bitrate: undefined, ptimeMs: 30 });
    assert.deepEqual(encoder(PCMU, ['PCMU/8000/1//1000'], 30), { bitrate: undefined, ptimeMs: 60 });
  });

  it('takes the settings for the offerer from set and accept, for the other party from transcode', () => {
    const asked = flags({
      codec: { set: ['opus/48000/2/32000'], accept: ['PCMU/8000/1//40'], transcode: ['opus/48000/2/16000'] },
      flags: ['codec-set-PCMA////30'],
    });
    assert.deepEqual(tuningOf(asked, true), ['opus/48000/2/32000', 'PCMA////30', 'PCMU/8000/1//40']);
    assert.deepEqual(tuningOf(asked, false), ['opus/48000/2/16000']);
  });
});
