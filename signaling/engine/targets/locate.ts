import { isIP } from 'node:net';
import { bareHost, type SipUri } from '../message/mod.ts';
import type { AddressRecord, DnsRecord, NaptrRecord, Query, SrvRecord } from './records.ts';
import { srvOrder } from './srv-order.ts';
import { defaultPort, protocolOf, targetKey, type Protocol, type Target } from './target.ts';

/** More places than these are not tried for one request, whatever a zone says. */
const MAX_TARGETS = 32;
const MAX_SERVERS = 16;

export interface Locating {
  /** `undefined`: not asked yet. Empty: there are none, or DNS does not say. */
  readonly records: (query: Query) => readonly DnsRecord[] | undefined;
  /** By which requests can leave this node; the better first. */
  readonly protocols: readonly Protocol[];
  /** Address families in which a protocol can leave, the better first. */
  readonly families: (protocol: Protocol) => readonly (4 | 6)[];
  /** From 0 up to, not with, 1: draws among servers of one priority. */
  readonly random: () => number;
}

export type Located =
  /** These are to be asked, and then the same question again. */
  | { readonly type: 'ask'; readonly queries: readonly Query[] }
  /** Best first; empty: the name leads nowhere. */
  | { readonly type: 'targets'; readonly targets: readonly Target[] };

/**
 * Where a request for a URI may go (RFC 3263 §4.1 and §4.2), from what DNS has said so far. Pure: it is called again
 * with more records until it needs no more, three times at most (NAPTR, SRV, addresses).
 */
export function locate(uri: SipUri, by: Locating): Located {
  const host = bareHost(uri.params.get('maddr') ?? uri.host)
    .toLowerCase()
    .replace(/\.$/, '');
  const protocol = protocolOf(uri);
  if (isIP(host) !== 0) {
    const serverName = bareHost(uri.host);
    return targets([{ protocol, address: host, port: uri.port ?? defaultPort(protocol), serverName }]);
  }
  const walk = new Walk(by, bareHost(uri.host));
  // §4.2: with a port, addresses alone are looked up.
  if (uri.port !== undefined) return walk.result(walk.addresses(protocol, host, uri.port));
  if (uri.params.has('transport')) return walk.result(walk.service(protocol, host) ?? walk.plain(protocol, host));
  return walk.result(walk.byNaptr(uri, host) ?? walk.byServices(uri, host) ?? walk.plain(protocol, host));
}

function targets(list: readonly Target[]): Located {
  return { type: 'targets', targets: list };
}

/** One pass over what is known; what is missing is noted on the way. */
class Walk {
  readonly #by: Locating;
  readonly #serverName: string;
  readonly #missing: Query[] = [];

  constructor(by: Locating, serverName: string) {
    this.#by = by;
    this.#serverName = serverName;
  }

  result(found: readonly Target[]): Located {
    if (this.#missing.length > 0) return { type: 'ask', queries: this.#missing };
    const seen = new Set<string>();
    const once = found.filter((target) => !seen.has(targetKey(target)) && seen.add(targetKey(target)));
    return targets(once.slice(0, MAX_TARGETS));
  }

  /** §4.1: the domain says which transports it wants. Of several orders only the first that helps counts (RFC 3403 §4.1). */
  byNaptr(uri: SipUri, host: string): readonly Target[] | undefined {
    const records = this.#known<NaptrRecord>('NAPTR', host);
    if (!records) return [];
    const usable = records
      .map((record) => ({ record, protocol: naptrProtocol(record, uri.scheme) }))
      .filter(({ protocol }) => protocol !== undefined && this.#by.protocols.includes(protocol));
    if (usable.length === 0) return undefined;
    const order = Math.min(...usable.map(({ record }) => record.order));
    const chosen = usable
      .filter(({ record }) => record.order === order)
      .sort((a, b) => a.record.preference - b.record.preference)
      .slice(0, MAX_SERVERS);
    return chosen.flatMap(({ record, protocol }) => this.srv(protocol as Protocol, record.replacement) ?? []);
  }

  /** §4.1, without NAPTR: every transport that can be used is asked for. */
  byServices(uri: SipUri, host: string): readonly Target[] | undefined {
    const allowed: readonly Protocol[] = uri.scheme === 'sips' ? ['tls'] : ['udp', 'tcp', 'tls'];
    const found = allowed
      .filter((protocol) => this.#by.protocols.includes(protocol))
      .map((protocol) => this.service(protocol, host));
    const some = found.filter((list) => list !== undefined);
    return some.length === 0 ? undefined : some.flat();
  }

  service(protocol: Protocol, host: string): readonly Target[] | undefined {
    if (protocol === 'ws' || protocol === 'wss') return undefined;
    return this.srv(protocol, `${SERVICES[protocol]}.${host}`);
  }

  /** `undefined`: there are no such records. */
  srv(protocol: Protocol, name: string): readonly Target[] | undefined {
    const records = this.#known<SrvRecord>('SRV', name);
    if (!records) return [];
    if (records.length === 0) return undefined;
    return srvOrder(records, this.#by.random)
      .slice(0, MAX_SERVERS)
      .filter(({ target }) => target !== '')
      .flatMap(({ target, port }) => this.addresses(protocol, target, port));
  }

  plain(protocol: Protocol, host: string): readonly Target[] {
    return this.addresses(protocol, host, defaultPort(protocol));
  }

  addresses(protocol: Protocol, name: string, port: number): readonly Target[] {
    const literal = isIP(name) !== 0;
    const families = this.#by.families(protocol);
    const found = literal
      ? [name]
      : families.flatMap((family) =>
          (this.#known<AddressRecord>(family === 6 ? 'AAAA' : 'A', name) ?? []).map(({ address }) => address),
        );
    return found.map((address) => ({ protocol, address, port, serverName: this.#serverName }));
  }

  #known<R extends DnsRecord>(type: Query['type'], name: string): readonly R[] | undefined {
    const query = { type, name: name.toLowerCase().replace(/\.$/, '') };
    const records = this.#by.records(query);
    if (!records) this.#missing.push(query);
    return records?.filter((record): record is R => record.type === type);
  }
}

const SERVICES = { udp: '_sip._udp', tcp: '_sip._tcp', tls: '_sips._tcp' } as const;

/** RFC 3263 §4.1. A request for a sips URI never leaves by anything but TLS; WebSocket servers are not called by us. */
function naptrProtocol(record: NaptrRecord, scheme: SipUri['scheme']): Protocol | undefined {
  if (record.flags.toLowerCase() !== 's' || record.regexp !== '' || record.replacement === '') return undefined;
  const service = record.service.toUpperCase();
  if (service === 'SIPS+D2T') return 'tls';
  if (scheme === 'sips') return undefined;
  if (service === 'SIP+D2U') return 'udp';
  return service === 'SIP+D2T' ? 'tcp' : undefined;
}
