import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import type { Codec } from '../../../codecs/mod.ts';
import { readFlags } from '../../../media/session/flags.ts';
import { agree, codingPolicy, offeredCodecs, pathBetween } from '../../../media/session/formats.ts';
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
      { codecs: [PCMU, EVENT], speech: PCMU, ptimeMs: undefined },
      { codecs: [OPUS, EVENT48], speech: OPUS, ptimeMs: undefined },
      true,
    );
    assert.ok(path.mode === 'transcode');
    assert.equal(path.out.opus?.fec, true);
    assert.deepEqual(path.dtmf, [{ inPt: 126, inClock: 8000, outPt: 110, outClock: 48_000 }]);
  });
});
