import { KeptReplies } from './kept-replies.ts';

const SWAP_MS = 30_000;
/** What an entry costs at most beside its bytes: a key and a place in a map. */
const ENTRY_BYTES = 300;

/**
 * The replies to recent requests, by sender's address and cookie: a request that comes again, because its reply was lost
 * or by another transport, gets the same reply, and nothing is done twice. Its body is not compared. As in rtpengine two
 * generations are swapped every 30 s, so that a reply is kept for 30 to 60 s. Other than there the address is part of the
 * key: proxies in containers have the same small process ids and counters, and would get each other's replies.
 */
export class ReplyCache {
  readonly #maxBytes: number;
  readonly #maxWaiting: number;
  #young = new KeptReplies();
  #old = new KeptReplies();
  #swappedAt = 0;
  readonly #working = new Map<string, ((reply: Buffer) => void)[]>();
  #waiting = 0;
  readonly counters = { duplicates: 0, waited: 0, forgotten: 0 };

  /** `maxBytes` of replies in both generations; half of them fills one, and the older one then goes early. */
  constructor(maxBytes = 64 << 20, maxWaiting = 10_000) {
    this.#maxBytes = maxBytes;
    this.#maxWaiting = maxWaiting;
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  get bytes(): number {
    return this.#young.bytes + this.#old.bytes;
  }

  /** The reply that was given; `working` when there is none yet. `now`: ms of any clock. */
  find(key: string, now: number): Buffer | 'working' | undefined {
    this.#swap(now);
    const reply = this.#young.get(key) ?? this.#old.get(key);
    if (reply) this.counters.duplicates++;
    return reply ?? (this.#working.has(key) ? 'working' : undefined);
  }

  /** To be called before work that takes time; {@link keep} or {@link finish} end it. */
  begin(key: string): void {
    this.#working.set(key, []);
  }

  /** `tell` is called with the reply once there is one. @returns false above the bound: there will be none */
  wait(key: string, tell: (reply: Buffer) => void): boolean {
    const waiting = this.#working.get(key);
    if (!waiting || this.#waiting >= this.#maxWaiting) return false;
    this.#waiting++;
    this.counters.waited++;
    waiting.push(tell);
    return true;
  }

  /** The reply goes to those who wait, and is not kept. */
  finish(key: string, reply: Buffer): void {
    const waiting = this.#working.get(key);
    if (!waiting) return;
    this.#working.delete(key);
    this.#waiting -= waiting.length;
    for (const tell of waiting) tell(reply);
  }

  keep(key: string, reply: Buffer, now: number): void {
    this.#swap(now);
    const bytes = reply.length + key.length + ENTRY_BYTES;
    if (this.#young.bytes + bytes > this.#maxBytes / 2) {
      this.counters.forgotten += this.#old.size;
      this.#turn(now);
    }
    this.#young.set(key, reply);
    this.#young.bytes += bytes;
    this.finish(key, reply);
  }

  #swap(now: number): void {
    if (now - this.#swappedAt < SWAP_MS) return;
    if (now - this.#swappedAt >= 2 * SWAP_MS) this.#turn(now);
    this.#turn(now);
  }

  #turn(now: number): void {
    this.#old = this.#young;
    this.#young = new KeptReplies();
    this.#swappedAt = now;
  }
}
