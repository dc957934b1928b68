/** So many at once, and so many a second after that. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

interface Bucket {
  tokens: number;
  at: number;
}

/**
 * Token buckets by key. Bounded: the oldest key gives way, which only lets somebody through whom it would have held.
 * Pure: `now` in ms of any clock.
 */
export class RateTable {
  readonly #buckets = new Map<string, Bucket>();
  readonly #rate: Rate;
  readonly #limit: number;

  constructor(rate: Rate, limit = 100_000) {
    this.#rate = rate;
    this.#limit = limit;
  }

  get size(): number {
    return this.#buckets.size;
  }

  /** Takes one. @returns 0, or after how many seconds there is one again. */
  take(key: string, now: number): number {
    const bucket = this.#at(key, now);
    if (bucket.tokens < 1) return Math.max(1, Math.ceil((1 - bucket.tokens) / this.#rate.perSecond));
    bucket.tokens--;
    return 0;
  }

  /** Whether there is one to take. */
  has(key: string, now: number): boolean {
    return !this.#buckets.has(key) || this.#at(key, now).tokens >= 1;
  }

  #at(key: string, now: number): Bucket {
    const { perSecond, burst } = this.#rate;
    const known = this.#buckets.get(key);
    if (known) {
      known.tokens = Math.min(burst, known.tokens + (Math.max(0, now - known.at) / 1000) * perSecond);
      known.at = now;
      return known;
    }
    if (this.#buckets.size >= this.#limit) {
      const oldest = this.#buckets.keys().next().value;
      if (oldest !== undefined) this.#buckets.delete(oldest);
    }
    const bucket = { tokens: burst, at: now };
    this.#buckets.set(key, bucket);
    return bucket;
  }
}
