import { lookup } from 'node:dns/promises';
import { readFileSync, statSync } from 'node:fs';
import type { SipUri } from '../message/mod.ts';
import {
  DOWN_MS,
  DownList,
  fromHosts,
  locate,
  parseHosts,
  queryKey,
  RecordCache,
  targetKey,
  type DnsRecord,
  type Hosts,
  type Protocol,
  type Query,
  type Target,
} from '../targets/mod.ts';
import { isIPv6 } from 'node:net';
import { DnsClient } from './dns-client.ts';
import type { Listener } from './flow.ts';

const RECORDS = 10_000;
const DOWN = 10_000;
const GIVEN = 10_000;
/** NAPTR, SRV, addresses: more rounds than these nobody needs. */
const ROUNDS = 4;
/** Seconds for which a DNS that does not answer is not asked the same again. */
const RETRY_SECONDS = 5;
/** What the system's own lookup finds has no time of its own. */
const SYSTEM_TTL_SECONDS = 30;
const HOSTS_CHECK_MS = 5000;

export interface ResolverOptions {
  /** Monotonic ms. */
  readonly now: () => number;
  /** What this node can send by. */
  readonly listeners: () => readonly Listener[];
  /** `192.0.2.53:53`; the system's when absent, and then names that only the system knows are found too. */
  readonly servers?: readonly string[] | undefined;
  readonly hostsFile?: string | undefined;
  /** From 0 up to, not with, 1. */
  readonly random?: (() => number) | undefined;
  /** Requests of 1300 bytes and more over UDP: `tcp` as RFC 3261 §18.1.1 wants it, or `udp` all the same. */
  readonly oversized?: 'tcp' | 'udp' | undefined;
  /** Addresses of peers that cannot do TCP: they get datagrams of any size. */
  readonly udpOnly?: readonly string[] | undefined;
}

/** Why a place could not serve. `retryAfterSeconds`: what its 503 has said. */
export type TargetFailure = 'transport' | 'timeout' | { readonly retryAfterSeconds: number };

/**
 * Where requests may go, best first (RFC 3263 §4): the pure search of `targets/` over what DNS and the hosts file say.
 * Keeps answers for their TTL, and who has failed of late; both in bounded tables. It owns its DNS client.
 */
export class Resolver {
  readonly #options: ResolverOptions;
  readonly #client: DnsClient;
  readonly #cache = new RecordCache(RECORDS);
  readonly #down = new DownList(DOWN);
  /** Places that were one of several: only they can be passed over for others. */
  readonly #given = new Set<string>();
  readonly #asking = new Map<string, Promise<readonly DnsRecord[]>>();
  readonly #udpOnly: ReadonlySet<string>;
  #hosts: Hosts = new Map();
  #hostsCheckedAt = -Infinity;
  #hostsChangedAt = 0;

  constructor(options: ResolverOptions) {
    this.#options = options;
    this.#client = new DnsClient(options.servers);
    this.#udpOnly = new Set(options.udpOnly);
  }

  /** Empty when the name leads nowhere. */
  async resolve(uri: SipUri): Promise<readonly Target[]> {
    const answers = new Map<string, readonly DnsRecord[]>();
    const listeners = this.#options.listeners();
    const by = {
      records: (query: Query) => answers.get(queryKey(query)) ?? this.#known(query),
      protocols: [...new Set(listeners.map(({ protocol }) => protocol))],
      families: (protocol: Protocol) => familiesOf(listeners, protocol),
      random: this.#options.random ?? Math.random,
    };
    for (let round = 0; round < ROUNDS; round++) {
      const located = locate(uri, by);
      if (located.type === 'targets') return this.#order(located.targets);
      await Promise.all(located.queries.map(async (query) => answers.set(queryKey(query), await this.#ask(query))));
    }
    return [];
  }

  /** A request to it has failed: it is tried after others for a while. */
  failed(place: Pick<Target, 'protocol' | 'address' | 'port'>, why: TargetFailure): void {
    if (!this.#given.has(targetKey(place))) return;
    const forMs =
      why === 'transport' ? DOWN_MS.refused : why === 'timeout' ? DOWN_MS.timeout : why.retryAfterSeconds * 1000;
    if (forMs > 0) this.#down.down(place, forMs, this.#options.now());
  }

  answered(place: Pick<Target, 'protocol' | 'address' | 'port'>): void {
    this.#down.up(place);
  }

  /** The same place by TCP, for a request that is too large for a datagram; `undefined`: it stays with UDP. */
  byTcp(place: Pick<Target, 'protocol' | 'address' | 'port'>): Target | undefined {
    if (place.protocol !== 'udp' || this.#options.oversized === 'udp' || this.#udpOnly.has(place.address))
      return undefined;
    const target: Target = { protocol: 'tcp', address: place.address, port: place.port };
    return this.#down.isDown(target, this.#options.now()) ? undefined : target;
  }

  /** There is no TCP at this place: it is not tried again for ten minutes. */
  noTcp(target: Target): void {
    this.#down.down(target, DOWN_MS.most, this.#options.now());
  }

  stats(): { readonly records: number; readonly down: number; readonly asked: number; readonly failed: number } {
    this.#down.sweep(this.#options.now());
    return { records: this.#cache.size, down: this.#down.size, ...this.#client.counters };
  }

  close(): void {
    this.#client.close();
  }

  #order(targets: readonly Target[]): readonly Target[] {
    if (targets.length < 2) return targets;
    for (const target of targets) {
      this.#given.add(targetKey(target));
      if (this.#given.size > GIVEN) this.#given.delete(this.#given.values().next().value as string);
    }
    return this.#down.order(targets, this.#options.now());
  }

  #known(query: Query): readonly DnsRecord[] | undefined {
    const now = this.#options.now();
    if (now - this.#hostsCheckedAt > HOSTS_CHECK_MS) this.#readHosts(now);
    return fromHosts(this.#hosts, query) ?? this.#cache.get(query, now);
  }

  #ask(query: Query): Promise<readonly DnsRecord[]> {
    const key = queryKey(query);
    let asking = this.#asking.get(key);
    if (!asking) {
      asking = this.#askNow(query).finally(() => this.#asking.delete(key));
      this.#asking.set(key, asking);
    }
    return asking;
  }

  async #askNow(query: Query): Promise<readonly DnsRecord[]> {
    const answer = await this.#client.ask(query);
    if (answer.type === 'records' && answer.records.length > 0) {
      this.#cache.put(query, answer.records, answer.ttlSeconds, this.#options.now());
      return answer.records;
    }
    const system = await this.#askSystem(query);
    if (system.length > 0) {
      this.#cache.put(query, system, SYSTEM_TTL_SECONDS, this.#options.now());
      return system;
    }
    if (answer.type === 'failed') return this.#cache.failed(query, RETRY_SECONDS, this.#options.now());
    this.#cache.put(query, [], answer.ttlSeconds, this.#options.now());
    return [];
  }

  /** Names of search domains, of containers, of the local link: what DNS alone does not know. */
  async #askSystem({ type, name }: Query): Promise<readonly DnsRecord[]> {
    if ((this.#options.servers?.length ?? 0) > 0 || (type !== 'A' && type !== 'AAAA')) return [];
    const found = await lookup(name, { all: true, family: type === 'A' ? 4 : 6 }).catch(() => []);
    return found.map(({ address }) => ({ type, address }));
  }

  #readHosts(now: number): void {
    this.#hostsCheckedAt = now;
    const file = this.#options.hostsFile ?? '/etc/hosts';
    try {
      const changedAt = statSync(file).mtimeMs;
      if (changedAt === this.#hostsChangedAt) return;
      this.#hosts = parseHosts(readFileSync(file, 'utf8'));
      this.#hostsChangedAt = changedAt;
    } catch {
      // Without the file DNS knows everything.
      this.#hosts = new Map();
    }
  }
}

/** By UDP only from a socket of the same family; connections may leave in any. IPv6 first where we have it (RFC 7984 §3.1). */
function familiesOf(listeners: readonly Listener[], protocol: Protocol): readonly (4 | 6)[] {
  const ours = listeners.filter((listener) => listener.protocol === protocol);
  const six = ours.some(({ bound }) => isIPv6(bound.address));
  const four = ours.some(({ bound }) => !isIPv6(bound.address));
  if (protocol !== 'udp') return six ? [6, 4] : [4, 6];
  return [...(six ? [6 as const] : []), ...(four ? [4 as const] : [])];
}
