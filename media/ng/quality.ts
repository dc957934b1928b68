import type { EndpointStats } from '../dataplane/mod.ts';

/** What one interval of a stream was like. `mos` is 1.0 to 4.4, `lossPercent` of the packets that were expected. */
export interface Sample {
  /** Epoch seconds. */
  readonly at: number;
  readonly mos: number;
  readonly jitterMs: number;
  readonly roundTripMs: number | undefined;
  readonly lossPercent: number;
}

/**
 * Mean opinion score from what is measured on the way: the E-model of ITU-T G.107 in the short form of the
 * PingPlotter handbook, which rtpengine uses too: delay counts little, loss much.
 */
export function meanOpinionScore(lossPercent: number, jitterMs: number, roundTripMs: number): number {
  const latency = roundTripMs + jitterMs * 2 + 10;
  const rating = 93.2 - (latency < 160 ? latency / 40 : (latency - 120) / 10) - lossPercent * 2.5;
  const r = Math.max(0, rating);
  return Math.max(1, 1 + 0.035 * r + 0.000_007 * r * (r - 60) * (100 - r));
}

const MAX_ENTRIES = 24;

/** The quality of one stream over its life, in bounded space: when the entries are full, every second one goes. */
export class StreamQuality {
  #packets = 0;
  #lost = 0;
  #stride = 1;
  #skipped = 0;
  readonly #sum = { mos: 0, jitterMs: 0, roundTripMs: 0, lossPercent: 0, roundTrips: 0 };
  samples = 0;
  lowest: Sample | undefined;
  highest: Sample | undefined;
  last: Sample | undefined;
  entries: Sample[] = [];

  /** Intervals in which nothing was received say nothing. `now`: epoch ms. */
  take(stats: Pick<EndpointStats, 'received' | 'roundTripMs'>, now: number): Sample | undefined {
    const { packets, lost, jitterMs } = stats.received;
    const got = packets - this.#packets;
    const missed = Math.max(0, lost - this.#lost);
    this.#packets = packets;
    this.#lost = lost;
    if (got <= 0) return undefined;
    const lossPercent = (missed / (got + missed)) * 100;
    const { roundTripMs } = stats;
    const mos = meanOpinionScore(lossPercent, jitterMs, roundTripMs ?? 0);
    const sample: Sample = { at: Math.floor(now / 1000), mos, jitterMs, roundTripMs, lossPercent };
    this.#add(sample);
    return sample;
  }

  /** Cumulative, as the last report said. */
  get lost(): number {
    return this.#lost;
  }

  /** How many samples lie between two entries. */
  get stride(): number {
    return this.#stride;
  }

  average(): Omit<Sample, 'at'> | undefined {
    if (this.samples === 0) return undefined;
    const { mos, jitterMs, roundTripMs, lossPercent, roundTrips } = this.#sum;
    return {
      mos: mos / this.samples,
      jitterMs: jitterMs / this.samples,
      lossPercent: lossPercent / this.samples,
      roundTripMs: roundTrips === 0 ? undefined : roundTripMs / roundTrips,
    };
  }

  #add(sample: Sample): void {
    this.samples++;
    this.last = sample;
    this.#sum.mos += sample.mos;
    this.#sum.jitterMs += sample.jitterMs;
    this.#sum.lossPercent += sample.lossPercent;
    if (sample.roundTripMs !== undefined) {
      this.#sum.roundTripMs += sample.roundTripMs;
      this.#sum.roundTrips++;
    }
    if (!this.lowest || sample.mos < this.lowest.mos) this.lowest = sample;
    if (!this.highest || sample.mos > this.highest.mos) this.highest = sample;
    if (this.#skipped++ % this.#stride !== 0) return;
    this.entries.push(sample);
    if (this.entries.length < MAX_ENTRIES) return;
    this.entries = this.entries.filter((_, index) => index % 2 === 0);
    this.#stride *= 2;
  }
}
