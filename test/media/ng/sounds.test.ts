import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { keyTone } from '../../../media/ng/operations/tone.ts';
import { readWav } from '../../../media/ng/operations/wav.ts';
import { muLaw, sine, toneOverRest, wav } from '../../support/tone.ts';

/** A WAV file of any format, with what programs put in front of the samples. */
function riff(tag: number, channels: number, rate: number, bits: number, data: Uint8Array, extra = false): Buffer {
  const format = Buffer.alloc(extra ? 40 : 16);
  format.writeUInt16LE(extra ? 0xfffe : tag, 0);
  format.writeUInt16LE(channels, 2);
  format.writeUInt32LE(rate, 4);
  format.writeUInt32LE((rate * channels * bits) / 8, 8);
  format.writeUInt16LE((channels * bits) / 8, 12);
  format.writeUInt16LE(bits, 14);
  if (extra) format.writeUInt16LE(tag, 24);
  const chunk = (name: string, body: Uint8Array) => {
    const head = Buffer.alloc(8);
    head.write(name, 0);
    head.writeUInt32LE(body.length, 4);
    return Buffer.concat([head, body, Buffer.alloc(body.length % 2)]);
  };
  const body = [Buffer.from('WAVE'), chunk('LIST', Buffer.alloc(5)), chunk('fmt ', format), chunk('data', data)];
  const all = Buffer.concat(body);
  const head = Buffer.from('RIFF\0\0\0\0');
  head.writeUInt32LE(all.length, 4);
  return Buffer.concat([head, all]);
}

describe('sound files', () => {
  const tone = sine(440, 0.1, 8000);

  it('are read as PCM of 16 bits, mono and stereo, plain and extensible', () => {
    assert.deepEqual(readWav(wav(tone, 8000)), { rate: 8000, samples: tone });
    const stereo = new Int16Array(tone.length * 2);
    for (const [i, sample] of tone.entries()) stereo.set([sample, 100], 2 * i);
    const bytes = Buffer.from(stereo.buffer);
    for (const rate of [8000, 16_000, 32_000, 44_100, 48_000]) {
      const sound = readWav(riff(1, 2, rate, 16, bytes, rate === 44_100));
      assert.equal(sound?.rate, rate);
      assert.deepEqual(
        sound?.samples,
        tone.map((sample) => (sample + 100) >> 1),
      );
    }
  });

  it('are read as G.711 of both laws', () => {
    const mu = readWav(riff(7, 1, 8000, 8, muLaw(tone)));
    assert.ok(mu && toneOverRest(mu.samples, 440, 8000) > 30);
    // ITU-T G.711, table 1: the ends of the scale and the steps around zero, as they are on the line.
    const a = readWav(riff(6, 1, 8000, 8, Uint8Array.from([0xd5, 0x55, 0xd4, 0xaa, 0x2a, 0x80])));
    assert.deepEqual([...(a?.samples ?? [])], [8, -8, 24, 32_256, -32_256, 5504]);
  });

  it('that are cut short are played as far as they go; others are refused', () => {
    const whole = wav(tone, 8000);
    assert.equal(readWav(whole.subarray(0, whole.length - 100))?.samples.length, tone.length - 50);
    for (const bad of [
      Buffer.alloc(0),
      Buffer.from('RIFF'),
      whole.subarray(0, 44),
      riff(1, 1, 8000, 24, Buffer.alloc(30)),
      riff(1, 3, 8000, 16, Buffer.alloc(30)),
      riff(1, 1, 7999, 16, Buffer.alloc(30)),
      riff(3, 1, 8000, 32, Buffer.alloc(32)),
    ]) {
      assert.equal(readWav(bad), undefined);
    }
  });

  it('of any bytes do no harm', () => {
    const whole = riff(1, 2, 44_100, 16, Buffer.alloc(64), true);
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 12 }), (changes) => {
        const bytes = Buffer.from(whole);
        for (const [at, value] of changes) bytes[at] = value;
        const sound = readWav(bytes);
        assert.ok(sound === undefined || (sound.samples.length > 0 && sound.samples.length <= 64));
      }),
      { numRuns: 2000 },
    );
  });
});

describe('keys as tones', () => {
  it('are the pair of their row and column, as loud as asked for, with the pause behind', () => {
    const pairs = [
      [0, 941, 1336],
      [1, 697, 1209],
      [9, 852, 1477],
      [10, 941, 1209],
      [11, 941, 1477],
      [12, 697, 1633],
      [15, 941, 1633],
    ] as const;
    for (const [event, low, high] of pairs) {
      const { samples, rate } = keyTone(event, 10, 400, 100);
      assert.equal(rate, 8000);
      assert.equal(samples.length, 4000);
      const both = [low, high].map((hz) => toneOverRest(samples.subarray(0, 3200), hz, 8000));
      assert.ok(
        both.every((db) => Math.abs(db) < 0.3),
        `${event}: ${both.join(' ')}`,
      );
      assert.ok(samples.subarray(3200).every((sample) => sample === 0));
    }
    const peak = (volume: number) => Math.max(...keyTone(5, volume, 400, 0).samples);
    assert.ok(Math.abs(peak(10) / peak(20) - 10 ** 0.5) < 0.05);
    assert.ok(peak(0) <= 32_000);
  });
});
