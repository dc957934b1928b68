/** Mono, 16 bit. */
export interface Sound {
  readonly rate: number;
  readonly samples: Int16Array;
}

const RATES = new Set([8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000]);
const PCM = 1;
const A_LAW = 6;
const MU_LAW = 7;
const EXTENSIBLE = 0xfffe;

/**
 * A WAV file (RIFF): PCM of 16 bits, A-law or µ-law, mono or stereo (both ears are put together). `undefined` when it is
 * anything else, or holds nothing; a file that was cut short is played as far as it goes. Never throws.
 */
export function readWav(bytes: Uint8Array): Sound | undefined {
  const data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (data.length < 12 || data.toString('latin1', 0, 4) !== 'RIFF' || data.toString('latin1', 8, 12) !== 'WAVE')
    return undefined;
  let format: Format | undefined;
  for (let at = 12; at + 8 <= data.length;) {
    const name = data.toString('latin1', at, at + 4);
    const size = data.readUInt32LE(at + 4);
    const body = data.subarray(at + 8, at + 8 + size);
    if (name === 'fmt ') format = readFormat(body);
    if (name === 'data') return format && soundOf(format, body);
    // Chunks are padded to even lengths.
    at += 8 + size + (size % 2);
  }
  return undefined;
}

interface Format {
  readonly tag: number;
  readonly channels: number;
  readonly rate: number;
}

function readFormat(body: Buffer): Format | undefined {
  if (body.length < 16) return undefined;
  const written = body.readUInt16LE(0);
  // The first two octets of an extensible format's GUID are the tag that it stands for.
  const tag = written === EXTENSIBLE && body.length >= 26 ? body.readUInt16LE(24) : written;
  const channels = body.readUInt16LE(2);
  const rate = body.readUInt32LE(4);
  const bits = body.readUInt16LE(14);
  const known = (tag === PCM && bits === 16) || ((tag === A_LAW || tag === MU_LAW) && bits === 8);
  return known && (channels === 1 || channels === 2) && RATES.has(rate) ? { tag, channels, rate } : undefined;
}

function soundOf({ tag, channels, rate }: Format, body: Buffer): Sound | undefined {
  const width = tag === PCM ? 2 : 1;
  const table = tag === A_LAW ? aLaw : muLaw;
  const at = (index: number) => (tag === PCM ? body.readInt16LE(index * 2) : (table[body[index] as number] as number));
  const samples = new Int16Array(Math.floor(body.length / (width * channels)));
  if (samples.length === 0) return undefined;
  for (let i = 0; i < samples.length; i++) samples[i] = channels === 1 ? at(i) : (at(2 * i) + at(2 * i + 1)) >> 1;
  return { rate, samples };
}

/** ITU-T G.711, table 2. */
const muLaw = Int16Array.from({ length: 256 }, (_, code) => {
  const value = ~code & 0xff;
  const magnitude = ((((value & 0x0f) << 3) + 132) << ((value >> 4) & 7)) - 132;
  return value & 0x80 ? -magnitude : magnitude;
});

/** ITU-T G.711, table 1; even bits are inverted on the line. */
const aLaw = Int16Array.from({ length: 256 }, (_, code) => {
  const value = code ^ 0x55;
  const segment = (value >> 4) & 7;
  const step = ((value & 0x0f) << 4) + 8;
  const magnitude = segment === 0 ? step : (step + 256) << (segment - 1);
  return value & 0x80 ? magnitude : -magnitude;
});
