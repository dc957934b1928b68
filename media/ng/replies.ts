/**
 * The replies to recent requests, by cookie and sender: a request that was sent again because its reply was lost gets
 * the same reply, and nothing is done twice. Bounded by count and age.
 */
export class RecentReplies {
  readonly #replies = new Map<string, { readonly reply: Buffer; readonly at: number }>();
  readonly #limit: number;
  readonly #lifeMs: number;

  constructor(limit = 20_000, lifeMs = 30_000) {
    this.#limit = limit;
    this.#lifeMs = lifeMs;
  }

  get size(): number {
    return this.#replies.size;
  }

  find(key: string, now: number): Buffer | undefined {
    const found = this.#replies.get(key);
    return found && now - found.at <= this.#lifeMs ? found.reply : undefined;
  }

  keep(key: string, reply: Buffer, now: number): void {
    this.#replies.set(key, { reply, at: now });
    for (const [oldest, { at }] of this.#replies) {
      if (this.#replies.size <= this.#limit && now - at <= this.#lifeMs) break;
      this.#replies.delete(oldest);
    }
  }
}
