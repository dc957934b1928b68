import assert from 'node:assert/strict';
import { encode, type Packet } from 'dns-packet';
import { describe, it } from 'mocha';
import { answerTo, readAnswer } from '../../../signaling/engine/io/dns-answer.ts';
import { parseUri, type SipUri } from '../../../signaling/engine/message/mod.ts';
import {
  DownList,
  fromHosts,
  locate,
  parseHosts,
  queryKey,
  RecordCache,
  srvOrder,
  type DnsRecord,
  type Protocol,
  type Query,
  type SrvRecord,
  type Target,
} from '../../../signaling/engine/targets/mod.ts';

type Zone = Readonly<Record<string, readonly DnsRecord[]>>;

const a = (address: string): DnsRecord => ({ type: 'A', address });
const aaaa = (address: string): DnsRecord => ({ type: 'AAAA', address });
const srv = (target: string, port: number, priority = 0, weight = 0): SrvRecord => ({
  type: 'SRV',
  ...{ priority, weight, port, target },
});
const naptr = (order: number, preference: number, service: string, replacement: string): DnsRecord => ({
  type: 'NAPTR',
  ...{ order, preference, flags: 's', service, regexp: '', replacement },
});

const EXAMPLE: Zone = {
  'NAPTR example.com': [
    naptr(50, 60, 'SIP+D2T', '_sip._tcp.example.com'),
    naptr(50, 50, 'SIPS+D2T', '_sips._tcp.example.com'),
    naptr(90, 10, 'SIP+D2U', '_sip._udp.example.com'),
    naptr(10, 10, 'E2U+sip', 'elsewhere.example.com'),
  ],
  'SRV _sips._tcp.example.com': [srv('one.example.com', 5061)],
  'SRV _sip._tcp.example.com': [srv('one.example.com', 5060, 2), srv('two.example.com', 5070, 1)],
  'SRV _sip._udp.example.com': [srv('two.example.com', 5060)],
  'A one.example.com': [a('192.0.2.1')],
  'A two.example.com': [a('192.0.2.2'), a('192.0.2.3')],
  'AAAA two.example.com': [aaaa('2001:db8::2')],
  'A example.com': [a('192.0.2.9')],
  'SRV _sip._udp.plain.example': [srv('one.example.com', 5062)],
  'SRV _sip._udp.closed.example': [srv('', 0)],
  'A closed.example': [a('192.0.2.8')],
};

/** Answers what the zone has, as DNS would: everything else is known not to be there. Returns the asked names too. */
function find(
  uri: string,
  { zone = EXAMPLE, protocols = ['udp', 'tcp', 'tls'] as Protocol[], families = [4] as (4 | 6)[] } = {},
): { targets: string[]; asked: string[]; rounds: number; list: readonly Target[] } {
  const known = new Map<string, readonly DnsRecord[]>();
  const asked: string[] = [];
  for (let rounds = 0; rounds < 5; rounds++) {
    const located = locate(parseUri(uri) as SipUri, {
      records: (query: Query) => known.get(queryKey(query)),
      protocols,
      families: () => families,
      random: () => 0,
    });
    if (located.type === 'targets') {
      const targets = located.targets.map(({ protocol, address, port }) => `${protocol} ${address} ${port}`);
      return { targets, asked, rounds, list: located.targets };
    }
    for (const query of located.queries) {
      asked.push(queryKey(query));
      known.set(queryKey(query), zone[queryKey(query)] ?? []);
    }
  }
  throw new Error(`no end: ${asked.join(', ')}`);
}

describe('finding targets (RFC 3263 §4)', () => {
  it('asks nothing of DNS for an address, and takes maddr before the host', () => {
    assert.deepEqual(find('sip:bob@192.0.2.7').targets, ['udp 192.0.2.7 5060']);
    assert.deepEqual(find('sips:bob@192.0.2.7').targets, ['tls 192.0.2.7 5061']);
    assert.deepEqual(find('sip:bob@[2001:db8::7]:5070;transport=tcp').targets, ['tcp 2001:db8::7 5070']);
    const { targets, asked } = find('sip:bob@example.com;maddr=192.0.2.77');
    assert.deepEqual([targets, asked], [['udp 192.0.2.77 5060'], []]);
  });

  it('looks up addresses alone when there is a port (§4.2)', () => {
    const { targets, asked } = find('sip:bob@two.example.com:5099');
    assert.deepEqual(targets, ['udp 192.0.2.2 5099', 'udp 192.0.2.3 5099']);
    assert.deepEqual(asked, ['A two.example.com']);
  });

  it('goes straight to SRV when the transport is named, and to the default port without it', () => {
    const { targets, asked } = find('sip:example.com;transport=tcp');
    assert.deepEqual(targets, ['tcp 192.0.2.2 5070', 'tcp 192.0.2.3 5070', 'tcp 192.0.2.1 5060']);
    assert.ok(!asked.some((key) => key.startsWith('NAPTR')));
    assert.deepEqual(find('sip:one.example.com;transport=tls').targets, ['tls 192.0.2.1 5061']);
  });

  it('takes the transport that NAPTR prefers among those that it has; the others of that order follow', () => {
    const { targets, list, rounds } = find('sip:example.com');
    assert.equal(targets[0], 'tls 192.0.2.1 5061');
    assert.deepEqual(targets.slice(1), ['tcp 192.0.2.2 5070', 'tcp 192.0.2.3 5070', 'tcp 192.0.2.1 5060']);
    assert.equal(rounds, 3);
    // The certificate is to be that of the domain that was called, not of a host that DNS has named.
    assert.equal(list[0]?.serverName, 'example.com');
    assert.deepEqual(find('sip:example.com', { protocols: ['udp'] }).targets, [
      'udp 192.0.2.2 5060',
      'udp 192.0.2.3 5060',
    ]);
  });

  it('lets a sips URI leave by TLS alone', () => {
    assert.deepEqual(find('sips:example.com').targets, ['tls 192.0.2.1 5061']);
    assert.deepEqual(find('sips:plain.example').targets, []);
  });

  it('asks for each transport when there is no NAPTR, then for the name itself', () => {
    const { targets, asked } = find('sip:plain.example');
    assert.deepEqual(targets, ['udp 192.0.2.1 5062']);
    assert.ok(asked.includes('SRV _sip._tcp.plain.example') && asked.includes('SRV _sips._tcp.plain.example'));
    assert.deepEqual(find('sip:one.example.com').targets, ['udp 192.0.2.1 5060']);
    assert.deepEqual(find('sip:nowhere.example').targets, []);
  });

  it('believes a domain that says it has no such service (RFC 2782: target ".")', () => {
    assert.deepEqual(find('sip:closed.example;transport=udp').targets, []);
  });

  it('looks for both families in the order of the node, and only for those it can send in', () => {
    const both = find('sip:two.example.com:5060', { families: [6, 4] });
    assert.deepEqual(both.targets, ['udp 2001:db8::2 5060', 'udp 192.0.2.2 5060', 'udp 192.0.2.3 5060']);
    assert.deepEqual(find('sip:two.example.com:5060', { families: [6] }).targets, ['udp 2001:db8::2 5060']);
  });

  it('asks a bounded number of questions, whatever a zone says', () => {
    const zone = {
      'SRV _sip._udp.wide.example': Array.from({ length: 500 }, (_, i) => srv(`host${i}.wide.example`, 5060)),
    };
    const { asked } = find('sip:wide.example;transport=udp', { zone });
    assert.ok(asked.length <= 17, `${asked.length} questions`);
    const many = { 'A wide.example': Array.from({ length: 500 }, (_, i) => a(`192.0.2.${i % 256}`)) };
    assert.equal(find('sip:wide.example:5060', { zone: many }).targets.length, 32);
  });
});

describe('the order of SRV records (RFC 2782)', () => {
  it('is by priority, and by weight within one', () => {
    const records = [srv('c', 1, 20, 100), srv('a', 1, 10, 60), srv('b', 1, 10, 40), srv('z', 1, 10, 0)];
    const first: Record<string, number> = {};
    // A generator of known sequence (Park and Miller), so that the test says the same every time.
    let seed = 4711;
    const random = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
    for (let i = 0; i < 10_000; i++) {
      const order = srvOrder(records, random).map(({ target }) => target);
      assert.equal(order.at(-1), 'c');
      assert.equal(new Set(order).size, 4);
      first[order[0] as string] = (first[order[0] as string] ?? 0) + 1;
    }
    assert.ok(
      Math.abs((first['a'] ?? 0) - 6000) < 300 && Math.abs((first['b'] ?? 0) - 4000) < 300,
      JSON.stringify(first),
    );
    assert.ok((first['z'] ?? 0) > 0 && (first['z'] ?? 0) < 300, 'weight 0 is rarely first, but not never');
  });

  it('gives every server the same chance when none has a weight', () => {
    const records = [srv('a', 1), srv('b', 1)];
    assert.equal(srvOrder(records, () => 0)[0]?.target, 'a');
    assert.equal(srvOrder(records, () => 0.99)[0]?.target, 'b');
  });
});

describe('the list of targets that are down', () => {
  const target = (port: number): Target => ({ protocol: 'udp', address: '192.0.2.1', port });
  const ports = (targets: readonly Target[]) => targets.map(({ port }) => port);

  it('puts them after all others, the one that comes back first before the rest, until their time is over', () => {
    const list = new DownList(10);
    const targets = [target(1), target(2), target(3)];
    list.down(target(1), 20_000, 0);
    list.down(target(2), 10_000, 0);
    assert.deepEqual(ports(list.order(targets, 0)), [3, 2, 1]);
    assert.deepEqual(ports(list.order(targets, 10_000)), [2, 3, 1]);
    list.up(target(1));
    assert.deepEqual(ports(list.order(targets, 10_000)), [1, 2, 3]);
    list.sweep(10_000);
    assert.equal(list.size, 0);
  });

  it('is bounded in size and in time', () => {
    const list = new DownList(3);
    for (let port = 1; port <= 5; port++) list.down(target(port), 1e12, 0);
    assert.equal(list.size, 3);
    assert.equal(list.isDown(target(5), 599_999), true);
    assert.equal(list.isDown(target(5), 600_000), false);
  });
});

describe('the cache of DNS answers', () => {
  const query: Query = { type: 'A', name: 'one.example' };

  it('keeps them for their TTL, and what is not there for a shorter time', () => {
    const cache = new RecordCache(10);
    cache.put(query, [a('192.0.2.1')], 20, 0);
    assert.equal(cache.get(query, 19_999)?.length, 1);
    assert.equal(cache.get(query, 20_000), undefined);
    cache.put(query, [], 86_400, 0);
    assert.deepEqual(cache.get(query, 299_999), []);
    assert.equal(cache.get(query, 300_000), undefined);
  });

  it('holds an old answer for an hour while DNS does not answer (RFC 8767), not for ever', () => {
    const cache = new RecordCache(10);
    cache.put(query, [a('192.0.2.1')], 60, 0);
    assert.equal(cache.failed(query, 5, 100_000).length, 1);
    assert.equal(cache.get(query, 104_999)?.length, 1);
    assert.equal(cache.get(query, 105_000), undefined);
    assert.equal(cache.failed(query, 5, 3_659_999).length, 1);
    assert.equal(cache.failed(query, 5, 3_661_000).length, 0);
  });

  it('is bounded: what was used longest ago goes', () => {
    const cache = new RecordCache(2);
    const named = (name: string): Query => ({ type: 'A', name });
    cache.put(named('a'), [], 60, 0);
    cache.put(named('b'), [], 60, 0);
    cache.get(named('a'), 1);
    cache.put(named('c'), [], 60, 2);
    assert.equal(cache.size, 2);
    assert.notEqual(cache.get(named('a'), 3), undefined);
    assert.equal(cache.get(named('b'), 3), undefined);
  });
});

describe('the hosts file', () => {
  it('comes before DNS for the names that it has, in both families and for their services', () => {
    const hosts = parseHosts('# gateways\n192.0.2.1 gw Gw.example # the first\n2001:db8::1 gw\nnonsense gw2\n');
    assert.deepEqual(fromHosts(hosts, { type: 'A', name: 'gw' }), [a('192.0.2.1')]);
    assert.deepEqual(fromHosts(hosts, { type: 'AAAA', name: 'gw' }), [aaaa('2001:db8::1')]);
    assert.deepEqual(fromHosts(hosts, { type: 'AAAA', name: 'gw.example' }), []);
    assert.deepEqual(fromHosts(hosts, { type: 'SRV', name: '_sip._udp.gw' }), []);
    assert.equal(fromHosts(hosts, { type: 'A', name: 'gw2' }), undefined);
  });
});

describe('what a DNS server says', () => {
  const query: Query = { type: 'SRV', name: '_sip._udp.example.com' };
  const question = { type: 'SRV' as const, name: query.name };
  const answer = (packet: Packet) => {
    const read = answerTo(encode({ type: 'response', id: 7, questions: [question], ...packet }), 7, query);
    return read && readAnswer(read, query);
  };
  const record = {
    ...question,
    ttl: 60,
    data: { target: 'One.example.com', port: 5060, priority: 1, weight: 2 },
  };

  it('is read with the least TTL of what leads to it, aliases included', () => {
    const alias = { type: 'CNAME' as const, name: query.name, ttl: 30, data: 'elsewhere.example.com' };
    const there = { ...record, name: 'Elsewhere.example.com' };
    const read = answer({ answers: [alias, there, { ...record, name: 'other.example.com' }] });
    const one = { type: 'SRV', priority: 1, weight: 2, port: 5060, target: 'one.example.com' };
    assert.deepEqual(read, { type: 'records', records: [one], ttlSeconds: 30 });
  });

  it('may be that there is nothing, for as long as the zone says; or that it cannot say', () => {
    const soa = {
      type: 'SOA' as const,
      ...{ name: 'example.com', ttl: 900, data: { mname: 'a.example.com', rname: 'b.example.com', minimum: 120 } },
    };
    assert.deepEqual(answer({ flags: 3, authorities: [soa] }), { type: 'records', records: [], ttlSeconds: 120 });
    assert.equal(answer({ flags: 2 })?.type, 'failed');
    const loop = { type: 'CNAME' as const, ttl: 30, data: query.name, name: query.name };
    assert.deepEqual(answer({ answers: [loop] }), { type: 'records', records: [], ttlSeconds: 30 });
  });

  it('never throws: 2,000 answers with bytes that were changed, cut off or doubled', () => {
    let seed = 4711;
    const random = (below: number) => (seed = (seed * 48_271) % 2_147_483_647) % below;
    const bytes = encode({ type: 'response', id: 7, questions: [question], answers: [record, record] });
    let read = 0;
    for (let i = 0; i < 2000; i++) {
      let mutated = Buffer.from(bytes);
      for (let n = random(4); n >= 0; n--) mutated[random(mutated.length)] = random(256);
      if (random(4) === 0) mutated = mutated.subarray(0, random(mutated.length));
      if (random(8) === 0) mutated = Buffer.concat([mutated, mutated]);
      const packet = answerTo(mutated, 7, query);
      if (packet && readAnswer(packet, query).type === 'records') read++;
    }
    assert.ok(read > 100 && read < 2000, `${read} were read`);
  });
});
