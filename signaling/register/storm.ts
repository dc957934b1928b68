/** What a registrar under load knows of itself. */
export interface Load {
  /** REGISTERs a second that it can serve. */
  readonly perSecond: number;
  /** Clients that were sent away and are still to come back. */
  readonly waiting: number;
}

const MIN_SECONDS = 2;
const MAX_SECONDS = 600;

/**
 * Retry-After in seconds: those who wait come back spread over the time that it takes to serve them, a quarter more
 * than that, and never all at once. `random`: 0 to 1.
 */
export function retryAfter({ perSecond, waiting }: Load, random: number): number {
  const window = Math.min(MAX_SECONDS, Math.max(8, Math.ceil((waiting / Math.max(1, perSecond)) * 1.25)));
  return MIN_SECONDS + Math.floor(random * window);
}

const LAG_TARGET_MS = 50;

/** The event loop's delay tells what the number of the configuration cannot: how much this machine can do today. */
export function capacity(perSecond: number, lagMs: number): number {
  return lagMs <= LAG_TARGET_MS ? perSecond : Math.max(1, (perSecond * LAG_TARGET_MS) / lagMs);
}

/**
 * Lets as many REGISTERs through as can be served. Who has answered a challenge goes before who has not: what was spent
 * on it is not to be lost. Pure: `now` in ms of any clock, `random` 0 to 1.
 */
export class Storm {
  readonly #perSecond: number;
  #now: number;
  #tokens: number;
  #waiting = 0;
  #lagMs = 0;

  constructor(perSecond: number, now: number) {
    this.#perSecond = perSecond;
    this.#tokens = perSecond;
    this.#now = now;
  }

  /** Clients that were sent away and are still to come back. */
  get waiting(): number {
    return Math.round(this.#waiting);
  }

  /** Of the event loop, as it was found lately. */
  lag(ms: number): void {
    this.#lagMs = ms;
  }

  /** @returns 0, or the Retry-After of the 503. */
  admit(challenged: boolean, now: number, random: number): number {
    const perSecond = capacity(this.#perSecond, this.#lagMs);
    const passed = Math.max(0, now - this.#now) / 1000;
    this.#now = now;
    this.#tokens = Math.min(perSecond, this.#tokens + passed * perSecond);
    this.#waiting = Math.max(0, this.#waiting - passed * perSecond);
    const reserve = challenged ? 1 : Math.max(1, perSecond * 0.3);
    if (this.#tokens >= reserve) {
      this.#tokens--;
      return 0;
    }
    this.#waiting++;
    return retryAfter({ perSecond, waiting: this.#waiting }, random);
  }
}
