import assert from 'node:assert/strict';

/** One parser with what must hold of it for any bytes. */
export interface Target {
  readonly name: string;
  readonly seeds: readonly Buffer[];
  /** Words that mean something to the parser: mutations put them in. */
  readonly words: readonly string[];
  /** How many texts one input holds, 1 without it: inputs are counted by them. */
  readonly texts?: number;
  /** Throws when a property does not hold. */
  run(input: Buffer): void;
}

/** An input may be slow by chance, when the machine has other work; not twice, of CPU. */
export const SLOW_MS = 100;

/** Like assert.equal, without the cost of a message that is made for every input. */
export function same(actual: unknown, expected: unknown, what: string): void {
  if (!Object.is(actual, expected)) assert.equal(actual, expected, what);
}

export function holds(condition: boolean, what: string): void {
  if (!condition) assert.fail(what);
}
