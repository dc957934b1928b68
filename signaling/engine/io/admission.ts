import { isIPv6 } from 'node:net';

/** Why a connection is not taken. */
export type Refusal = 'connections' | 'per-address' | 'handshakes' | 'handshakes-per-address';

export interface AdmissionLimits {
  readonly connections: number;
  readonly connectionsPerAddress: number;
  readonly handshakesPerSecond: number;
  readonly handshakesPerSecondPerAddress: number;
}

/** Addresses whose rate is remembered; the one that was heard of longest ago goes, and starts anew with a full bucket. */
const MAX_SOURCES = 20_000;

interface Bucket {
  tokens: number;
  at: number;
}

/**
 * Which connections may come in: how many, from where, and how many TLS handshakes a second (token buckets that hold two
 * seconds' worth). Decided before a byte is read: a refusal costs microseconds, a handshake a millisecond or two.
 */
export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #byAddress = new Map<string, number>();
  readonly #all: Bucket = { tokens: -1, at: 0 };
  readonly #sources = new Map<string, Bucket>();
  #connections = 0;

  constructor(limits: AdmissionLimits) {
    this.#limits = limits;
  }

  get connections(): number {
    return this.#connections;
  }

  /** Addresses that hold at least one connection. */
  get addresses(): number {
    return this.#byAddress.size;
  }

  /** Counts the connection, or says why not. Who was let in must `release`. `now`: monotonic ms. */
  admit(address: string, secure: boolean, now: number): Refusal | undefined {
    const limits = this.#limits;
    const key = sourceKey(address);
    const held = this.#byAddress.get(key) ?? 0;
    if (this.#connections >= limits.connections) return 'connections';
    if (held >= limits.connectionsPerAddress) return 'per-address';
    if (secure) {
      // A source that is past its own rate takes nothing from the others'.
      if (!take(this.#bucketOf(key, now), limits.handshakesPerSecondPerAddress, now)) return 'handshakes-per-address';
      if (!take(this.#all, limits.handshakesPerSecond, now)) return 'handshakes';
    }
    this.#connections++;
    this.#byAddress.set(key, held + 1);
    return undefined;
  }

  release(address: string): void {
    const key = sourceKey(address);
    const held = this.#byAddress.get(key) ?? 0;
    this.#connections--;
    if (held > 1) this.#byAddress.set(key, held - 1);
    else this.#byAddress.delete(key);
  }

  #bucketOf(key: string, now: number): Bucket {
    const bucket = this.#sources.get(key) ?? { tokens: -1, at: now };
    this.#sources.delete(key);
    this.#sources.set(key, bucket);
    if (this.#sources.size > MAX_SOURCES) this.#sources.delete(this.#sources.keys().next().value as string);
    return bucket;
  }
}

function take(bucket: Bucket, perSecond: number, now: number): boolean {
  const most = perSecond * 2;
  if (bucket.tokens < 0) bucket.tokens = most;
  else bucket.tokens = Math.min(most, bucket.tokens + ((now - bucket.at) / 1000) * perSecond);
  bucket.at = now;
  if (bucket.tokens < 1) return false;
  bucket.tokens--;
  return true;
}

/** One IPv4 address, or one IPv6 network of 64 bits: what one customer line has. */
export function sourceKey(address: string): string {
  if (!isIPv6(address)) return address;
  const [head = '', tail] = (address.split('%')[0] as string).split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length);
  const groups = [...left, ...Array<string>(zeros).fill('0'), ...right];
  return groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, '').toLowerCase())
    .join(':');
}
