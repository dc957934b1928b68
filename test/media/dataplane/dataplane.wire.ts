// budget: 30 s
import assert from 'node:assert/strict';
import type { Socket } from 'node:dgram';
import { once } from 'node:events';
import { after, before, describe, it } from 'mocha';
import type { Dataplane, Endpoint, RemoteSpec } from '../../../media/dataplane/mod.ts';
import { fromMuLaw, muLaw, sine, toneOverRest } from '../../support/tone.ts';
import { closePlane, openPlane, UdpPeers } from '../../support/planes.ts';
import { until } from '../../support/until.ts';

const PLAIN: Omit<RemoteSpec, 'rtp'> = {
  learning: 'heuristic',
  strictSource: false,
  rtcpMux: false,
  crypto: { type: 'none' },
};
const PCMU = { pt: 0, codec: 'PCMU', clockRate: 8000, channels: 1, ptimeMs: 20 } as const;
const OPUS = {
  pt: 111,
  codec: 'opus',
  clockRate: 48_000,
  channels: 2,
  ptimeMs: 20,
  opus: { fec: true, dtx: false },
} as const;

describe('the packet path', function () {
  this.timeout(20_000);
  let plane: Dataplane;
  const peers = new UdpPeers();

  before(() => {
    plane = openPlane(18_000, 18_099, 17_999);
  });

  after(async () => {
    peers.close();
    await closePlane(plane);
  });

  async function peer(): Promise<Socket & { readonly at: number }> {
    const { socket, at } = await peers.open();
    return Object.assign(socket, { at: at.port });
  }

  function pair(affinity: string): Endpoint {
    return plane.openEndpoint({ socket: 'pair', interface: 'lo', affinity });
  }

  it('relays RTP and RTCP untouched between two parties', async () => {
    const [a, b] = [await peer(), await peer()];
    const [ea, eb] = [pair('relay'), pair('relay')];
    ea.configure({ ...PLAIN, rtp: { address: '127.0.0.1', port: a.at } });
    eb.configure({ ...PLAIN, rtp: { address: '127.0.0.1', port: b.at } });
    plane.setPath(ea, eb, { mode: 'relay' });
    plane.setPath(eb, ea, { mode: 'relay' });
    const packet = rtp(0, 7, 160, 0x1234, Buffer.from('abc'));
    a.send(packet, ea.rtp.port, '127.0.0.1');
    const [got, from] = (await once(b, 'message')) as [Buffer, { port: number }];
    assert.deepEqual(got, packet);
    assert.equal(from.port, eb.rtp.port);
    b.send(packet, eb.rtp.port, '127.0.0.1');
    const [back] = (await once(a, 'message')) as [Buffer];
    assert.deepEqual(back, packet);
    assert.equal(ea.stats().received.packets, 1);
    assert.equal(ea.stats().sent.packets, 1);
    ea.close();
    eb.close();
  });

  it('relays SRTP that passes unopened whatever its last octet is: padding cannot be read', async () => {
    const [a, b] = [await peer(), await peer()];
    const [ea, eb] = [pair('sealed'), pair('sealed')];
    const copyKey = { suite: 'AES_CM_128_HMAC_SHA1_80', keySalt: Buffer.alloc(30, 1) } as const;
    ea.configure({ ...PLAIN, copyKey, rtp: { address: '127.0.0.1', port: a.at } });
    eb.configure({ ...PLAIN, copyKey, rtp: { address: '127.0.0.1', port: b.at } });
    plane.setPath(ea, eb, { mode: 'relay' });
    for (const last of [0, 1, 30, 31, 255]) {
      const packet = rtp(96, last, 160, 0x1234, Buffer.alloc(30, last));
      packet[0] = 0xa0;
      a.send(packet, ea.rtp.port, '127.0.0.1');
      const [got] = (await once(b, 'message', { signal: AbortSignal.timeout(2000) })) as [Buffer];
      assert.deepEqual(got, packet);
    }
    ea.close();
    eb.close();
  });

  it('does not let a stranger into a stream whose source has proven itself', async () => {
    const [a, b, stranger] = [await peer(), await peer(), await peer()];
    const [ea, eb] = [pair('learn'), pair('learn')];
    ea.configure({ ...PLAIN, rtp: { address: '127.0.0.1', port: a.at } });
    eb.configure({ ...PLAIN, rtp: { address: '127.0.0.1', port: b.at } });
    plane.setPath(ea, eb, { mode: 'relay' });
    a.send(rtp(0, 1, 0, 1, Buffer.from('ours')), ea.rtp.port, '127.0.0.1');
    await once(b, 'message');
    stranger.send(rtp(0, 2, 160, 1, Buffer.from('evil')), ea.rtp.port, '127.0.0.1');
    a.send(rtp(0, 3, 320, 1, Buffer.from('more')), ea.rtp.port, '127.0.0.1');
    const [got] = (await once(b, 'message')) as [Buffer];
    assert.equal(got.subarray(12).toString(), 'more');
    assert.equal(ea.stats().dropped['unknown-source'], 1);
    ea.close();
    eb.close();
  });

  for (const strictSource of [false, true]) {
    it(`a stream that a NAT moves is ${strictSource ? 'refused (strict source)' : 'followed by its SSRC, a stranger is not'}`, async () => {
      const [a, moved, stranger, b] = [await peer(), await peer(), await peer(), await peer()];
      const [ea, eb] = [pair('move'), pair('move')];
      ea.configure({ ...PLAIN, strictSource, rtp: { address: '127.0.0.1', port: a.at } });
      eb.configure({ ...PLAIN, rtp: { address: '127.0.0.1', port: b.at } });
      plane.setPath(ea, eb, { mode: 'relay' });
      plane.setPath(eb, ea, { mode: 'relay' });
      const heard: Buffer[] = [];
      b.on('message', (packet: Buffer) => heard.push(packet.subarray(12)));
      const send = (from: Socket, sequence: number, ssrc: number, text: string) =>
        from.send(rtp(0, sequence, sequence * 160, ssrc, Buffer.from(text)), ea.rtp.port, '127.0.0.1');
      const dropped = () => ea.stats().dropped['unknown-source'] ?? 0;
      send(a, 1, 77, 'first');
      await until('the first packet', () => heard.length === 1, 2000);
      // Before it has been silent for a second, nobody can take its place.
      send(moved, 2, 77, 'too early');
      await until('a drop', () => dropped() === 1, 2000);
      await until('silence', () => (ea.stats().lastPacketMs ?? 0) > 1000, 3000);
      send(stranger, 3, 78, 'evil');
      await until('a drop', () => dropped() === 2, 2000);
      send(moved, 4, 77, 'moved');
      if (strictSource) await until('a drop', () => dropped() === 3, 2000);
      else {
        await until('the moved packet', () => heard.length === 2, 2000);
        b.send(rtp(0, 1, 0, 5, Buffer.from('back')), eb.rtp.port, '127.0.0.1');
        const [back] = (await once(moved, 'message')) as [Buffer];
        assert.equal(back.subarray(12).toString(), 'back');
      }
      assert.deepEqual(heard.map(String), strictSource ? ['first'] : ['first', 'moved']);
      ea.close();
      eb.close();
    });
  }

  it('sends nothing to a party that is held or points us at a crowd', async () => {
    const a = await peer();
    for (const address of ['0.0.0.0', '239.1.2.3', '255.255.255.255']) {
      const [ea, eb] = [pair('held'), pair('held')];
      ea.configure({ ...PLAIN, rtp: { address: '127.0.0.1', port: a.at } });
      eb.configure({ ...PLAIN, rtp: { address, port: 4000 } });
      plane.setPath(ea, eb, { mode: 'relay' });
      a.send(rtp(0, 1, 0, 1, Buffer.from('x')), ea.rtp.port, '127.0.0.1');
      await until('a drop', () => eb.stats().dropped['no-remote'] === 1, 2000);
      assert.equal(eb.stats().sent.packets, 0);
      ea.close();
      eb.close();
    }
  });

  it('reports on a stream that it makes itself, and measures the round trip by the answer', async () => {
    const [a, b, bRtcp] = [await peer(), await peer(), await peer()];
    const [ea, eb] = [pair('rtcp'), pair('rtcp')];
    ea.configure({ ...PLAIN, rtp: { address: '127.0.0.1', port: a.at } });
    eb.configure({
      ...PLAIN,
      rtp: { address: '127.0.0.1', port: b.at },
      rtcp: { address: '127.0.0.1', port: bRtcp.at },
    });
    const jitter = { minMs: 40, maxMs: 400 };
    plane.setPath(ea, eb, { mode: 'transcode', in: [PCMU], out: OPUS, dtmf: [], jitter });
    const audio = once(b, 'message') as Promise<[Buffer]>;
    for (let i = 0; i < 3; i++) {
      a.send(rtp(0, i, i * 160, 5, muLaw(sine(440, 0.02, 8000))), ea.rtp.port, '127.0.0.1');
    }
    const ssrc = (await audio)[0].readUInt32BE(8);
    const [report] = (await once(bRtcp, 'message')) as [Buffer];
    assert.equal(report[1], 200, 'a sender report');
    assert.equal(report.readUInt32BE(4), ssrc);
    assert.ok(report.readUInt32BE(20) > 0, 'packets sent');
    // RFC 3550 §6.4.2: our receiver report names the middle of its NTP time.
    const answer = Buffer.alloc(32);
    answer.writeUInt32BE(0x81c9_0007, 0);
    answer.writeUInt32BE(6, 4);
    answer.writeUInt32BE(ssrc, 8);
    answer.writeUInt32BE(report.readUInt32BE(10), 24);
    bRtcp.send(answer, eb.rtcp?.port ?? 0, '127.0.0.1');
    await until('a round trip', () => eb.stats().roundTripMs !== undefined, 2000);
    assert.ok((eb.stats().roundTripMs ?? 1e9) < 200, `${eb.stats().roundTripMs} ms`);
    // What it measured of us (RFC 3611 §4.7), behind a report with the stream's name.
    const extended = Buffer.alloc(44);
    extended.writeUInt32BE(0x80cf_000a, 0);
    extended.writeUInt32BE(6, 4);
    extended.writeUInt32BE(0x0700_0008, 8);
    extended.writeUInt32BE(ssrc, 12);
    extended[16] = 64;
    extended[34] = 42;
    bRtcp.send(extended, eb.rtcp?.port ?? 0, '127.0.0.1');
    await until('VoIP metrics', () => eb.stats().voipMetrics, 2000);
    const { voipMetrics } = eb.stats();
    assert.deepEqual([voipMetrics?.ssrc, voipMetrics?.lossRate, voipMetrics?.mosLq], [ssrc, 0.25, 4.2]);
    const { quality } = ea.stats();
    assert.ok(quality && quality.lossRate === 0 && (quality.mosLq ?? 0) > 4.3, JSON.stringify(quality));
    const types: number[] = [];
    bRtcp.on('message', (packet: Buffer) => {
      for (let at = 0; at + 4 <= packet.length; at += 4 * (packet.readUInt16BE(at + 2) + 1))
        types.push(packet[at + 1] ?? 0);
    });
    ea.close();
    eb.close();
    await until('BYE', () => types.includes(203), 2000);
    assert.deepEqual(types.slice(-3), [200, 202, 203]);
  });

  it('encrypts with SDES on one side and not on the other, and refuses replays', async () => {
    const [a, b, c] = [await peer(), await peer(), await peer()];
    const key = (seed: number) => ({ suite: 'AES_CM_128_HMAC_SHA1_80' as const, keySalt: Buffer.alloc(30, seed) });
    // a (plain) → e1 → e2 (SDES) → e3 (SDES, the mirror) → e4 → b (plain)
    const [e1, e2, e3, e4] = [pair('srtp'), pair('srtp'), pair('srtp'), pair('srtp')];
    e1.configure({ ...PLAIN, rtp: { address: '127.0.0.1', port: a.at } });
    e2.configure({ ...PLAIN, rtp: e3.rtp, crypto: { type: 'sdes', send: key(1), receive: key(2) } });
    e3.configure({ ...PLAIN, rtp: e2.rtp, crypto: { type: 'sdes', send: key(2), receive: key(1) } });
    e4.configure({ ...PLAIN, rtp: { address: '127.0.0.1', port: b.at } });
    plane.setPath(e1, e2, { mode: 'relay' });
    plane.setPath(e3, e4, { mode: 'relay' });
    const packet = rtp(0, 9, 160, 0x77, Buffer.from('secret'));
    a.send(packet, e1.rtp.port, '127.0.0.1');
    const [got] = (await once(b, 'message')) as [Buffer];
    assert.deepEqual(got, packet);
    // Without the key nothing gets through.
    c.send(packet, e3.rtp.port, '127.0.0.1');
    await until('a drop', () => (e3.stats().dropped.replay ?? e3.stats().dropped['unknown-source'] ?? 0) > 0, 2000);
    assert.equal(e4.stats().sent.packets, 1);
    for (const endpoint of [e1, e2, e3, e4]) endpoint.close();
  });

  it('transcodes PCMU to Opus and back with the tone intact', async () => {
    const [a, b] = [await peer(), await peer()];
    const [e1, e2, e3, e4] = [pair('opus'), pair('opus'), pair('opus'), pair('opus')];
    e1.configure({ ...PLAIN, rtp: { address: '127.0.0.1', port: a.at } });
    e2.configure({ ...PLAIN, rtp: e3.rtp });
    e3.configure({ ...PLAIN, rtp: e2.rtp });
    e4.configure({ ...PLAIN, rtp: { address: '127.0.0.1', port: b.at } });
    const jitter = { minMs: 40, maxMs: 400 };
    const dtmf = [{ inPt: 101, inClock: 8000, outPt: 126, outClock: 48_000 }];
    const back = [{ inPt: 126, inClock: 48_000, outPt: 101, outClock: 8000 }];
    plane.setPath(e1, e2, { mode: 'transcode', in: [PCMU], out: OPUS, dtmf, jitter });
    plane.setPath(e3, e4, { mode: 'transcode', in: [OPUS], out: PCMU, dtmf: back, jitter });
    const heard: Buffer[] = [];
    b.on('message', (packet: Buffer) => heard.push(packet));
    const samples = muLaw(sine(440, 3, 8000));
    for (let i = 0; i < 140; i++) {
      a.send(rtp(0, i, i * 160, 5, samples.subarray(i * 160, (i + 1) * 160)), e1.rtp.port, '127.0.0.1');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const audio = Buffer.concat(
      heard.filter((packet) => payloadType(packet) === 0).map((packet) => packet.subarray(12)),
    );
    assert.ok(heard.length > 115, `${heard.length} packets`);
    const decibels = toneOverRest(fromMuLaw(audio.subarray(8000, 16_000)), 440, 8000);
    assert.ok(decibels > 20, `tone is ${decibels.toFixed(1)} dB over the rest`);
    const { playout } = e1.stats();
    assert.ok(playout && playout.concealedMs / playout.playedMs < 0.05, JSON.stringify(playout));
    // A digit passes with its clock changed.
    const event = Buffer.from([5, 0x80 | 10, 800 >> 8, 800 & 255]);
    for (let i = 0; i < 3; i++) a.send(rtp(101, 140 + i, 140 * 160, 5, event), e1.rtp.port, '127.0.0.1');
    await until('the digit', () => heard.some((packet) => payloadType(packet) === 101), 2000);
    const digit = heard.find((packet) => payloadType(packet) === 101) as Buffer;
    assert.deepEqual([...digit.subarray(12)], [5, 0x8a, 800 >> 8, 800 & 255]);
    for (const endpoint of [e1, e2, e3, e4]) endpoint.close();
  });
});

function payloadType(packet: Buffer): number {
  return (packet[1] ?? 0) & 0x7f;
}

function rtp(pt: number, sequence: number, timestamp: number, ssrc: number, payload: Buffer | Uint8Array): Buffer {
  const header = Buffer.alloc(12);
  header[0] = 0x80;
  header[1] = pt;
  header.writeUInt16BE(sequence, 2);
  header.writeUInt32BE(timestamp, 4);
  header.writeUInt32BE(ssrc, 8);
  return Buffer.concat([header, payload]);
}
