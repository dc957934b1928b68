import type { Sound } from './wav.ts';

const RATE = 8000;
/** ITU-T Q.23: rows and columns of the keypad, in Hz. */
const ROWS = [697, 770, 852, 941];
const COLUMNS = [1209, 1336, 1477, 1633];
/** By the event's number (RFC 4733 §3.2): where the key lies. */
const KEYS = '0123456789*#ABCD';
const PAD = '123A456B789C*0#D';
/** Peak of a sine of 0 dBm0 in G.711 (ITU-T G.711, table 5): 3.17 dB below full scale. */
const FULL = 32_767 * 10 ** (-3.17 / 20);
/** At each end, so that it does not click. */
const EDGE_MS = 3;

/** A key as two tones in the band, and the pause behind it. `volume`: of each tone, dBm0 without its sign. */
export function keyTone(event: number, volume: number, durationMs: number, pauseMs: number): Sound {
  const place = PAD.indexOf(KEYS[event] ?? '0');
  const [low, high] = [ROWS[Math.floor(place / 4)] ?? 0, COLUMNS[place % 4] ?? 0];
  // Two tones above half of full scale would be cut.
  const peak = Math.min(FULL * 10 ** (-volume / 20), 16_000);
  const length = (durationMs * RATE) / 1000;
  const edge = (EDGE_MS * RATE) / 1000;
  const samples = new Int16Array(Math.round(length + (pauseMs * RATE) / 1000));
  for (let i = 0; i < length; i++) {
    const window = Math.min(1, (i + 1) / edge, (length - i) / edge);
    const angle = (2 * Math.PI * i) / RATE;
    samples[i] = Math.round(window * peak * (Math.sin(low * angle) + Math.sin(high * angle)));
  }
  return { rate: RATE, samples };
}
