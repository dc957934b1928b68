/** Between two tries to deliver, in ms: doubled each time, up to a minute. */
const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 60_000;

export interface OutboxOptions {
  /** Messages that wait, the one that is under way among them. */
  readonly limit: number;
  /** A message is given up after so many tries. */
  readonly tries: number;
}

export interface Letter {
  readonly id: string;
  readonly body: string;
}

/**
 * Messages for one receiver, delivered in order and one at a time; pure. {@link next} says what to send now, or when to
 * ask again; {@link done} how it went. When it is full the oldest that is not under way goes: news are worth more.
 */
export class Outbox {
  readonly counters = { delivered: 0, retried: 0, dropped: 0 };
  readonly #options: OutboxOptions;
  readonly #letters: Letter[] = [];
  #underWay = false;
  #tries = 0;
  #notBefore = 0;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#letters.length;
  }

  put(letter: Letter): void {
    this.#letters.push(letter);
    if (this.#letters.length <= this.#options.limit) return;
    this.#letters.splice(this.#underWay || this.#tries > 0 ? 1 : 0, 1);
    this.counters.dropped++;
  }

  /** `now`: ms of a clock that never jumps. */
  next(now: number): { readonly send: Letter } | { readonly waitMs: number } | undefined {
    const [first] = this.#letters;
    if (!first || this.#underWay) return undefined;
    if (now < this.#notBefore) return { waitMs: this.#notBefore - now };
    this.#underWay = true;
    return { send: first };
  }

  /** `delivered`: the receiver took it, or refused it for good. */
  done(outcome: 'delivered' | 'refused' | 'failed', now: number): void {
    this.#underWay = false;
    if (outcome === 'failed' && ++this.#tries < this.#options.tries) {
      this.counters.retried++;
      this.#notBefore = now + Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** (this.#tries - 1));
      return;
    }
    this.#letters.shift();
    this.#tries = 0;
    this.#notBefore = 0;
    this.counters[outcome === 'delivered' ? 'delivered' : 'dropped']++;
  }
}
