/** Tones for fake microphones and phones, and the measure that finds them again. */

/** Mono 16-bit samples of one sine, `amplitude` of full scale. */
export function sine(hz: number, seconds: number, rate: number, amplitude = 0.4): Int16Array {
  const samples = new Int16Array(Math.round(seconds * rate));
  for (let i = 0; i < samples.length; i++) {
    samples[i] = Math.round(32_767 * amplitude * Math.sin((2 * Math.PI * hz * i) / rate));
  }
  return samples;
}

/** A WAV file (RIFF, PCM 16-bit mono), which is what Chromium takes as a fake microphone. */
export function wav(samples: Int16Array, rate: number): Buffer {
  const header = Buffer.alloc(44);
  header.write('RIFF', 0);
  header.writeUInt32LE(36 + samples.byteLength, 4);
  header.write('WAVEfmt ', 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(rate, 24);
  header.writeUInt32LE(rate * 2, 28);
  header.writeUInt16LE(2, 32);
  header.writeUInt16LE(16, 34);
  header.write('data', 36);
  header.writeUInt32LE(samples.byteLength, 40);
  return Buffer.concat([header, Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength)]);
}

/** ITU-T G.711 µ-law. */
export function muLaw(samples: Int16Array): Uint8Array {
  return Uint8Array.from(samples, (sample) => {
    const sign = sample < 0 ? 0x80 : 0;
    const magnitude = Math.min(Math.abs(sample), 32_635) + 132;
    const exponent = Math.floor(Math.log2(magnitude)) - 7;
    return ~(sign | (exponent << 4) | ((magnitude >> (exponent + 3)) & 0x0f)) & 0xff;
  });
}

export function fromMuLaw(bytes: Uint8Array): Int16Array {
  return Int16Array.from(bytes, (byte) => {
    const value = ~byte & 0xff;
    const magnitude = ((((value & 0x0f) << 3) + 132) << ((value >> 4) & 7)) - 132;
    return value & 0x80 ? -magnitude : magnitude;
  });
}

/**
 * How far one tone stands above everything else in the samples, in dB.
 * Goertzel at `hz` over a Hann window against the energy outside the window's main lobe (±2 bins) around it.
 */
export function toneOverRest(samples: ArrayLike<number>, hz: number, rate: number): number {
  const n = samples.length;
  const windowed = new Float64Array(n);
  let total = 0;
  for (let i = 0; i < n; i++) {
    const value = (samples[i] as number) * (0.5 - 0.5 * Math.cos((2 * Math.PI * i) / n));
    windowed[i] = value;
    total += value * value;
  }
  const bin = Math.round((hz * n) / rate);
  let inLobe = 0;
  for (let k = bin - 2; k <= bin + 2; k++) inLobe += (2 * power(windowed, k)) / n;
  const rest = Math.max(total - inLobe, total * 1e-9);
  return total === 0 ? -Infinity : 10 * Math.log10(inLobe / rest);
}

function power(samples: Float64Array, bin: number): number {
  const coefficient = 2 * Math.cos((2 * Math.PI * bin) / samples.length);
  let s1 = 0;
  let s2 = 0;
  for (const sample of samples) {
    const s0 = sample + coefficient * s1 - s2;
    s2 = s1;
    s1 = s0;
  }
  return s1 * s1 + s2 * s2 - coefficient * s1 * s2;
}
