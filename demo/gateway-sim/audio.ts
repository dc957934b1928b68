import { readFileSync } from 'node:fs';

/** µ-law samples at 8 kHz, played round and round. */
export type Samples = Uint8Array;

/** One period fits: both tones have whole periods in a second. */
export function tone(hz: number): Samples {
  return Uint8Array.from({ length: 8000 }, (_, i) =>
    muLaw(Math.round(0.4 * 32_767 * Math.sin((2 * Math.PI * hz * i) / 8000))),
  );
}

/** Spoken once, then a second of silence. */
export function announcement(): Samples {
  const speech = readFileSync(new URL('announcement.ulaw', import.meta.url));
  return Buffer.concat([speech, Buffer.alloc(8000, 0xff)]);
}

/** ITU-T G.711. */
function muLaw(sample: number): number {
  const sign = sample < 0 ? 0x80 : 0;
  const magnitude = Math.min(Math.abs(sample), 32_635) + 132;
  const exponent = 31 - Math.clz32(magnitude) - 7;
  return ~(sign | (exponent << 4) | ((magnitude >> (exponent + 3)) & 0x0f)) & 0xff;
}
