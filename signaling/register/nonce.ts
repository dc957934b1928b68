import { createHmac, createSecretKey, randomFillSync, timingSafeEqual, type KeyObject } from 'node:crypto';
import type { Private } from '../../vocabulary/mod.ts';
import { own } from './own.ts';

/** Digest nonces that carry their own proof (RFC 7616 §3.3): time, randomness, and an HMAC over both and the realm. */
export class Nonces {
  /** A key made once: making it anew costs more than the HMAC. */
  readonly #key: KeyObject;
  readonly #lifeMs: number;
  readonly #pool = Buffer.alloc(8 * 1024);
  #at = this.#pool.length;

  constructor(secret: Private<Buffer>, lifeSeconds: number) {
    this.#key = createSecretKey(secret.reveal());
    this.#lifeMs = lifeSeconds * 1000;
  }

  /** `now`: epoch ms. */
  issue(realm: string, now: number): string {
    const body = Buffer.alloc(14);
    body.writeUIntBE(now, 0, 6);
    this.#random().copy(body, 6);
    return Buffer.concat([body, this.#sign(body, realm)]).toString('base64url');
  }

  /** `forged` also stands for what was never a nonce of ours, as one from before a change of the secret. */
  judge(nonce: string, realm: string, now: number): 'live' | 'stale' | 'forged' {
    const bytes = Buffer.from(nonce, 'base64url');
    if (bytes.length !== 30 || nonce.length !== 40) return 'forged';
    const body = bytes.subarray(0, 14);
    if (!timingSafeEqual(bytes.subarray(14), this.#sign(body, realm))) return 'forged';
    const age = now - body.readUIntBE(0, 6);
    // A clock of another node of the PoP may run a little ahead.
    return age > this.#lifeMs || age < -5000 ? 'stale' : 'live';
  }

  /** Eight bytes, of which a thousand are drawn at once. */
  #random(): Buffer {
    if (this.#at >= this.#pool.length) {
      randomFillSync(this.#pool);
      this.#at = 0;
    }
    this.#at += 8;
    return this.#pool.subarray(this.#at - 8, this.#at);
  }

  #sign(body: Buffer, realm: string): Buffer {
    return createHmac('sha256', this.#key).update(body).update(realm).digest().subarray(0, 16);
  }
}

/**
 * The highest nonce count seen with each nonce: the same credentials a second time are a replay (RFC 7616 §3.4).
 * Bounded; the oldest nonce is forgotten first, and forgetting only lets a replay within the nonce's life pass.
 */
export class NonceCounts {
  readonly #highest = new Map<string, number>();
  readonly #limit: number;

  constructor(limit = 200_000) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#highest.size;
  }

  /** False when this count was used before. */
  use(nonce: string, count: number): boolean {
    const highest = this.#highest.get(nonce);
    if (highest !== undefined && count <= highest) return false;
    if (highest === undefined && this.#highest.size >= this.#limit) {
      const oldest = this.#highest.keys().next().value;
      if (oldest !== undefined) this.#highest.delete(oldest);
    }
    this.#highest.set(highest === undefined ? own(nonce) : nonce, count);
    return true;
  }
}
