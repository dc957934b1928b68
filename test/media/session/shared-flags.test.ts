import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { readFlags } from '../../../media/session/flags.ts';
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

  it('are bounded', () => {
    const first = sharedFlags(asked);
    for (let i = 0; i < 501; i++) sharedFlags({ ...asked, 'media-address': `192.0.2.${i}` });
    assert.notEqual(sharedFlags(asked), first);
  });
});
