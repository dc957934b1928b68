export interface CacheCounters {
  readonly size: number;
  readonly hits: number;
  readonly misses: number;
}

/** What is read again and again, by its text. When it is full it begins anew: what is common is soon there again. */
export class BoundedCache<T> {
  readonly #known = new Map<string, T>();
  readonly #most: number;
  #hits = 0;
  #misses = 0;

  constructor(most: number) {
    this.#most = most;
  }

  get counters(): CacheCounters {
    return { size: this.#known.size, hits: this.#hits, misses: this.#misses };
  }

  get(text: string): T | undefined {
    const value = this.#known.get(text);
    if (value === undefined) this.#misses++;
    else this.#hits++;
    return value;
  }

  set(text: string, value: T): void {
    if (this.#known.size >= this.#most) this.#known.clear();
    this.#known.set(text, value);
  }
}
