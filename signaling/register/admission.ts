import type { BlockList } from 'node:net';
import type { Source } from './binding.ts';
import { RateTable, type Rate } from './rate.ts';
import type { Storm } from './storm.ts';

export interface AdmissionLimits {
  /** REGISTERs, and other requests that have to show credentials, of one source address. */
  readonly perSource: Rate;
  /** REGISTERs for one address of record. */
  readonly perAor: Rate;
  /** Wrong passwords of one source for one user. */
  readonly failures: Rate;
  /** Sources that are not counted. */
  readonly exempt: BlockList;
}

export type Limited = 'source-rate' | 'aor-rate' | 'failures' | 'storm';

export interface Refused {
  readonly why: Limited;
  readonly retryAfterSeconds: number;
}

/** How much of us one source, one user and all together may take, before any work is done for them. Pure. */
export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #sources: RateTable;
  readonly #aors: RateTable;
  readonly #failures: RateTable;
  readonly #storm: Storm;
  readonly counters: Record<Limited, number> = { 'source-rate': 0, 'aor-rate': 0, failures: 0, storm: 0 };

  constructor(limits: AdmissionLimits, storm: Storm) {
    this.#limits = limits;
    this.#sources = new RateTable(limits.perSource);
    this.#aors = new RateTable(limits.perAor);
    this.#failures = new RateTable(limits.failures);
    this.#storm = storm;
  }

  /** Entries of its tables. */
  get size(): number {
    return this.#sources.size + this.#aors.size + this.#failures.size;
  }

  get storm(): Storm {
    return this.#storm;
  }

  /** `aor`: of a REGISTER. `random`: 0 to 1. */
  admit(
    request: { readonly source: Source; readonly aor: string | undefined; readonly credentials: boolean },
    now: number,
    random: number,
  ): Refused | undefined {
    const { source, aor, credentials } = request;
    const exempt = this.#exempt(source.address);
    if (!exempt) {
      const wait = this.#sources.take(network(source.address), now);
      if (wait > 0) return this.#refuse('source-rate', wait, random);
      if (aor !== undefined) {
        const waitAor = this.#aors.take(aor, now);
        if (waitAor > 0) return this.#refuse('aor-rate', waitAor, random);
      }
    }
    if (aor === undefined) return undefined;
    const wait = this.#storm.admit(credentials, now, random);
    return wait > 0 ? this.#refuse('storm', wait, 0) : undefined;
  }

  /** Somebody who guesses passwords has had enough of them. */
  guessed(source: Source, user: string, now: number): Refused | undefined {
    if (this.#exempt(source.address)) return undefined;
    const wait = this.#failures.take(`${network(source.address)} ${user}`, now);
    return wait > 0 ? this.#refuse('failures', wait, 0) : undefined;
  }

  /** Whether it may still guess: the password is not even looked at when not. */
  mayGuess(source: Source, user: string, now: number): boolean {
    return this.#exempt(source.address) || this.#failures.has(`${network(source.address)} ${user}`, now);
  }

  #exempt(address: string): boolean {
    return this.#limits.exempt.check(address, address.includes(':') ? 'ipv6' : 'ipv4');
  }

  #refuse(why: Limited, seconds: number, random: number): Refused {
    this.counters[why]++;
    return { why, retryAfterSeconds: seconds + Math.floor(random * seconds * 2) };
  }
}

/** Of IPv6 one host has a whole /64. */
function network(address: string): string {
  if (!address.includes(':') || address.includes('.')) return address;
  const [head = '', tail] = address.split('::');
  const first = head.split(':').filter((part) => part !== '');
  const last = tail === undefined ? [] : tail.split(':').filter((part) => part !== '');
  const zeros =
    tail === undefined ? [] : Array.from({ length: Math.max(0, 8 - first.length - last.length) }, () => '0');
  return [...first, ...zeros, ...last].slice(0, 4).join(':').toLowerCase();
}
