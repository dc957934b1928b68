// budget: 30 s, beside others
import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { after, afterEach, before, beforeEach, describe, it } from 'mocha';
import type { Dataplane, Endpoint, RemoteSpec } from '../../../media/dataplane/mod.ts';
import { bindingRequest, isBindingSuccess } from '../../support/stun.ts';
import { closePlane, openPlane } from '../../support/planes.ts';
import { rtp } from '../../support/rtp.ts';
import { until } from '../../support/until.ts';

const OURS = { ufrag: 'ourname1', pwd: 'our-password-0123456789ab' };
const THEIRS = { ufrag: 'them', pwd: 'their-password-0123456789' };
const ICE: RemoteSpec = { learning: 'off', strictSource: true, rtcpMux: true, crypto: { type: 'none' }, ice: THEIRS };
const PLAIN: RemoteSpec = { learning: 'delayed', strictSource: false, rtcpMux: false, crypto: { type: 'none' } };

class Peer {
  readonly socket: Socket = createSocket('udp4');
  readonly received: Buffer[] = [];

  static async open(): Promise<Peer> {
    const peer = new Peer();
    peer.socket.on('message', (message: Buffer) => peer.received.push(message));
    peer.socket.bind(0, '127.0.0.1');
    await once(peer.socket, 'listening');
    return peer;
  }

  send(port: number, message: Uint8Array): void {
    this.socket.send(message, port, '127.0.0.1');
  }

  /** Whether a check with these credentials holds. */
  async check(port: number, ours: { ufrag: string; pwd: string }, theirs: string, useCandidate: boolean) {
    this.received.length = 0;
    this.send(port, bindingRequest({ username: `${ours.ufrag}:${theirs}`, password: ours.pwd, useCandidate }));
    await new Promise((resolve) => setTimeout(resolve, 50));
    return this.received.some(isBindingSuccess);
  }

  get media(): readonly string[] {
    return this.received
      .filter((message) => !isBindingSuccess(message))
      .map((message) => message.subarray(12).toString());
  }
}

const said = (sequence: number, text: string) => rtp({ sequence, ssrc: 99, payload: Buffer.from(text) });

describe('an endpoint with ICE, and one that knows nothing of its packets', () => {
  let plane: Dataplane;
  let peers: Peer[];
  let endpoints: Endpoint[];

  before(() => {
    plane = openPlane(17_600, 17_639, 17_640);
  });

  after(() => closePlane(plane));

  beforeEach(() => {
    peers = [];
    endpoints = [];
  });

  afterEach(() => {
    for (const endpoint of endpoints) endpoint.close();
    for (const { socket } of peers) socket.close();
    const { nativeBytes, portsInUse } = plane.totals();
    assert.deepEqual({ nativeBytes, portsInUse }, { nativeBytes: 0, portsInUse: 0 });
  });

  async function peer(): Promise<Peer> {
    const opened = await Peer.open();
    peers.push(opened);
    return opened;
  }

  function open(spec: Partial<Parameters<Dataplane['openEndpoint']>[0]>, remote: RemoteSpec): Endpoint {
    const endpoint = plane.openEndpoint({ socket: 'pair', interface: 'lo', affinity: 'c', ...spec });
    endpoint.configure(remote);
    endpoints.push(endpoint);
    return endpoint;
  }

  it('restarts without a gap: the old pair carries media until a new one is nominated', async () => {
    const [browser, phone, moved] = [await peer(), await peer(), await peer()];
    const ice = open({ socket: 'shared', ice: OURS }, ICE);
    const plain = open({}, { ...PLAIN, rtp: { address: '127.0.0.1', port: phone.socket.address().port } });
    plane.setPath(ice, plain, { mode: 'relay' });
    plane.setPath(plain, ice, { mode: 'relay' });
    assert.ok(await browser.check(ice.rtp.port, OURS, THEIRS.ufrag, true));
    phone.send(plain.rtp.port, said(1, 'first'));
    await until('media of the first pair', () => browser.media.includes('first'));

    const next = { ufrag: 'ourname2', pwd: 'another-password-01234567' };
    ice.configure({ ...ICE, ice: { ufrag: 'anew', pwd: THEIRS.pwd }, localIce: next });
    phone.send(plain.rtp.port, said(2, 'meanwhile'));
    browser.send(ice.rtp.port, said(1, 'from the old pair'));
    await until('media in between', () => browser.media.includes('meanwhile') && phone.media.length === 1);
    assert.ok(await browser.check(ice.rtp.port, OURS, THEIRS.ufrag, true), 'the old pair is kept alive');
    assert.ok(!(await moved.check(ice.rtp.port, next, THEIRS.ufrag, true)), 'not with the old name of the peer');
    assert.ok(await moved.check(ice.rtp.port, next, 'anew', true));
    phone.send(plain.rtp.port, said(3, 'afterwards'));
    await until('media of the new pair', () => moved.media.includes('afterwards'));
    assert.ok(!browser.media.includes('afterwards'));
    assert.ok(!(await browser.check(ice.rtp.port, OURS, THEIRS.ufrag, true)), 'the old credentials are over');
  });

  it('with a pair of ports checks both, and sends RTCP where RTCP was checked', async () => {
    const [browser, browserRtcp, phone] = [await peer(), await peer(), await peer()];
    const ice = open({ ice: OURS }, { ...ICE, rtcpMux: false });
    const plain = open(
      {},
      { ...PLAIN, rtp: { address: '127.0.0.1', port: phone.socket.address().port }, rtcpMux: true },
    );
    plane.setPath(plain, ice, { mode: 'relay' });
    assert.ok(await browser.check(ice.rtp.port, OURS, THEIRS.ufrag, true));
    assert.ok(await browserRtcp.check(ice.rtcp?.port ?? 0, OURS, THEIRS.ufrag, true));
    phone.send(plain.rtp.port, said(1, 'sound'));
    const report = Buffer.from('80c90001000000630000', 'hex').subarray(0, 8);
    phone.send(plain.rtp.port, report);
    await until('RTP', () => browser.media.includes('sound'));
    await until('RTCP', () => browserRtcp.received.some((message) => message.equals(report)));
    assert.ok(!browser.received.some((message) => message.equals(report)));
  });

  it('passes datagrams as they are, but not those of strangers', async () => {
    const [fax, other, stranger] = [await peer(), await peer(), await peer()];
    const to = (end: Peer) => ({
      ...PLAIN,
      strictSource: true,
      rtp: { address: '127.0.0.1', port: end.socket.address().port },
    });
    const left = open({ socket: 'single', raw: true }, to(fax));
    const right = open({ socket: 'single', raw: true }, to(other));
    plane.setPath(left, right, { mode: 'relay' });
    plane.setPath(right, left, { mode: 'relay' });
    const datagrams = [
      Buffer.from([0]),
      Buffer.from('0001stun-like'),
      Buffer.from('\u0016dtls-like'),
      Buffer.alloc(1200, 7),
    ];
    for (const datagram of datagrams) fax.send(left.rtp.port, datagram);
    await until('all of them', () => other.received.length === datagrams.length);
    assert.deepEqual(other.received, datagrams);
    other.send(right.rtp.port, Buffer.from('back'));
    await until('the way back', () => fax.received.length === 1);
    stranger.send(left.rtp.port, Buffer.from('noise'));
    await until('a refusal', () => (left.stats().dropped['unknown-source'] ?? 0) === 1);
    assert.equal(other.received.length, datagrams.length);
  });
});
