import type { Branded } from './ids.ts';

/** Milliseconds since 1970, from a wall clock. */
export type EpochMs = Branded<number, 'EpochMs'>;

/** Milliseconds of a clock that never goes back; only differences mean anything. */
export type MonotonicMs = Branded<number, 'MonotonicMs'>;

/** Where time comes from. Handed in by the composition root, so that tests drive it. */
export interface Clock {
  now(): EpochMs;
  monotonic(): MonotonicMs;
}
