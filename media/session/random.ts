import { randomFillSync, randomInt } from 'node:crypto';

const ALPHANUMERIC = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

export function alphanumeric(length: number): string {
  return Array.from({ length }, () => ALPHANUMERIC[randomInt(ALPHANUMERIC.length)]).join('');
}

/** RFC 8445 §5.3 asks for 24 and 128 bits; 62 characters make 5.9 bits each. */
export function newIce(): { ufrag: string; pwd: string } {
  return { ufrag: alphanumeric(8), pwd: alphanumeric(26) };
}

export function randomKey(bytes: number): Buffer {
  if (at + bytes > pool.length) {
    randomFillSync(pool);
    at = 0;
  }
  const key = Buffer.from(pool.subarray(at, at + bytes));
  pool.fill(0, at, at + bytes);
  at += bytes;
  return key;
}

// An offer of SDES has a key for each of twelve suites: asking for each by itself costs more than all the rest of it.
const pool = Buffer.alloc(4096);
let at = pool.length;
