import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { FixedNodes } from '../../../signaling/media-ng/mod.ts';
import { answerKeys, offerKeys } from '../../../signaling/media-ng/policy.ts';
import type { LegKind } from '../../../signaling/media-port.ts';

const KINDS: readonly LegKind[] = ['plain', 'webrtc'];
/** rtpengine 10.5 passes over these keys in silence when they are not lists. */
const LISTS = new Set(['flags', 'replace', 'rtcp-mux', 'bundle', 'SDES']);

describe('what signaling asks of a media node', () => {
  for (const from of KINDS) {
    for (const to of KINDS) {
      it(`${from} to ${to}: list-valued keys are lists, all others are not`, () => {
        for (const keys of [offerKeys(from, to), answerKeys(to, from)]) {
          for (const [key, value] of Object.entries(keys).filter(([name]) => name !== 'codec'))
            assert.equal(Array.isArray(value), LISTS.has(key), key);
          for (const list of Object.values(keys['codec'] ?? {})) assert.ok(Array.isArray(list));
        }
      });
    }
  }

  it('asks for a mid where a browser is to answer: Chromium groups by it, and a phone writes none', () => {
    assert.ok((offerKeys('plain', 'webrtc')['flags'] as string[]).includes('generate-mid'));
  });
});

describe('media nodes by a list', () => {
  const CALL = { callId: 'c', tenant: 'default', clients: [] };
  const nodes = new FixedNodes(['udp:192.0.2.1:2223', 'udp:192.0.2.2:2223', 'udp:[2001:db8::1]:2223'], 'local');
  const next = async (avoid: readonly string[] = []) => (await nodes.placeMedia({ ...CALL, avoid })).media.node;

  it('take calls in turn', async () => {
    const all = [await next(), await next(), await next()];
    assert.deepEqual(new Set(all), new Set(['192.0.2.1:2223', '192.0.2.2:2223', '[2001:db8::1]:2223']));
  });

  it('are passed over while they are to be avoided', async () => {
    const avoid = ['192.0.2.1:2223', '[2001:db8::1]:2223'];
    assert.deepEqual([await next(avoid), await next(avoid)], ['192.0.2.2:2223', '192.0.2.2:2223']);
    await assert.rejects(next([...avoid, '192.0.2.2:2223']), /none of the media nodes/);
  });
});
