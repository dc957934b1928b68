// budget: 8 s, beside others
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'mocha';
import {
  MediaStreamTrack,
  RTCPeerConnection,
  RtpHeader,
  RtpPacket,
  SrtpSession,
  useOPUS,
  useSdesMid,
  useVP8,
} from 'werift';
import { createDataplane, type Dataplane } from '../../../media/dataplane/mod.ts';
import { explain, readFlags, SessionManager } from '../../../media/session/mod.ts';
import { rtp } from '../../support/rtp.ts';
import { until } from '../../support/until.ts';

const MID = 'urn:ietf:params:rtp-hdrext:sdes:mid';
const NOW = 1_700_000_000_000;

/** A packet with a one-byte header extension (RFC 8285 §4.2) 3, which names its line. */
function named(mid: string, fields: Parameters<typeof rtp>[0]): Buffer {
  const packet = rtp({ payload: Buffer.from('voice'), ...fields });
  const element = Buffer.alloc(4 * Math.ceil((1 + mid.length) / 4));
  element[0] = (3 << 4) | (mid.length - 1);
  element.write(mid, 1);
  packet[0] = 0x90;
  return Buffer.concat([
    packet.subarray(0, 12),
    Buffer.from([0xbe, 0xde, 0, element.length / 4]),
    element,
    packet.subarray(12),
  ]);
}

class Peer {
  readonly socket: Socket = createSocket('udp4');
  readonly heard: Buffer[] = [];

  async open(): Promise<this> {
    this.socket.on('message', (packet: Buffer) => this.heard.push(packet));
    this.socket.bind(0, '127.0.0.1');
    await once(this.socket, 'listening');
    return this;
  }

  get port(): number {
    return this.socket.address().port;
  }

  send(packet: Uint8Array, port: number): void {
    this.socket.send(packet, port, '127.0.0.1');
  }

  readonly rtp = () => this.heard.filter((packet) => (packet[1] ?? 0) < 192 || (packet[1] ?? 0) > 223);
  readonly rtcp = () => this.heard.filter((packet) => (packet[1] ?? 0) >= 192 && (packet[1] ?? 0) <= 223);
}

describe('lines of one transport on a real packet path', function () {
  this.timeout(20_000);
  let plane: Dataplane;
  let manager: SessionManager;
  const peers: Peer[] = [];

  before(() => {
    plane = createDataplane({
      interfaces: [{ name: 'default', address: '127.0.0.1', advertised: '127.0.0.1' }],
      portMin: 18_440,
      portMax: 18_479,
      webrtcPort: 17_986,
      threads: 1,
    });
    manager = new SessionManager({ dataplane: plane, interfaces: ['default'], maxSessions: 10, timeoutSeconds: 60 });
  });

  afterEach(() => {
    for (const { socket } of peers.splice(0)) socket.close();
    manager.close();
    const { endpoints, paths, portsInUse, nativeBytes } = plane.totals();
    assert.deepEqual(
      { endpoints, paths, portsInUse, nativeBytes },
      { endpoints: 0, paths: 0, portsInUse: 0, nativeBytes: 0 },
    );
  });

  after(() => plane.close());

  async function peer(): Promise<Peer> {
    const one = await new Peer().open();
    peers.push(one);
    return one;
  }

  const ask = (sdp: string, keys: Parameters<typeof readFlags>[0]) => ({
    ...{ callId: 'c', fromTag: 'a', viaBranch: undefined, sdp, flags: readFlags(keys) },
  });
  const offer = (sdp: string, keys: Parameters<typeof readFlags>[0] = {}) =>
    manager.offer({ ...ask(sdp, keys), toTag: undefined }, NOW);
  const answer = (sdp: string, keys: Parameters<typeof readFlags>[0] = {}) =>
    manager.answer({ ...ask(sdp, keys), toTag: 'b' }, NOW);
  const ports = (sdp: string) => [...sdp.matchAll(/m=\w+ (\d+)/g)].map(([, port]) => Number(port));
  const statsOf = (which: 'a' | 'b') =>
    manager.get('c')?.dialogues[0]?.lines.map((line) => line[which].endpoint?.stats());
  const text = (head: readonly string[], ...lines: (readonly string[])[]) =>
    ['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 'c=IN IP4 127.0.0.1', 't=0 0', ...head, ...lines.flat(), ''].join(
      '\r\n',
    );

  /** Two lines of audio that look alike and one of video, bundled, towards three phones of their own. */
  async function call(protocol = 'RTP/AVP', ...transport: string[]) {
    const bundled = await peer();
    const phones = [await peer(), await peer(), await peer()] as const;
    const line = (mid: number, kind: string, pt: number, ...more: string[]) => [
      ...[`m=${kind} ${bundled.port} ${protocol} ${pt}`, `a=mid:${mid}`, 'a=rtcp-mux', `a=extmap:3 ${MID}`, ...more],
    ];
    const offered = offer(
      text(
        ['a=group:BUNDLE 0 1 2'],
        line(0, 'audio', 0, ...transport),
        line(1, 'audio', 0, 'a=ssrc:2002 cname:x'),
        line(2, 'video', 96, 'a=rtpmap:96 VP8/90000'),
      ),
      { 'transport-protocol': 'RTP/AVP', sdes: ['off'], bundle: ['accept'] },
    );
    const at = ports(offered);
    const answered = answer(
      text(
        [],
        ...phones.map(({ port }, index) => [
          index < 2 ? `m=audio ${port} RTP/AVP 0` : `m=video ${port} RTP/AVP 96`,
          'a=rtpmap:96 VP8/90000',
          'a=rtcp-mux',
        ]),
      ),
    );
    const [ours = 0, ...others] = ports(answered);
    assert.deepEqual(others, [ours, ours]);
    return { bundled, phones, at, ours, answered };
  }

  it('are told apart by MID, by SSRC and by payload type; what is of none is dropped and counted', async () => {
    const { bundled, phones, ours } = await call();
    const say = (packet: Buffer) => bundled.send(packet, ours);
    const heard = (...counts: number[]) =>
      until(`${counts}`, () => phones.every((phone, index) => phone.rtp().length === counts[index]), 2000, 5);
    say(named('0', { ssrc: 1, sequence: 1 }));
    await heard(1, 0, 0);
    // Learnt by its MID, which is not in every packet.
    say(rtp({ ssrc: 1, sequence: 2 }));
    say(rtp({ ssrc: 2002, sequence: 1 }));
    say(rtp({ ssrc: 3, sequence: 1, pt: 96 }));
    await heard(2, 1, 1);
    // A later MID corrects what was learnt.
    say(named('1', { ssrc: 1, sequence: 3 }));
    say(rtp({ ssrc: 1, sequence: 4 }));
    await heard(2, 3, 1);
    // Two lines have payload type 0; nobody has a line of that name, whoever sends it.
    say(rtp({ ssrc: 4, sequence: 1 }));
    say(named('zz', { ssrc: 2002, sequence: 2 }));
    await until('both are counted', () => plane.totals().dropped['no-line'] === 2, 2000, 5);
    await heard(2, 3, 1);
    assert.deepEqual(
      statsOf('a')?.map((stats) => stats?.received.packets),
      [2, 3, 1],
    );
    // What goes to the party is named as well, where its sender has not named it.
    for (const [index, phone] of phones.entries()) {
      const line = manager.get('c')?.dialogues[0]?.lines[index];
      phone.send(
        rtp({ ssrc: 70 + index, sequence: 9, pt: index === 2 ? 96 : 0, payload: Buffer.from('back') }),
        line?.b.endpoint?.rtp.port ?? 0,
      );
    }
    await until('all three', () => bundled.rtp().length === 3, 2000, 5);
    const sent = bundled.rtp().toSorted((a, b) => a.readUInt32BE(8) - b.readUInt32BE(8));
    assert.deepEqual(
      sent,
      [0, 1, 2].map((index) => {
        const packet = named(String(index), {
          ssrc: 70 + index,
          sequence: 9,
          pt: index === 2 ? 96 : 0,
          payload: Buffer.from('back'),
        });
        return packet;
      }),
    );
    const session = manager.get('c');
    assert.ok(session && explain(session, NOW).filter((row) => row.includes('heard')).length === 6);
  });

  it('get of a report what is about them: senders with their lines, blocks with the stream that they are about', async () => {
    const { bundled, phones, ours, at } = await call();
    bundled.send(named('0', { ssrc: 1, sequence: 1 }), ours);
    for (const [index, phone] of phones.entries())
      phone.send(rtp({ ssrc: 70 + index, pt: index === 2 ? 96 : 0 }), at[index] ?? 0);
    await until('all have spoken', () => bundled.rtp().length === 3 && phones[0].rtp().length === 1, 2000, 5);
    const block = (ssrc: number) => {
      const bytes = Buffer.alloc(24);
      bytes.writeUInt32BE(ssrc, 0);
      return bytes;
    };
    const head = (type: number, count: number, words: number, ssrc: number) => {
      const bytes = Buffer.from([0x80 | count, type, 0, words, 0, 0, 0, 0]);
      bytes.writeUInt32BE(ssrc, 4);
      return bytes;
    };
    // SR of line 0 with blocks about what phones 0, 1 and nobody sent; a name; PLI about the video.
    const name = Buffer.concat([head(202, 1, 2, 1), Buffer.from([1, 1, 0x78, 0])]);
    const pli = Buffer.concat([head(206, 1, 2, 1), block(72).subarray(0, 4)]);
    const report = Buffer.concat([
      head(200, 3, 24, 1),
      Buffer.alloc(20, 5),
      block(70),
      block(71),
      block(99),
      name,
      pli,
    ]);
    bundled.send(report, ours);
    await until('reports', () => phones.every((phone) => phone.rtcp().length === 1), 2000, 5);
    assert.deepEqual(phones[0].rtcp()[0], Buffer.concat([head(200, 1, 12, 1), Buffer.alloc(20, 5), block(70), name]));
    assert.deepEqual(phones[1].rtcp()[0], Buffer.concat([head(201, 1, 7, 1), block(71), name]));
    assert.deepEqual(phones[2].rtcp()[0], Buffer.concat([name, pli]));
    // Nobody has heard of who sends it, and it is about nothing of ours.
    const counted = plane.totals().dropped['no-line'] ?? 0;
    bundled.send(Buffer.concat([head(201, 1, 7, 555), block(556)]), ours);
    await until('it is dropped', () => (plane.totals().dropped['no-line'] ?? 0) === counted + 1, 2000, 5);
  });

  it('have one SDES key each way, and replay windows and rollovers by SSRC', async () => {
    const key = randomBytes(30);
    const crypto = `a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:${key.toString('base64')}`;
    const { bundled, phones, ours, at, answered } = await call('RTP/SAVP', crypto);
    assert.equal(answered.match(/a=crypto/g)?.length, 1);
    const theirs = Buffer.from(/inline:(\S+)/.exec(answered)?.[1] ?? '', 'base64');
    const cut = (bytes: Buffer) => [bytes.subarray(0, 16), bytes.subarray(16)] as const;
    const [localMasterKey, localMasterSalt] = cut(key);
    const [remoteMasterKey, remoteMasterSalt] = cut(theirs);
    const srtp = new SrtpSession({
      keys: { localMasterKey, localMasterSalt, remoteMasterKey, remoteMasterSalt },
      profile: 1,
    });
    const last: Buffer[] = [];
    const say = (ssrc: number, payloadType: number, sequenceNumber: number) => {
      const header = new RtpHeader({ payloadType, sequenceNumber, timestamp: sequenceNumber, ssrc });
      const packet = Buffer.from(srtp.encrypt(Buffer.from(`of ${ssrc}`), header));
      last.push(packet);
      bundled.send(packet, ours);
    };
    // One rolls over, the other does not; their numbers are the same ones.
    for (const sequence of [65_534, 65_535, 0, 1]) say(2002, 0, sequence);
    for (const sequence of [65_531, 65_532, 65_533, 65_534]) say(3, 96, sequence);
    await until('all', () => phones[1].rtp().length === 4 && phones[2].rtp().length === 4, 2000, 5);
    assert.ok(phones[1].rtp().every((packet) => packet.subarray(12).toString() === 'of 2002'));
    for (const packet of last) bundled.send(packet, ours);
    await until('replays are dropped', () => plane.totals().dropped['replay'] === 8, 2000, 5);
    for (const [index, phone] of phones.entries())
      phone.send(rtp({ ssrc: 70 + index, pt: index === 2 ? 96 : 0 }), at[index] ?? 0);
    await until('all three', () => bundled.rtp().length === 3, 2000, 5);
    const opened = bundled.rtp().map((packet) => srtp.decrypt(packet));
    assert.deepEqual(opened.map((packet) => packet.readUInt32BE(8)).toSorted(), [70, 71, 72]);
    assert.ok(opened.every((packet) => packet.length === 180 && packet.subarray(20).every((byte) => byte === 0xff)));
  });

  it('are copied, recorded and held back each by itself', async () => {
    const { bundled, phones, ours } = await call();
    const listener = await peer();
    const lines = manager.get('c')?.dialogues[0]?.lines.map((line) => line.a.endpoint) ?? [];
    const [first, second, third] = lines;
    const [phone] = manager.get('c')?.dialogues[0]?.lines.map((line) => line.b.endpoint) ?? [];
    assert.ok(first && second && third && phone);
    const copy = plane.openEndpoint({ socket: 'single', interface: 'default', affinity: 'c' });
    const there = {
      rtp: { address: '127.0.0.1', port: listener.port },
      rtcpMux: true,
      crypto: { type: 'none' },
    } as const;
    copy.configure({ ...there, learning: 'off', strictSource: false });
    plane.tap(second, copy, true);
    const folder = mkdtempSync(join(tmpdir(), 'causeway-bundle-'));
    try {
      const recording = plane.openRecording(join(folder, 'call.pcap'));
      recording.record(third, true);
      plane.setPath(first, phone, { mode: 'relay', gate: 'blocked' });
      for (const sequence of [1, 2, 3]) {
        bundled.send(named('0', { ssrc: 1, sequence }), ours);
        bundled.send(named('1', { ssrc: 2002, sequence }), ours);
        bundled.send(named('2', { ssrc: 3, sequence, pt: 96 }), ours);
      }
      await until('the third line', () => phones[2].rtp().length === 3, 2000, 5);
      assert.deepEqual([phones[0].rtp().length, phones[1].rtp().length, first.stats().dropped], [0, 3, { gated: 3 }]);
      assert.deepEqual(
        listener.rtp().map((packet) => packet.readUInt32BE(8)),
        [2002, 2002, 2002],
      );
      assert.equal((await recording.close()).packets, 3);
    } finally {
      copy.close();
      rmSync(folder, { recursive: true });
    }
  });

  it('hear what is played, in their own stream and by their own name', async () => {
    const { bundled, phones, at } = await call();
    const session = manager.get('c');
    const line = session?.dialogues[0]?.lines[1];
    assert.ok(session && line?.a.endpoint);
    phones[1].send(rtp({ ssrc: 71, sequence: 1 }), at[1] ?? 0);
    await until('a packet', () => bundled.rtp().length === 1, 2000, 5);
    manager.insertable(session, [line.a]);
    plane.play(line.a.endpoint, plane.clip(new Int16Array(480).fill(1000), 8000), { id: 7 });
    await until('it is played', () => bundled.rtp().length >= 4, 2000, 5);
    const played = bundled.rtp().slice(1, 4);
    assert.ok(
      played.every(
        (packet) => packet.readUInt32BE(8) === 71 && packet.subarray(16, 18).equals(Buffer.from([0x30, 0x31])),
      ),
    );
    assert.deepEqual(
      played.map((packet) => packet.readUInt16BE(2)),
      [2, 3, 4],
    );
  });

  it('hold out against a flood of SSRCs: those that were there are heard, and so many more and no others', async () => {
    const { bundled, phones, ours } = await call();
    bundled.send(named('0', { ssrc: 1 }), ours);
    await until('the first', () => phones[0].rtp().length === 1, 2000, 5);
    const held = plane.totals().nativeBytes;
    for (let i = 0; i < 500; i++) {
      bundled.send(i % 2 === 0 ? named('1', { ssrc: 10_000 + i }) : rtp({ ssrc: 10_000 + i, pt: 96 }), ours);
      if (i % 50 === 49) await new Promise((resolve) => setTimeout(resolve, 2));
    }
    // 64 in all: one of a=ssrc, one that has spoken.
    await until('the rest is refused', () => plane.totals().dropped['ssrc-limit'] === 500 - 62, 3000, 5);
    assert.equal(phones[1].rtp().length + phones[2].rtp().length, 62);
    bundled.send(rtp({ ssrc: 1, sequence: 2 }), ours);
    bundled.send(rtp({ ssrc: 2002, sequence: 2 }), ours);
    await until('who was there', () => phones[0].rtp().length === 2, 2000, 5);
    assert.equal(plane.totals().nativeBytes, held);
    // And a stranger is none of them, whatever it says of itself.
    const stranger = await peer();
    stranger.send(named('0', { ssrc: 1, sequence: 3 }), ours);
    await until('it is refused', () => plane.totals().dropped['unknown-source'] === 1, 2000, 5);
    assert.equal(phones[0].rtp().length, 2);
  });

  it('have one ICE and one DTLS association with a WebRTC peer, audio and video both ways', async () => {
    const browser = new RTCPeerConnection({
      codecs: { audio: [useOPUS()], video: [useVP8()] },
      headerExtensions: { audio: [useSdesMid()], video: [useSdesMid()] },
      bundlePolicy: 'max-bundle',
      iceUseIpv4: true,
      iceUseIpv6: false,
      iceAdditionalHostAddresses: ['127.0.0.1'],
      iceServers: [],
    });
    try {
      const phones = [await peer(), await peer()] as const;
      const got: string[] = [];
      const tracks = (['audio', 'video'] as const).map((kind) => {
        const track = new MediaStreamTrack({ kind });
        browser.addTransceiver(track, { direction: 'sendrecv' }).onTrack.subscribe((incoming) => {
          incoming.onReceiveRtp.subscribe((packet) => got.push(`${kind} ${packet.payload}`));
        });
        return track;
      });
      await browser.setLocalDescription(await browser.createOffer());
      const sdp = browser.localDescription?.sdp ?? '';
      const handshakes = plane.totals().dtlsHandshakes.connected;
      const offered = offer(sdp, {
        ice: 'remove',
        'transport-protocol': 'RTP/AVP',
        dtls: 'off',
        sdes: ['off'],
        'rtcp-mux': ['demux'],
        bundle: ['accept'],
      });
      const at = ports(offered);
      const pts = [...sdp.matchAll(/a=rtpmap:(\d+) (?:opus|VP8)/gi)].map(([, pt]) => Number(pt));
      const answered = answer(
        text(
          [],
          [`m=audio ${phones[0].port} RTP/AVP ${pts[0]}`, `a=rtpmap:${pts[0]} opus/48000/2`, 'a=ssrc:70 cname:x'],
          [`m=video ${phones[1].port} RTP/AVP ${pts[1]}`, `a=rtpmap:${pts[1]} VP8/90000`, 'a=ssrc:71 cname:x'],
        ),
        { dtls: 'passive', flags: ['no-rtcp-attribute'] },
      );
      await browser.setRemoteDescription({ type: 'answer', sdp: answered });
      await until('DTLS', () => statsOf('a')?.every((stats) => stats?.dtls === 'connected') === true, 10_000, 20);
      assert.equal(plane.totals().dtlsHandshakes.connected, handshakes + 1);
      for (let i = 0; i < 5; i++) {
        for (const [index, track] of tracks.entries()) {
          const header = new RtpHeader({ payloadType: pts[index] ?? 0, sequenceNumber: i, timestamp: i, ssrc: 1 });
          track.writeRtp(new RtpPacket(header, Buffer.from(`line ${index}`)));
          phones[index]?.send(
            rtp({ ssrc: 70 + index, sequence: i, pt: pts[index] ?? 0, payload: Buffer.from('back') }),
            at[index] ?? 0,
          );
        }
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      await until('both ways', () => got.includes('audio back') && got.includes('video back'), 3000, 20);
      const lines = phones.map((phone) => new Set(phone.rtp().map((packet) => packet.subarray(-6).toString())));
      assert.deepEqual(
        lines.map((line) => [...line]),
        [['line 0'], ['line 1']],
      );
    } finally {
      await browser.close();
    }
  });
});
