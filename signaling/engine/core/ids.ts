import { randomBytes, randomUUID } from 'node:crypto';

/** Where the engine's names come from; tests hand in counted ones. */
export interface Ids {
  uuid(): string;
  tag(): string;
  /** With the cookie of RFC 3261 §8.1.1.7. */
  branch(): string;
}

let pool = Buffer.alloc(0);
let used = 0;

/** Random hex from a pool: one call to the kernel serves many names. */
function hex(bytes: number): string {
  if (used + bytes > pool.length) {
    pool = randomBytes(4096);
    used = 0;
  }
  used += bytes;
  return pool.toString('hex', used - bytes, used);
}

export const randomIds: Ids = {
  uuid: () => randomUUID(),
  tag: () => hex(8),
  branch: () => `z9hG4bK${hex(10)}`,
};
