import { targetKey, type Target } from './target.ts';

/** Why a target is out of favour, and for how long when its peer did not say it itself. */
export const DOWN_MS = { refused: 30_000, timeout: 60_000, most: 600_000 } as const;

/**
 * Targets that have failed of late (RFC 3263 §4.3; 503 with Retry-After: RFC 3261 §21.5.4). They are tried after all
 * others, not never: a list that is wrong costs time, not calls. Bounded: the oldest entry goes.
 */
export class DownList {
  readonly #until = new Map<string, number>();
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#until.size;
  }

  /** `forMs` is bounded: nobody can have himself, or another, put away for days. */
  down(target: Place, forMs: number, now: number): void {
    const key = targetKey(target);
    const until = now + Math.min(Math.max(0, forMs), DOWN_MS.most);
    this.#until.delete(key);
    this.#until.set(key, until);
    if (this.#until.size <= this.#limit) return;
    const oldest = this.#until.keys().next().value;
    if (oldest !== undefined) this.#until.delete(oldest);
  }

  /** It has answered. */
  up(target: Place): void {
    if (this.#until.size > 0) this.#until.delete(targetKey(target));
  }

  isDown(target: Place, now: number): boolean {
    if (this.#until.size === 0) return false;
    const key = targetKey(target);
    const until = this.#until.get(key);
    if (until === undefined) return false;
    if (until > now) return true;
    this.#until.delete(key);
    return false;
  }

  /** Those that are well first, each part in its order; of those that are down the one that comes back first. */
  order(targets: readonly Target[], now: number): readonly Target[] {
    if (this.#until.size === 0 || targets.length < 2) return targets;
    const well = targets.filter((target) => !this.isDown(target, now));
    if (well.length === targets.length) return targets;
    const down = targets.filter((target) => this.isDown(target, now));
    const until = (target: Target) => this.#until.get(targetKey(target)) ?? 0;
    return [...well, ...down.sort((a, b) => until(a) - until(b))];
  }

  /** Forgets what is over. */
  sweep(now: number): void {
    for (const [key, until] of this.#until) if (until <= now) this.#until.delete(key);
  }
}

type Place = Pick<Target, 'protocol' | 'address' | 'port'>;
