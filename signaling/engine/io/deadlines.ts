/**
 * Things that must be done within the same time, each from its own beginning. One timer for all of them: what began
 * first ends first. Its owner closes it.
 */
export class Deadlines<T> {
  readonly #ms: number;
  readonly #now: () => number;
  readonly #expired: (thing: T) => void;
  /** In the order in which they began. */
  readonly #until = new Map<T, number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(ms: number, now: () => number, expired: (thing: T) => void) {
    this.#ms = ms;
    this.#now = now;
    this.#expired = expired;
  }

  get size(): number {
    return this.#until.size;
  }

  /** Runs on when it runs already. */
  start(thing: T): void {
    if (this.#until.has(thing)) return;
    this.#until.set(thing, this.#now() + this.#ms);
    this.#arm();
  }

  /** Begins anew. */
  restart(thing: T): void {
    this.#until.delete(thing);
    this.start(thing);
  }

  clear(thing: T): void {
    this.#until.delete(thing);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#until.clear();
  }

  #arm(): void {
    if (this.#timer || this.#until.size === 0) return;
    const first = this.#until.values().next().value as number;
    // Whole steps of a tenth: many that end together cost one turn.
    const wait = Math.max(first - this.#now(), this.#ms / 10, 10);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      const now = this.#now();
      for (const [thing, until] of this.#until) {
        if (until > now) break;
        this.#until.delete(thing);
        this.#expired(thing);
      }
      this.#arm();
    }, wait).unref();
  }
}
