import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { readFlags } from '../../../media/session/flags.ts';
import { parseSdp } from '../../../media/session/parse-sdp.ts';
import { cutSdp } from '../../../media/session/sdp-text.ts';
import { setUpCaches } from '../../../media/session/set-up-caches.ts';
import { sharedFlags } from '../../../media/session/shared-flags.ts';

const asked = { ICE: 'remove', flags: ['trust-address'], 'rtcp-mux': ['demux'] };

describe('flags that calls share', () => {
  it('are read once for requests that differ in what names the call', () => {
    const one = sharedFlags({ ...asked, 'call-id': 'a', 'from-tag': 'x', sdp: 'v=0' });
    assert.equal(sharedFlags({ ...asked, 'call-id': 'b', 'from-tag': 'y', 'to-tag': 'z', sdp: 'v=0\r\n' }), one);
    assert.deepEqual(one, readFlags(asked));
  });

  it('are others for whoever asks otherwise', () => {
    for (const other of [
      { ICE: 'force' },
      { flags: 'trust-address' },
      { flags: ['trust-address', 'symmetric'] },
      { ptime: 40 },
    ])
      assert.deepEqual(sharedFlags({ ...asked, ...other }), readFlags({ ...asked, ...other }));
  });

  it('keep label and sender to the call', () => {
    for (const address of ['192.0.2.1', '192.0.2.2']) {
      const own = { ...asked, label: address, 'received-from': ['IP4', address] };
      assert.deepEqual(sharedFlags(own), readFlags(own));
    }
    assert.equal(sharedFlags(asked).receivedFrom, undefined);
    const named = { ...asked, 'set-label': 'front' };
    assert.equal(sharedFlags(named).label, 'front');
    assert.equal(sharedFlags({ ...named, label: 'back' }).label, 'back');
  });

  it('have lists that are read so far only, lest one request takes seconds', () => {
    const mask = Array.from({ length: 4000 }, (_, n) => `codec${n}/8000`);
    assert.deepEqual(readFlags({ codec: { mask } }).codec.mask, mask.slice(0, 256));
  });

  it('are bounded', () => {
    const first = sharedFlags(asked);
    for (let i = 0; i < 501; i++) sharedFlags({ ...asked, 'media-address': `192.0.2.${i}` });
    assert.notEqual(sharedFlags(asked), first);
    assert.ok(setUpCaches().flags.size <= 500);
  });

  it('and descriptions are counted, found or read anew', () => {
    const counted = (work: () => unknown) => {
      const before = setUpCaches();
      work();
      const after = setUpCaches();
      return (['sdp-lines', 'flags'] as const).map((cache) => [
        after[cache].hits - before[cache].hits,
        after[cache].misses - before[cache].misses,
      ]);
    };
    const lines = ['v=0', 'm=audio 5000 RTP/AVP 96', 'a=rtpmap:96 counted/8000', 'a=sendrecv', 'a=candidate:x'];
    const read = () => parseSdp(cutSdp(lines.join('\r\n')) ?? assert.fail());
    parseSdp(cutSdp('v=0\r\nm=audio 5000 RTP/AVP 0\r\na=sendrecv') ?? assert.fail());
    assert.deepEqual(counted(read), [
      [0, 1],
      [0, 0],
    ]);
    const flags = () => sharedFlags({ ...asked, counted: 1 });
    assert.deepEqual(counted(flags)[1], [0, 1]);
    assert.deepEqual(
      counted(() => [read(), flags()]),
      [
        [1, 0],
        [1, 0],
      ],
    );
  });
});
