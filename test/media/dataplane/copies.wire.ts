// budget: 30 s
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { createDataplane, type Dataplane, type Endpoint, type RemoteSpec } from '../../../media/dataplane/mod.ts';
import { readPcap } from '../../support/pcap.ts';
import { rtp } from '../../support/rtp.ts';
import { closePlane, LOCAL, UdpPeers } from '../../support/planes.ts';
import { until } from '../../support/until.ts';

const PLAIN: RemoteSpec = { learning: 'delayed', strictSource: false, rtcpMux: false, crypto: { type: 'none' } };
const key = (seed: number) => ({ suite: 'AES_CM_128_HMAC_SHA1_80' as const, keySalt: Buffer.alloc(30, seed) });

describe('copies of what arrives', function () {
  this.timeout(20_000);
  let plane: Dataplane;
  const folder = mkdtempSync(join(tmpdir(), 'causeway-copies-'));
  const peers = new UdpPeers();

  before(() => {
    plane = createDataplane({
      interfaces: [
        { name: 'lo', address: '127.0.0.1', advertised: '127.0.0.1' },
        { name: 'six', address: '::1', advertised: '::1' },
      ],
      ...{ portMin: 18_300, portMax: 18_499, webrtcPort: 17_995, threads: 2 },
    });
  });

  after(async () => {
    peers.close();
    // The recorder lets go of its memory a moment after the last file.
    await until('nothing left', () => plane.totals().nativeBytes === 0, 2000, 10);
    assert.equal(plane.totals().recordings.open, 0);
    rmSync(folder, { recursive: true });
    await closePlane(plane);
  });

  const peer = (family: 'udp4' | 'udp6' = 'udp4') => peers.open(family === 'udp4' ? LOCAL : '::1');

  const open = (affinity = 'x', name = 'lo') => plane.openEndpoint({ socket: 'pair', interface: name, affinity });

  async function call(affinity = 'x') {
    const [a, b] = [await peer(), await peer()];
    const [ea, eb] = [open(affinity), open(affinity)];
    ea.configure({ ...PLAIN, rtp: a.at });
    eb.configure({ ...PLAIN, rtp: b.at });
    plane.setPath(ea, eb, { mode: 'relay' });
    plane.setPath(eb, ea, { mode: 'relay' });
    const close = () => {
      ea.close();
      eb.close();
    };
    return { a, b, ea, eb, close };
  }

  it('reach another endpoint as they came, blocked or not, and no longer than asked for', async () => {
    const { a, b, ea, eb, close } = await call();
    const c = await peer();
    const spy = open();
    spy.configure({ ...PLAIN, rtp: c.at });
    plane.tap(ea, spy, true);
    plane.tap(ea, spy, true);
    assert.equal(plane.totals().taps, 1);
    const packet = rtp({ sequence: 1, ssrc: 0x1111 });
    a.send(packet, ea.rtp);
    await until('the copy', () => c.heard.length === 1 && b.heard.length === 1, 2000, 10);
    assert.deepEqual(c.heard[0], packet);
    assert.deepEqual(b.heard[0], packet);
    plane.setPath(ea, eb, { mode: 'relay', gate: 'blocked' });
    a.send(rtp({ sequence: 2 }), ea.rtp);
    await until('the copy', () => c.heard.length === 2, 2000, 10);
    plane.setPath(ea, eb, { mode: 'relay' });
    plane.tap(ea, spy, false);
    a.send(rtp({ sequence: 3 }), ea.rtp);
    await until('it to pass', () => b.heard.length === 2, 2000, 10);
    assert.deepEqual([c.heard.length, b.heard.length], [2, 2]);
    assert.equal(spy.stats().sent.packets, 2);
    assert.equal(plane.totals().tappedPackets, 2);
    spy.close();
    close();
  });

  it('are coded where their receiver does not take what is sent, in one stream of ours', async () => {
    const { a, b, ea, close } = await call();
    const c = await peer();
    const spy = open();
    spy.configure({ ...PLAIN, rtp: c.at });
    const pcma = { pt: 8, codec: 'PCMA', clockRate: 8000, channels: 1, ptimeMs: 20 } as const;
    const coding = {
      in: [{ ...pcma, pt: 0, codec: 'PCMU' }],
      out: pcma,
      dtmf: [],
      jitter: { minMs: 40, maxMs: 400 },
      untouched: [{ pt: 9 }],
    } as const;
    plane.tap(ea, spy, true, coding);
    plane.tap(ea, spy, true, coding);
    assert.deepEqual([plane.totals().taps, plane.totals().transcoders], [1, 1]);
    const PACKETS = 20;
    for (let sequence = 0; sequence < PACKETS; sequence++) {
      a.send(rtp({ sequence, timestamp: sequence * 160, ssrc: 0x1111, payload: Buffer.alloc(160, 0xff) }), ea.rtp);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await until('the coded copies', () => c.heard.length >= PACKETS - 4, 3000, 10);
    assert.equal(b.heard.length, PACKETS);
    const [first = assert.fail()] = c.heard;
    assert.notEqual(first.readUInt32BE(8), 0x1111);
    for (const [index, packet] of c.heard.entries()) {
      assert.deepEqual([packet[1]! & 0x7f, packet.length], [8, 172]);
      assert.equal(packet.readUInt32BE(8), first.readUInt32BE(8));
      assert.equal(packet.readUInt16BE(2), (first.readUInt16BE(2) + index) & 0xffff);
      // Silence of A-law for silence of µ-law.
      assert.ok(packet.subarray(12).every((octet) => octet === 0xd5 || octet === 0x55));
    }
    // What it takes comes as it is, what it cannot get not at all.
    const coded = c.heard.length;
    const taken = rtp({ pt: 9, sequence: 100, ssrc: 0x1111 });
    a.send(rtp({ pt: 18, sequence: 99, ssrc: 0x1111 }), ea.rtp);
    a.send(taken, ea.rtp);
    await until('what it takes', () => c.heard.some((packet) => packet.equals(taken)), 2000, 10);
    assert.equal(
      c.heard.slice(coded).some((packet) => (packet[1]! & 0x7f) === 18),
      false,
    );
    plane.tap(ea, spy, true);
    assert.equal(plane.totals().transcoders, 0);
    spy.close();
    close();
  });

  it('leave with the keys of each who gets one, the one that passes on untouched', async () => {
    const { a, b, ea, eb, close } = await call('keys');
    const c = await peer();
    // ea → spy (SDES) → its mirror → out → c
    const [spy, mirror, out] = [open('keys'), open('keys'), open('keys')];
    spy.configure({ ...PLAIN, rtp: mirror.rtp, crypto: { type: 'sdes', send: key(1), receive: key(2) } });
    mirror.configure({ ...PLAIN, rtp: spy.rtp, crypto: { type: 'sdes', send: key(2), receive: key(1) } });
    out.configure({ ...PLAIN, rtp: c.at });
    plane.setPath(mirror, out, { mode: 'relay' });
    plane.tap(ea, spy, true);
    const packet = rtp({ sequence: 9, ssrc: 0x2222, payload: Buffer.from('secret') });
    a.send(packet, ea.rtp);
    await until('both', () => c.heard.length === 1 && b.heard.length === 1, 2000, 10);
    assert.deepEqual(c.heard[0], packet);
    assert.deepEqual(b.heard[0], packet);
    assert.equal(eb.stats().sent.packets, 1);
    for (const endpoint of [spy, mirror, out]) endpoint.close();
    close();
  });

  it('of what passes unopened are opened, also when the stream has rolled over before', async () => {
    const [a, b, c] = [await peer(), await peer(), await peer()];
    const [bRtcp, cRtcp] = [await peer(), await peer()];
    // in → seal (SDES) → ea → eb (nothing is opened) → unseal (SDES) → out → b
    const [inside, seal, ea, eb, unseal, out, spy] = Array.from({ length: 7 }, () => open('sealed')) as [
      ...[Endpoint, Endpoint, Endpoint, Endpoint, Endpoint, Endpoint, Endpoint],
    ];
    inside.configure({ ...PLAIN, rtp: a.at });
    seal.configure({ ...PLAIN, rtp: ea.rtp, crypto: { type: 'sdes', send: key(1), receive: key(2) } });
    ea.configure({ ...PLAIN, rtp: seal.rtp, copyKey: key(1) });
    eb.configure({ ...PLAIN, rtp: unseal.rtp, copyKey: key(2) });
    unseal.configure({ ...PLAIN, rtp: eb.rtp, crypto: { type: 'sdes', send: key(2), receive: key(1) } });
    out.configure({ ...PLAIN, rtp: b.at, rtcp: bRtcp.at });
    spy.configure({ ...PLAIN, rtp: c.at, rtcp: cRtcp.at });
    plane.setPath(inside, seal, { mode: 'relay' });
    plane.setPath(ea, eb, { mode: 'relay' });
    plane.setPath(unseal, out, { mode: 'relay' });
    const send = async (sequence: number) => {
      const heard = b.heard.length;
      a.send(rtp({ sequence }), inside.rtp);
      await until('it to pass', () => b.heard.length === heard + 1, 2000, 2);
    };
    // Over the end of the sequence numbers before anybody listens.
    await send(65_534);
    await send(65_535);
    await send(0);
    plane.tap(ea, spy, true);
    await send(1);
    await until('the copy', () => c.heard.length === 1, 2000, 10);
    assert.deepEqual(c.heard[0], rtp({ sequence: 1 }));
    assert.deepEqual(b.heard[3], rtp({ sequence: 1 }));
    // RTCP passes, too, and its copy is readable.
    const report = Buffer.alloc(28);
    report.writeUInt32BE(0x80c8_0006, 0);
    report.writeUInt32BE(7, 4);
    a.send(report, { port: inside.rtcp?.port ?? 0 });
    await until('both', () => bRtcp.heard.length === 1 && cRtcp.heard.length === 1, 2000, 10);
    assert.deepEqual(bRtcp.heard[0], report);
    assert.deepEqual(cRtcp.heard[0], report);
    assert.equal(ea.stats().dropped['malformed'], undefined);
    for (const endpoint of [inside, seal, ea, eb, unseal, out, spy]) endpoint.close();
  });

  it('are so many at most, and go with either end', async () => {
    const { ea, close } = await call('bound');
    const spies: Endpoint[] = [];
    for (let i = 0; i < 8; i++) {
      const spy = open('bound');
      spies.push(spy);
      plane.tap(ea, spy, true);
    }
    const one = open('bound');
    assert.throws(() => plane.tap(ea, one, true), /8 others at most/);
    assert.throws(() => plane.tap(one, one, true), /same affinity/);
    assert.equal(plane.totals().taps, 8);
    spies[0]?.close();
    assert.equal(plane.totals().taps, 7);
    plane.tap(ea, one, true);
    close();
    assert.equal(plane.totals().taps, 0);
    for (const spy of [...spies, one]) spy.close();
  });

  it('of RTCP go the way of RTCP', async () => {
    const { a, ea, close } = await call('rtcp');
    const [c, cRtcp] = [await peer(), await peer()];
    const spy = open('rtcp');
    spy.configure({ ...PLAIN, rtp: c.at, rtcp: cRtcp.at });
    plane.tap(ea, spy, true);
    a.send(rtp({ sequence: 1 }), ea.rtp);
    const report = Buffer.alloc(28);
    report.writeUInt32BE(0x80c8_0006, 0);
    report.writeUInt32BE(7, 4);
    a.send(report, { port: ea.rtcp?.port ?? 0 });
    await until('both', () => c.heard.length === 1 && cRtcp.heard.length === 1, 2000, 10);
    assert.deepEqual(cRtcp.heard[0], report);
    spy.close();
    close();
  });

  it('are recorded with addresses, both ways, and the file is there before it is closed', async () => {
    const { a, b, ea, eb, close } = await call('file');
    const file = join(folder, 'one.pcap');
    const recording = plane.openRecording(file);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    recording.record(ea, true);
    recording.record(eb, true);
    const started = Date.now();
    for (let i = 0; i < 200; i++) {
      a.send(rtp({ sequence: i, ssrc: 1 }), ea.rtp);
      b.send(rtp({ sequence: i, ssrc: 2 }), eb.rtp);
      if (i % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await until('all to pass', () => a.heard.length === 200 && b.heard.length === 200, 5000, 10);
    // A process that dies now has lost no more than the last second.
    await until('a flush', () => readPcap(file).length === 400, 3000, 50);
    recording.record(eb, false);
    a.send(rtp({ sequence: 200, ssrc: 1 }), ea.rtp);
    b.send(rtp({ sequence: 200, ssrc: 2 }), eb.rtp);
    await until('it to pass', () => a.heard.length === 201 && b.heard.length === 201, 2000, 10);
    close();
    const result = await recording.close();
    assert.deepEqual(result, { packets: 401, bytes: statSync(file).size - 24, error: undefined });
    assert.equal(await recording.close(), result);
    const packets = readPcap(file);
    const ofA = packets.filter(({ from }) => from.port === a.at.port);
    assert.deepEqual(
      ofA.map(({ payload }) => payload.readUInt16BE(2)),
      Array.from({ length: 201 }, (_, i) => i),
    );
    for (const { to, payload, at } of ofA) {
      assert.deepEqual(to, ea.rtp);
      assert.deepEqual(payload, rtp({ sequence: payload.readUInt16BE(2), ssrc: 1 }));
      assert.ok(at >= started - 1 && at <= Date.now() + 1, `${at}`);
    }
    assert.equal(packets.filter(({ from, to }) => from.port === b.at.port && to.port === eb.rtp.port).length, 200);
    assert.equal(plane.totals().recordings.lost, 0);
  });

  it('of IPv6 are recorded, too', async () => {
    const a = await peer('udp6');
    const ea = open('six', 'six');
    ea.configure({ ...PLAIN, rtp: a.at });
    const file = join(folder, 'six.pcap');
    const recording = plane.openRecording(file);
    recording.record(ea, true);
    a.send(rtp({ sequence: 1 }), ea.rtp);
    await until('it', () => ea.stats().received.packets === 1, 2000, 10);
    ea.close();
    assert.equal((await recording.close()).packets, 1);
    const [packet] = readPcap(file);
    assert.deepEqual(packet?.from, { address: '0:0:0:0:0:0:0:1', port: a.at.port });
  });

  it('are not recorded over another file, nor where nothing can be written', async () => {
    const file = join(folder, 'two.pcap');
    const recording = plane.openRecording(file);
    assert.throws(() => plane.openRecording(file), /cannot write the recording: File exists/);
    assert.throws(() => plane.openRecording(join(folder, 'none', 'x.pcap')), /No such file/);
    await recording.close();
    assert.equal(readFileSync(file).length, 24);
  });
});
