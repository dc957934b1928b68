// budget: 10 s, beside others
import assert from 'node:assert/strict';
import Srf from 'drachtio-srf';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { Engine } from '../../../signaling/engine/mod.ts';
import { asSipApp, type Req } from '../../../signaling/srf.ts';
import { a, DnsServer, srv } from '../../support/dns-server.ts';
import { requestText, SipPeer, StreamClient } from '../../support/scripted-peer.ts';

describe('a proxied request whose first server fails (RFC 3263 §4.3)', function () {
  this.timeout(10_000);
  let dns: DnsServer;
  let engine: Engine;
  let one: SipPeer;
  let two: SipPeer;

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
    const listen = ['udp:127.0.0.1:0', 'tcp:127.0.0.1:0', 'ws:127.0.0.1:0'];
    engine = await Engine.open({ listen, targets: { servers: [dns.address] } });
    const srf = new Srf();
    await engine.attach(srf);
    const forward = (request: Req) => {
      const { proxyRequest } = srf as unknown as { proxyRequest(request: Req, target: string): Promise<unknown> };
      void proxyRequest.call(srf, request, request.get('x-to') ?? '').catch(() => undefined);
    };
    for (const method of ['options', 'invite', 'message']) asSipApp(srf).use(method, forward as never);
  });

  afterEach(async () => {
    await engine.close();
    for (const each of [one, two, dns]) await each[Symbol.asyncDispose]();
  });

  async function ask(method: string, target: string, body = ''): Promise<string> {
    const port = Number(engine.listening.find((text) => text.startsWith('tcp:'))?.split(':')[2]);
    await using client = await StreamClient.open(port);
    const headers = { 'X-To': target, Contact: '<sip:tester@127.0.0.1>', 'Content-Type': 'text/plain' };
    client.socket.write(requestText(method, 'TCP a.invalid', { uri: 'sip:bob@carrier.test', headers, body }));
    await client.until(/SIP\/2\.0 [2-6]\d\d/);
    return /SIP\/2\.0 ([2-6]\d\d)/.exec(client.text)?.[1] ?? '';
  }

  for (const method of ['OPTIONS', 'INVITE']) {
    it(`gets the next one after 503, with a new branch and the Vias before it: ${method}`, async () => {
      one.answer = 503;
      assert.equal(await ask(method, 'sip:bob@carrier.test'), '200');
      assert.deepEqual([one.log[0], two.log[0]], [`${method} udp`, `${method} udp`]);
      assert.notEqual(one.branch(0), two.branch(0));
      const vias = two.requests[0]?.message.getAll('via') ?? [];
      assert.equal(vias.length, 2);
      assert.match(vias[1] ?? '', /a\.invalid/);
    });
  }

  it('leaves by TCP when it is large, and gets 430 when its flow is gone', async () => {
    assert.equal(await ask('MESSAGE', `sip:bob@127.0.0.1:${one.port}`, 'x'.repeat(1300)), '200');
    assert.deepEqual(one.log, ['MESSAGE tcp']);
    assert.match(one.requests[0]?.message.getAll('via')[0] ?? '', /^SIP\/2\.0\/TCP/);
    assert.equal(await ask('OPTIONS', 'sip:x@abc.invalid;transport=ws'), '430');
  });
});
