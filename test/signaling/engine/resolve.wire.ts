// budget: 8 s, beside others
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Srf from 'drachtio-srf';
import { after, afterEach, before, beforeEach, describe, it } from 'mocha';
import { Engine, type EngineOptions } from '../../../signaling/engine/mod.ts';
import { asSipApp, type Req, type Res } from '../../../signaling/srf.ts';
import { a, aaaa, cname, DnsServer, naptr, srv } from '../../support/dns-server.ts';
import { SipPeer } from '../../support/scripted-peer.ts';
import { until } from '../../support/until.ts';

const SDP = 'v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n';

describe('requests to names and to large places (RFC 3263, RFC 3261 §18.1.1)', function () {
  this.timeout(10_000);
  let dns: DnsServer;
  let engine: Engine;
  let srf: Srf;
  let one: SipPeer;
  let two: SipPeer;
  const opened: Engine[] = [];
  let folder: string;

  before(() => (folder = mkdtempSync(join(tmpdir(), 'causeway-resolve-'))));
  after(() => rmSync(folder, { recursive: true, force: true }));

  beforeEach(async () => {
    one = await SipPeer.start(['udp', 'tcp']);
    two = await SipPeer.start(['udp', 'tcp']);
    dns = await DnsServer.start({
      'A one.test': [a('one.test', '127.0.0.1')],
      'SRV _sip._udp.carrier.test': [
        srv('_sip._udp.carrier.test', 'one.test', one.port, 1),
        srv('_sip._udp.carrier.test', 'one.test', two.port, 2),
      ],
    });
    ({ engine, srf } = await open());
  });

  afterEach(async () => {
    for (const each of opened.splice(0)) await each.close();
    for (const each of [one, two, dns]) await each[Symbol.asyncDispose]();
  });

  async function open(targets: EngineOptions['targets'] = {}, listen = ['udp:127.0.0.1:0', 'tcp:127.0.0.1:0']) {
    const app = new Srf();
    const made = await Engine.open({ listen, targets: { servers: [dns.address], ...targets } });
    opened.push(made);
    await made.attach(app);
    return { engine: made, srf: app };
  }

  async function ask(uri: string, { app = srf, method = 'OPTIONS', body = '', headers = {} } = {}): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    asSipApp(app).request(uri, { method, body, headers }, (error: unknown, request?: Req) => {
      if (error || !request) reject(error instanceof Error ? error : new Error(String(error)));
      else request.on('response', (response: Res) => resolve(response.status));
    });
    return promise;
  }

  it('finds the place by NAPTR, SRV and A, and asks again only when their time is over', async () => {
    dns.zone = {
      'NAPTR naptr.test': [
        naptr('naptr.test', 20, 'SIP+D2U', '_sip._udp.naptr.test'),
        naptr('naptr.test', 10, 'SIP+D2T', '_sip._tcp.naptr.test'),
      ],
      'SRV _sip._tcp.naptr.test': [srv('_sip._tcp.naptr.test', 'alias.naptr.test', one.port)],
      'SRV _sip._udp.naptr.test': [srv('_sip._udp.naptr.test', 'alias.naptr.test', two.port)],
      'A alias.naptr.test': [cname('alias.naptr.test', 'host.naptr.test'), a('host.naptr.test', '127.0.0.1', 1)],
    };
    assert.equal(await ask('sip:bob@naptr.test'), 200);
    assert.deepEqual(one.log, ['OPTIONS tcp']);
    const asked = dns.asked.length;
    assert.equal(await ask('sip:bob@naptr.test'), 200);
    assert.equal(dns.asked.length, asked);
    // The address was good for one second.
    await new Promise((resolve) => setTimeout(resolve, 1100));
    assert.equal(await ask('sip:bob@naptr.test'), 200);
    assert.deepEqual(dns.asked.slice(asked), ['A alias.naptr.test']);
    assert.equal(two.requests.length, 0);
  });

  it('asks over TCP what does not fit a datagram, and does not believe an answer to another question', async () => {
    dns.maxUdp = 60;
    dns.forge = (question) => ({
      type: 'response',
      id: ((question.id ?? 0) + 1) & 0xffff,
      questions: question.questions ?? [],
      answers: [a('one.test', '192.0.2.66')],
    });
    assert.equal(await ask(`sip:bob@one.test:${one.port}`), 200);
    assert.ok(!dns.asked.includes('A one.test by TCP'), 'a small answer fits');
    assert.equal(await ask('sip:bob@carrier.test'), 200);
    assert.ok(dns.asked.includes('SRV _sip._udp.carrier.test by TCP'), dns.asked.join(', '));
  });

  it('takes the next DNS server when one is silent or not there, and says so when a name leads nowhere', async () => {
    const { srf: app } = await open({ servers: ['127.0.0.1:9', dns.address] });
    assert.equal(await ask(`sip:bob@one.test:${one.port}`, { app }), 200);
    assert.equal(await ask('sip:bob@nowhere.test', { app }), 503);
    assert.equal(engine.stats().targets.failed, 0);
  });

  it('goes to the next server when one answers 503, with a new branch; and stays away for its Retry-After', async () => {
    one.answer = { status: 503, headers: { 'Retry-After': '30' } };
    assert.equal(await ask('sip:bob@carrier.test'), 200);
    assert.deepEqual([one.log, two.log], [['OPTIONS udp'], ['OPTIONS udp']]);
    const [first, second] = [one.requests[0]?.message, two.requests[0]?.message];
    assert.equal(first?.get('call-id'), second?.get('call-id'));
    assert.equal(first?.get('cseq'), second?.get('cseq'));
    assert.notEqual(one.branch(0), two.branch(0));
    assert.equal(await ask('sip:bob@carrier.test'), 200);
    assert.deepEqual([one.log.length, two.log.length], [1, 2]);
    assert.equal(engine.stats().targets.down, 1);
    // Where there is nothing else, it is asked all the same, and its 503 is the answer.
    two.answer = 503;
    assert.equal(await ask('sip:bob@carrier.test'), 503);
    assert.deepEqual([one.log.length, two.log.length], [2, 3]);
  });

  it('does the same for an INVITE, whose first server gets its ACK', async () => {
    one.answer = 503;
    const dialog = (await asSipApp(srf).createUAC('sip:bob@carrier.test', { localSdp: SDP }, {})) as { id: string };
    assert.ok(dialog.id);
    for (const peer of [one, two])
      await until('the ACK is there', () => peer.log.join(', ') === 'INVITE udp, ACK udp', 2000, 10);
    assert.equal(one.branch(0), one.branch(1));
    assert.equal(engine.stats().targets.down, 0);
  });

  it('goes to the next server when a connection is refused, and remembers that', async () => {
    dns.zone['SRV _sip._tcp.carrier.test'] = [
      srv('_sip._tcp.carrier.test', 'one.test', 9, 1),
      srv('_sip._tcp.carrier.test', 'one.test', two.port, 2),
    ];
    assert.equal(await ask('sip:bob@carrier.test;transport=tcp'), 200);
    assert.deepEqual(two.log, ['OPTIONS tcp']);
    assert.equal(engine.stats().targets.down, 1);
  });

  it('reaches IPv6 by an IPv6 socket, and prefers it where the node has both', async () => {
    await using six = await SipPeer.start(['udp'], { address: '::1' });
    dns.zone['AAAA both.test'] = [aaaa('both.test', '::1')];
    dns.zone['A both.test'] = [a('both.test', '127.0.0.1')];
    const { srf: app } = await open({}, ['udp:127.0.0.1:0', 'udp:[::1]:0']);
    assert.equal(await ask(`sip:bob@both.test:${six.port}`, { app }), 200);
    assert.equal(await ask(`sip:bob@[::1]:${six.port}`, { app }), 200);
    assert.equal(six.requests.length, 2);
    assert.match(six.requests[0]?.message.get('via') ?? '', /^SIP\/2\.0\/UDP \[::1\]/);
    assert.equal(await ask(`sip:bob@both.test:${one.port}`), 200);
    assert.deepEqual(one.log, ['OPTIONS udp']);
  });

  it('reads the hosts file before it asks DNS', async () => {
    const hostsFile = join(folder, 'hosts');
    writeFileSync(hostsFile, '127.0.0.1 gateway.test\n');
    const { srf: app } = await open({ hostsFile });
    assert.equal(await ask(`sip:bob@gateway.test:${one.port}`, { app }), 200);
    assert.deepEqual(dns.asked, []);
  });

  describe('of 1300 bytes and more', () => {
    const large = (bytes: number) => ({
      method: 'MESSAGE',
      body: 'x'.repeat(bytes),
      headers: { 'Content-Type': 'text/plain' },
    });
    const at = (peer: SipPeer) => `sip:bob@127.0.0.1:${peer.port}`;

    it('leave by TCP, and their Via says so', async () => {
      assert.equal(await ask(at(one), large(1300)), 200);
      assert.equal(await ask(at(one), large(100)), 200);
      assert.deepEqual(one.log, ['MESSAGE tcp', 'MESSAGE udp']);
      assert.match(one.requests[0]?.message.get('via') ?? '', /^SIP\/2\.0\/TCP /);
    });

    it('are counted to the byte', async () => {
      await ask(at(one), large(500));
      const bytes = one.requests[0]?.message.toBytes().length ?? 0;
      // The two sizes below have four figures less one in Content-Length; the first has three.
      await ask(at(one), large(500 + 1299 - bytes));
      await ask(at(one), large(500 + 1300 - bytes));
      const sizes = one.requests.map(({ message, by }) => `${message.toBytes().length} ${by}`);
      assert.deepEqual(sizes.slice(1), ['1299 udp', '1300 tcp']);
    });

    it('leave by UDP when there is no TCP, which is not tried again for a while', async () => {
      await using plain = await SipPeer.start(['udp']);
      assert.equal(await ask(at(plain), large(1300)), 200);
      assert.deepEqual(plain.log, ['MESSAGE udp']);
      assert.equal(engine.stats().targets.down, 1);
      assert.match(plain.requests[0]?.message.get('via') ?? '', /^SIP\/2\.0\/UDP /);
    });

    it('leave by UDP when that is wanted, for one peer or for all', async () => {
      for (const targets of [{ oversized: 'udp' as const }, { udpOnly: ['127.0.0.1'] }]) {
        const { srf: app } = await open(targets);
        assert.equal(await ask(at(two), { app, ...large(1300) }), 200);
      }
      assert.deepEqual(two.log, ['MESSAGE udp', 'MESSAGE udp']);
    });
  });
});
