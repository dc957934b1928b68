// budget: 20 s, beside others
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { createDataplane, type Dataplane, type Endpoint } from '../../media/dataplane/mod.ts';
import { until } from '../support/until.ts';
import { clientHello, rtp, Stranger } from './party.ts';

/** A node's packet path; `address` is bound, so that others can be told apart by it. */
function planeAt(address: string, base: number): Dataplane {
  return createDataplane({
    interfaces: [{ name: 'lo', address, advertised: address }],
    portMin: base,
    portMax: base + 19,
    webrtcPort: base + 21,
    threads: 1,
  });
}

describe('DTLS-SRTP without ICE, when a stranger comes first', function () {
  this.timeout(15_000);
  let node: Dataplane;
  let party: Dataplane;
  let thief: Dataplane;
  let ours: Endpoint;
  let theirs: Endpoint;

  beforeEach(() => {
    [node, party, thief] = [planeAt('127.0.0.1', 14_800), planeAt('127.0.0.1', 14_830), planeAt('127.0.0.3', 14_860)];
    ours = node.openEndpoint({ socket: 'single', interface: 'lo', affinity: 'a' });
    theirs = party.openEndpoint({ socket: 'single', interface: 'lo', affinity: 'a' });
    configure(ours, theirs, 'server', party);
  });

  afterEach(async () => {
    for (const plane of [node, party, thief]) await plane.close();
  });

  function configure(end: Endpoint, peer: Endpoint, role: 'client' | 'server', of: Dataplane): void {
    const { algorithm, fingerprint } = of.dtls;
    const crypto = { type: 'dtls', role, fingerprints: [{ algorithm, value: fingerprint }] } as const;
    end.configure({ rtp: peer.rtp, learning: 'delayed', strictSource: false, rtcpMux: true, crypto });
  }

  async function connects(): Promise<void> {
    configure(theirs, ours, 'client', node);
    await until(
      'the party is connected',
      () => ours.stats().dtls === 'connected' && theirs.stats().dtls === 'connected',
      4000,
      20,
    );
    assert.deepEqual(ours.stats().remoteRtp, theirs.rtp);
  }

  it('who sends one datagram does not keep the party out', async () => {
    await using stranger = await Stranger.open();
    for (const packet of [clientHello(), Buffer.from('16feff', 'hex'), rtp(1, 1)]) stranger.send(packet, ours.rtp.port);
    await until('it has been looked at', () => node.totals().packetsReceived >= 3, 2000, 10);
    await connects();
  });

  it('who does a whole handshake with a certificate of its own gets nothing, and does not keep the party out', async () => {
    const stolen = thief.openEndpoint({ socket: 'single', interface: 'lo', affinity: 'a' });
    configure(stolen, ours, 'client', node);
    await until('its handshake is over', () => ours.stats().dtls === 'failed', 4000, 20);
    await connects();
    assert.equal(stolen.stats().received.packets, 0);
  });

  it('who comes in the middle of a handshake or after it changes nothing', async () => {
    await using stranger = await Stranger.open();
    configure(theirs, ours, 'client', node);
    for (let i = 0; i < 50; i++) stranger.send(clientHello(), ours.rtp.port);
    await connects();
    for (let i = 0; i < 50; i++) stranger.send(clientHello(), ours.rtp.port);
    await until('they are counted', () => (ours.stats().dropped['unknown-source'] ?? 0) >= 50, 2000, 10);
    assert.equal(ours.stats().dtls, 'connected');
    assert.deepEqual(ours.stats().remoteRtp, theirs.rtp);
    assert.deepEqual(stranger.got, []);
  });
});
