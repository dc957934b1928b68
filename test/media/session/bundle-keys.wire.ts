// budget: 4 s, beside others
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
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
import type { Dataplane } from '../../../media/dataplane/mod.ts';
import { rtp } from '../../support/rtp.ts';
import { until } from '../../support/until.ts';
import { BundledCalls, ports, text } from './bundled-calls.ts';

describe('lines of one transport, by their keys', function () {
  this.timeout(20_000);
  let calls: BundledCalls;
  let plane: Dataplane;

  before(() => {
    calls = new BundledCalls(18_460, 18_479, 17_987);
    ({ plane } = calls);
  });

  afterEach(() => calls.end());

  after(() => plane.close());

  it('have one SDES key each way, and replay windows and rollovers by SSRC', async () => {
    const key = randomBytes(30);
    const crypto = `a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:${key.toString('base64')}`;
    const { bundled, phones, ours, at, answered } = await calls.call('RTP/SAVP', crypto);
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
      const phones = [await calls.peer(), await calls.peer()] as const;
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
      const offered = calls.offer(sdp, {
        ice: 'remove',
        'transport-protocol': 'RTP/AVP',
        dtls: 'off',
        sdes: ['off'],
        'rtcp-mux': ['demux'],
        bundle: ['accept'],
      });
      const at = ports(offered);
      const pts = [...sdp.matchAll(/a=rtpmap:(\d+) (?:opus|VP8)/gi)].map(([, pt]) => Number(pt));
      const answered = calls.answer(
        text(
          [],
          [`m=audio ${phones[0].port} RTP/AVP ${pts[0]}`, `a=rtpmap:${pts[0]} opus/48000/2`, 'a=ssrc:70 cname:x'],
          [`m=video ${phones[1].port} RTP/AVP ${pts[1]}`, `a=rtpmap:${pts[1]} VP8/90000`, 'a=ssrc:71 cname:x'],
        ),
        { dtls: 'passive', flags: ['no-rtcp-attribute'] },
      );
      await browser.setRemoteDescription({ type: 'answer', sdp: answered });
      await until('DTLS', () => calls.statsOf('a')?.every((stats) => stats?.dtls === 'connected') === true, 10_000, 20);
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
