import { promises as dns } from 'node:dns';
import { isIP } from 'node:net';
import { bareHost, type SipUri } from '../message/mod.ts';
import type { Protocol, Target } from './flow.ts';

const CACHE_LIMIT = 10_000;
const CACHE_MS = 30_000;

/**
 * Where a request for a URI may go, best first (RFC 3263 §4). IP literals and explicit ports need no DNS;
 * names are looked up as SRV, then as addresses. Answers are kept for a while, in a bounded table.
 */
export class Resolver {
  readonly #cache = new Map<string, { readonly until: number; readonly targets: Promise<Target[]> }>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Empty when the name does not exist. */
  async resolve(uri: SipUri): Promise<Target[]> {
    const protocol = protocolOf(uri);
    const host = bareHost(uri.params.get('maddr') ?? uri.host);
    if (isIP(host) !== 0) return [{ protocol, address: host, port: uri.port ?? defaultPort(protocol) }];
    const key = `${protocol} ${host} ${uri.port ?? ''}`;
    const cached = this.#cache.get(key);
    if (cached && cached.until > this.#now()) return cached.targets;
    const targets = lookUp(protocol, host, uri.port, uri.params.has('transport'));
    if (this.#cache.size >= CACHE_LIMIT) this.#cache.clear();
    this.#cache.set(key, { until: this.#now() + CACHE_MS, targets });
    const found = await targets;
    if (found.length === 0) this.#cache.delete(key);
    return found;
  }
}

export function protocolOf(uri: SipUri): Protocol {
  const transport = uri.params.get('transport')?.toLowerCase();
  if (uri.scheme === 'sips') return transport === 'ws' || transport === 'wss' ? 'wss' : 'tls';
  if (transport === 'tcp' || transport === 'tls' || transport === 'ws' || transport === 'wss') return transport;
  return 'udp';
}

export function defaultPort(protocol: Protocol): number {
  if (protocol === 'tls') return 5061;
  if (protocol === 'ws') return 80;
  return protocol === 'wss' ? 443 : 5060;
}

async function lookUp(protocol: Protocol, host: string, port: number | undefined, fixed: boolean): Promise<Target[]> {
  if (port !== undefined) return addresses(protocol, host, port);
  const candidates: readonly Protocol[] = fixed || protocol !== 'udp' ? [protocol] : ['udp', 'tcp'];
  for (const candidate of candidates) {
    const service = candidate === 'tls' ? `_sips._tcp.${host}` : `_sip._${candidate === 'udp' ? 'udp' : 'tcp'}.${host}`;
    const records = await dns.resolveSrv(service).catch(() => []);
    if (records.length === 0) continue;
    // Weight decides within a priority (RFC 2782); the heaviest first is enough order for failover.
    records.sort((a, b) => a.priority - b.priority || b.weight - a.weight);
    const found = await Promise.all(records.map((record) => addresses(candidate, record.name, record.port, host)));
    return found.flat();
  }
  return addresses(protocol, host, defaultPort(protocol));
}

async function addresses(protocol: Protocol, name: string, port: number, serverName = name): Promise<Target[]> {
  const found = await dns.lookup(name, { all: true }).catch(() => []);
  return found.map(({ address }) => ({ protocol, address, port, serverName }));
}
