import { BlockList, isIPv6 } from 'node:net';

/** Why a connection is not taken. */
export type Refusal = 'connections' | 'per-address' | 'handshakes' | 'handshakes-per-address';

export interface AdmissionLimits {
  readonly connections: number;
  readonly connectionsPerAddress: number;
  readonly handshakesPerSecond: number;
  readonly handshakesPerSecondPerAddress: number;
}

/** Seconds' worth of handshakes that may come at once: phones of a node that has died come together. */
const BURST_SECONDS = { all: 4, address: 10 } as const;
/** Addresses whose rate is remembered; the one that was heard of longest ago goes, and starts anew with a full bucket. */
const MAX_SOURCES = 20_000;

interface Bucket {
  tokens: number;
  at: number;
}

/**
 * Which connections may come in: how many, from where, and how many TLS handshakes a second (token buckets). Decided before a byte is read: a refusal costs microseconds, a handshake a millisecond or two.
 */
export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #byAddress = new Map<string, number>();
  readonly #all: Bucket = { tokens: -1, at: 0 };
  readonly #sources = new Map<string, Bucket>();
  readonly #exempt = new BlockList();
  #connections = 0;

  /** `exempt`: addresses and networks (`192.0.2.0/24`) that only the number of all connections bounds: edge proxies. */
  constructor(limits: AdmissionLimits, exempt: readonly string[] = []) {
    this.#limits = limits;
    for (const text of exempt) {
      const [address = '', prefix] = text.split('/');
      const family = isIPv6(address) ? 'ipv6' : 'ipv4';
      this.#exempt.addSubnet(address, prefix === undefined ? (family === 'ipv6' ? 128 : 32) : Number(prefix), family);
    }
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
    if (!this.#exempt.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')) {
      if (held >= limits.connectionsPerAddress) return 'per-address';
      const refusal = secure ? this.#handshake(key, now) : undefined;
      if (refusal !== undefined) return refusal;
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

  #handshake(key: string, now: number): Refusal | undefined {
    const { handshakesPerSecond, handshakesPerSecondPerAddress } = this.#limits;
    // A source that is past its own rate takes nothing from the others'.
    const own = this.#bucketOf(key, now);
    if (!take(own, handshakesPerSecondPerAddress, BURST_SECONDS.address, now)) return 'handshakes-per-address';
    return take(this.#all, handshakesPerSecond, BURST_SECONDS.all, now) ? undefined : 'handshakes';
  }

  #bucketOf(key: string, now: number): Bucket {
    const bucket = this.#sources.get(key) ?? { tokens: -1, at: now };
    this.#sources.delete(key);
    this.#sources.set(key, bucket);
    if (this.#sources.size > MAX_SOURCES) this.#sources.delete(this.#sources.keys().next().value as string);
    return bucket;
  }
}

function take(bucket: Bucket, perSecond: number, burstSeconds: number, now: number): boolean {
  const most = perSecond * burstSeconds;
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
