/** Seeded randomness (mulberry32): the same seed gives the same hostility. */
export function random(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

const NASTY = [0x00, 0xff, 0x0d, 0x0a, 0x22, 0x3c, 0x3b, 0x25, 0x80, 0x7f];

/** One to eight changes: bytes flipped, removed, repeated, cut off, or swapped for nasty ones. */
export function mutate(bytes: Uint8Array, pick: (below: number) => number): Buffer {
  let out = Buffer.from(bytes);
  for (let changes = 1 + pick(8); changes > 0 && out.length > 1; changes--) {
    const at = pick(out.length);
    switch (pick(6)) {
      case 0:
        out[at] = (out[at] ?? 0) ^ (1 << pick(8));
        break;
      case 1:
        out[at] = NASTY[pick(NASTY.length)] ?? 0;
        break;
      case 2:
        out = Buffer.concat([out.subarray(0, at), out.subarray(Math.min(out.length, at + 1 + pick(20)))]);
        break;
      case 3:
        out = Buffer.concat([out.subarray(0, at), out.subarray(at, at + pick(200)), out.subarray(at)]);
        break;
      case 4:
        out = out.subarray(0, at);
        break;
      default:
        out.writeUInt16BE(pick(65_536), Math.min(at, out.length - 2));
    }
  }
  return out.subarray(0, 60_000);
}
