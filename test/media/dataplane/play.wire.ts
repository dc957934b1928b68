// budget: 40 s
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'mocha';
import type { Dataplane, DataplaneEvent, Endpoint, PathSpec, RemoteSpec } from '../../../media/dataplane/mod.ts';
import { rtp } from '../../support/rtp.ts';
import { fromMuLaw, muLaw, sine, toneOverRest } from '../../support/tone.ts';
import { closePlane, LOCAL, openPlane, UdpPeers } from '../../support/planes.ts';
import { until } from '../../support/until.ts';

const PLAIN: RemoteSpec = { learning: 'immediate', strictSource: false, rtcpMux: false, crypto: { type: 'none' } };
const PCMU = { pt: 0, codec: 'PCMU', clockRate: 8000, channels: 1, ptimeMs: 20 } as const;
const PCMA = { ...PCMU, pt: 8, codec: 'PCMA' } as const;
const OPUS = {
  ...({ pt: 111, codec: 'opus', clockRate: 48_000, channels: 2, ptimeMs: 20 } as const),
  opus: { fec: true, dtx: false },
} as const;
const EVENTS = { formats: [{ pt: 101, clockRate: 8000 }], detect: false, block: false };
const RELAY: PathSpec = { mode: 'relay', codable: [PCMU, PCMA], events: EVENTS };
const CODED: PathSpec = {
  mode: 'transcode',
  in: [PCMA],
  out: PCMU,
  dtmf: [{ inPt: 101, inClock: 8000, outPt: 101, outClock: 8000 }],
  jitter: { minMs: 40, maxMs: 400 },
};
const SSRC = 0x5eed;

describe('what is played into a call', function () {
  this.timeout(20_000);
  let plane: Dataplane;
  const peers = new UdpPeers();
  const events: DataplaneEvent[] = [];

  before(() => {
    plane = openPlane(18_300, 18_399, 17_995);
    plane.onEvent((event) => events.push(event));
  });

  after(async () => {
    peers.close();
    await closePlane(plane);
  });

  const socket = async () => (await peers.open()).socket;

  /** Alice, who speaks 440 Hz when she is told to, and Bob, who listens. */
  async function call(path: PathSpec) {
    const [alice, bob] = [await socket(), await socket()];
    const heard: Buffer[] = [];
    bob.on('message', (packet: Buffer) => heard.push(packet));
    const open = () => plane.openEndpoint({ socket: 'pair', interface: 'lo', affinity: 'x' });
    const [ea, eb] = [open(), open()];
    ea.configure({ ...PLAIN, rtp: { address: LOCAL, port: alice.address().port } });
    eb.configure({ ...PLAIN, rtp: { address: LOCAL, port: bob.address().port } });
    plane.setPath(ea, eb, path);
    plane.setPath(eb, ea, RELAY);
    const voice = muLaw(sine(440, 1, 8000, 0.3));
    const pt = path.mode === 'transcode' ? 8 : 0;
    const began = performance.now();
    let sent = 0;
    const timer = setInterval(() => {
      for (const due = Math.floor((performance.now() - began) / 20); sent < due; sent++) {
        const at = (sent * 160) % 8000;
        const payload = pt === 0 ? voice.subarray(at, at + 160) : Buffer.alloc(160, 0xd5);
        const sequence = (65_500 + sent) & 0xffff;
        const packet = rtp({ pt, sequence, timestamp: (65_500 + sent) * 160, ssrc: SSRC, payload });
        if (said()) alice.send(packet, ea.rtp.port, LOCAL);
      }
    }, 5);
    let speaking = true;
    const said = () => speaking;
    const played = () => events.filter((event) => event.type === 'played' && event.endpoint === eb.id).length;
    return {
      ...{ ea, eb, heard, played },
      speak: (on: boolean) => (speaking = on),
      heardFor: (ms: number) => heardFor(heard, ms),
      [Symbol.dispose]() {
        clearInterval(timer);
        ea.close();
        eb.close();
      },
    };
  }

  it('is mixed over who speaks, and the listener sees one stream, before, meanwhile and afterwards', async () => {
    using c = await call(RELAY);
    await c.heardFor(200);
    plane.play(c.eb, plane.clip(sine(1000, 0.8, 48_000, 0.3), 48_000), { id: 7 });
    await until('the end', () => c.played() === 1, 3000);
    await c.heardFor(300);
    const { audio } = oneStream(c.heard);
    assert.deepEqual(new Set(c.heard.map((packet) => packet.readUInt32BE(8))), new Set([SSRC]));
    // 0.3 s from the middle of the clip: both tones, and nothing else.
    const middle = audio.subarray(8000 * 0.45, 8000 * 0.85);
    assert.ok(bothOverRest(middle, 440, 1000) > 20, `both: ${bothOverRest(middle, 440, 1000)} dB`);
    assert.ok(toneOverRest(audio.subarray(0, 1280), 440, 8000) > 25);
    assert.ok(toneOverRest(audio.subarray(-1600), 440, 8000) > 25);
  });

  it('is heard when nobody speaks, and who speaks then goes on behind it', async () => {
    using c = await call(RELAY);
    c.speak(false);
    plane.play(c.eb, plane.clip(sine(1000, 0.6, 16_000), 16_000), { id: 8 });
    await until('the end', () => c.played() === 1, 3000);
    assert.ok(Math.abs(c.heard.length - 30) <= 1, String(c.heard.length));
    c.speak(true);
    await c.heardFor(300);
    const { audio } = oneStream(c.heard);
    assert.ok(toneOverRest(audio.subarray(800, 4400), 1000, 8000) > 20);
    assert.ok(toneOverRest(audio.subarray(-1600), 440, 8000) > 25);
  });

  it('mutes who speaks, when that is asked for, and who is blocked', async () => {
    for (const how of ['mutePeer', 'blocked'] as const) {
      using c = await call(RELAY);
      await c.heardFor(100);
      if (how === 'blocked') plane.setPath(c.ea, c.eb, { ...RELAY, gate: 'blocked' });
      plane.play(c.eb, plane.clip(sine(1000, 0.6, 8000), 8000), { id: 9, mutePeer: how === 'mutePeer' });
      const from = c.heard.length;
      await until('the end', () => c.played() === 1, 3000);
      const { audio } = oneStream(c.heard.slice(from + 4, from + 28));
      assert.ok(toneOverRest(audio, 1000, 8000) > 30, `${how}: ${toneOverRest(audio, 1000, 8000)} dB`);
    }
  });

  for (const how of ['SRTP', 'Opus'] as const) {
    it(`is mixed into a relayed stream of ${how}`, async () => {
      using c = await call(RELAY);
      c.speak(false);
      // Two more ends between Bob's and Bob: eb → near → far → Bob.
      const [near, far] = [0, 0].map(() => plane.openEndpoint({ socket: 'pair', interface: 'lo', affinity: 'x' })) as [
        Endpoint,
        Endpoint,
      ];
      try {
        const key = (fill: number) => ({ suite: 'AES_CM_128_HMAC_SHA1_80', keySalt: Buffer.alloc(30, fill) }) as const;
        const crypto = (mine: number, theirs: number): RemoteSpec['crypto'] =>
          how === 'SRTP' ? { type: 'sdes', send: key(mine), receive: key(theirs) } : { type: 'none' };
        const bob = c.eb.stats().remoteRtp;
        c.eb.configure({ ...PLAIN, rtp: near.rtp, crypto: crypto(1, 2) });
        near.configure({ ...PLAIN, rtp: c.eb.rtp, crypto: crypto(2, 1) });
        far.configure({ ...PLAIN, ...(bob ? { rtp: bob } : {}) });
        const opus = { mode: 'relay', codable: [OPUS] } as const;
        plane.setPath(c.ea, c.eb, how === 'Opus' ? { ...CODED, in: [PCMU], out: OPUS } : RELAY);
        plane.setPath(near, far, how === 'Opus' ? { ...CODED, in: [OPUS], out: PCMU } : RELAY);
        if (how === 'Opus') {
          // Coded by alice's end, played to where it is relayed as it is.
          const [last, next] = [0, 0].map(() =>
            plane.openEndpoint({ socket: 'pair', interface: 'lo', affinity: 'x' }),
          ) as [Endpoint, Endpoint];
          c.eb.configure({ ...PLAIN, rtp: last.rtp });
          last.configure({ ...PLAIN, rtp: c.eb.rtp });
          next.configure({ ...PLAIN, rtp: near.rtp });
          near.configure({ ...PLAIN, rtp: next.rtp });
          plane.setPath(last, next, opus);
          await playOver(c, next);
          next.close();
          last.close();
        } else await playOver(c, c.eb);
      } finally {
        near.close();
        far.close();
      }
    });
  }

  async function playOver(c: Awaited<ReturnType<typeof call>>, to: Endpoint): Promise<void> {
    c.speak(true);
    await c.heardFor(300);
    const from = c.heard.length;
    plane.play(to, plane.clip(sine(1000, 0.8, 44_100, 0.3), 44_100), { id: 20 });
    const done = () => events.some((event) => event.type === 'played' && event.endpoint === to.id);
    await until('the end', done, 3000);
    await c.heardFor(400);
    const { audio } = oneStream(c.heard);
    const start = (from + 12) * 160;
    const middle = audio.subarray(start, start + 3200);
    assert.ok(bothOverRest(middle, 440, 1000) > 15, `both: ${bothOverRest(middle, 440, 1000)} dB`);
    assert.ok(toneOverRest(audio.subarray(-1600), 440, 8000) > 15);
    const { dropped } = plane.totals();
    assert.deepEqual([dropped['authentication'], dropped['replay']], [undefined, undefined]);
  }

  it('stops in its middle, and says where', async () => {
    using c = await call(RELAY);
    await c.heardFor(100);
    const clip = plane.clip(sine(1000, 5, 8000), 8000);
    plane.play(c.eb, clip, { id: 10, startMs: 2000, times: 3 });
    await c.heardFor(400);
    const stopped = plane.stopPlaying(c.eb);
    assert.equal(stopped?.playback, 10);
    assert.ok(Math.abs((stopped?.positionMs ?? 0) - 2400) < 100, String(stopped?.positionMs));
    assert.equal(plane.stopPlaying(c.eb), undefined);
    await c.heardFor(200);
    oneStream(c.heard);
    assert.equal(c.played(), 0);
    assert.equal(plane.totals().transcoders, 0);
  });

  it('goes on over a re-INVITE that changes relaying into coding and back', async () => {
    using c = await call(RELAY);
    await c.heardFor(100);
    plane.play(c.eb, plane.clip(sine(1000, 0.9, 8000), 8000), { id: 11, mutePeer: true });
    await c.heardFor(300);
    plane.setPath(c.ea, c.eb, CODED);
    await c.heardFor(300);
    plane.setPath(c.ea, c.eb, RELAY);
    await until('the end', () => c.played() === 1, 3000);
    await c.heardFor(200);
    const sequences = c.heard.map((packet) => packet.readUInt16BE(2));
    assert.deepEqual(
      sequences,
      sequences.map((_, i) => ((sequences[0] as number) + i) & 0xffff),
    );
    assert.equal(new Set(c.heard.map((packet) => packet.readUInt32BE(8))).size, 1);
    const tone = audioOf(c.heard.slice(10, 45));
    assert.ok(toneOverRest(tone, 1000, 8000) > 15, `${toneOverRest(tone, 1000, 8000)} dB`);
  });

  for (const path of [RELAY, CODED]) {
    it(`presses keys into the stream of who speaks (${path.mode})`, async () => {
      using c = await call(path);
      await c.heardFor(200);
      const key = { volume: 8, durationMs: 120, pauseMs: 60, pt: 101, clockRate: 8000 };
      plane.press(c.eb, { ...key, event: 5 });
      plane.press(c.eb, { ...key, event: 11 });
      await c.heardFor(700);
      const packets = c.heard.slice();
      const sequences = packets.map((packet) => packet.readUInt16BE(2));
      assert.deepEqual(
        sequences,
        sequences.map((_, i) => ((sequences[0] as number) + i) & 0xffff),
      );
      assert.equal(new Set(packets.map((packet) => packet.readUInt32BE(8))).size, 1);
      const keys = packets.filter((packet) => packet.readUInt8(1) % 128 === 101);
      // Six packets of 20 ms, the last of them three times.
      assert.deepEqual(
        keys.map((packet) => packet[12]),
        [...Array(8).fill(5), ...Array(8).fill(11)],
      );
      assert.deepEqual(
        keys.slice(0, 8).map((packet) => packet.readUInt16BE(14)),
        [160, 320, 480, 640, 800, 960, 960, 960],
      );
      assert.deepEqual(
        keys.slice(0, 8).map((packet) => packet.readUInt8(13)),
        [8, 8, 8, 8, 8, 0x88, 0x88, 0x88],
      );
      assert.deepEqual(
        keys.slice(0, 8).map((packet) => packet.readUInt8(1) >> 7),
        [1, 0, 0, 0, 0, 0, 0, 0],
      );
      assert.equal(new Set(keys.map((packet) => packet.readUInt32BE(4))).size, 2);
      const first = packets.indexOf(keys[0] as Buffer);
      assert.ok(
        packets.slice(first, first + 6).every((packet) => packet.length === 16),
        'nobody is heard meanwhile',
      );
      // Timestamps never go back, and the voice is where it would have been.
      const voices = packets.filter((packet) => packet.length === 172);
      const steps = voices.map((packet, i) => (packet.readUInt32BE(4) - (voices[i - 1] ?? packet).readUInt32BE(4)) | 0);
      assert.ok(
        steps.slice(1).every((step) => step > 0 && step % 160 === 0),
        steps.join(' '),
      );
      assert.equal(steps.filter((step) => step > 160).length, 2, steps.join(' '));
    });
  }

  it('refuses what cannot be', async () => {
    using c = await call({ mode: 'relay' });
    const clip = plane.clip(sine(1000, 0.1, 8000), 8000);
    assert.throws(() => plane.play(c.eb, clip, { id: 1 }), /cannot be coded/);
    assert.throws(() => plane.clip(new Int16Array(0), 8000), /needs samples/);
    assert.throws(() => plane.play(c.eb, { ...clip, native: {} }, { id: 1 }), /clip is needed/);
    plane.setPath(c.ea, c.eb, RELAY);
    for (let i = 0; i < 16; i++) plane.play(c.eb, clip, { id: i + 1, behind: true });
    assert.throws(() => plane.play(c.eb, clip, { id: 17, behind: true }), /too much/);
    const key = { event: 1, volume: 8, durationMs: 100, pauseMs: 60, pt: 101, clockRate: 8000 };
    for (let i = 0; i < 32; i++) plane.press(c.eb, key);
    assert.throws(() => plane.press(c.eb, key), /too many/);
  });
});

/** That many ms more of packets. */
async function heardFor(heard: Buffer[], ms: number): Promise<void> {
  const wanted = heard.length + ms / 20;
  await until(`${ms} ms of packets`, () => heard.length >= wanted, ms + 2000);
}

/** No SSRC but one, no number left out or given twice, timestamps in steps of a packet. */
function oneStream(packets: readonly Buffer[]): { readonly audio: Int16Array } {
  const fields = packets.map((packet) => [packet.readUInt32BE(8), packet.readUInt16BE(2), packet.readUInt32BE(4)]);
  const [ssrc, sequence, timestamp] = fields[0] as [number, number, number];
  const expected = packets.map((_, i) => [ssrc, (sequence + i) & 0xffff, (timestamp + 160 * i) >>> 0]);
  assert.deepEqual(fields, expected);
  return { audio: audioOf(packets) };
}

function audioOf(packets: readonly Buffer[]): Int16Array {
  return fromMuLaw(Buffer.concat(packets.map((packet) => packet.subarray(12))));
}

/** The weaker of two tones over all that is neither, in dB. */
function bothOverRest(audio: Int16Array, one: number, other: number): number {
  const share = (hz: number) => 1 - 1 / (1 + 10 ** (toneOverRest(audio, hz, 8000) / 10));
  const [a, b] = [share(one), share(other)];
  return 10 * Math.log10(Math.min(a, b) / Math.max(1e-9, 1 - a - b));
}
