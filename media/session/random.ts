import { randomBytes, randomInt } from 'node:crypto';

const ALPHANUMERIC = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

export function alphanumeric(length: number): string {
  return Array.from({ length }, () => ALPHANUMERIC[randomInt(ALPHANUMERIC.length)]).join('');
}

/** RFC 8445 §5.3 asks for 24 and 128 bits; 62 characters make 5.9 bits each. */
export function newIce(): { ufrag: string; pwd: string } {
  return { ufrag: alphanumeric(8), pwd: alphanumeric(26) };
}

export function randomKey(bytes: number): Buffer {
  return randomBytes(bytes);
}
