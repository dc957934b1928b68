// budget: 20 s, beside others
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import Srf from 'drachtio-srf';
import { afterEach, describe, it } from 'mocha';
import { Accounts, Tenants } from '../../../signaling/directory/mod.ts';
import { Engine } from '../../../signaling/engine/mod.ts';
import { B2bua, CallTable, type CallRecord } from '../../../signaling/invite/mod.ts';
import type { MediaPort } from '../../../signaling/media-port.ts';
import { Bindings, Guard, NonceCounts, Nonces } from '../../../signaling/register/mod.ts';
import { asSipApp, type DialogView, type Req, type Res, type SipApp } from '../../../signaling/srf.ts';
import { Trunks } from '../../../signaling/trunk/mod.ts';
import { until } from '../../support/until.ts';
import { Private } from '../../../vocabulary/mod.ts';

const NODE = 'udp:127.0.0.1:13501';
const CALLER = 13_502;
const CALLEE = 13_503;
const SDP = 'v=0\r\no=x 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n';

/** SDP goes through as it is: this test is about signalling alone. */
const media: MediaPort = {
  place: ({ callId }) => Promise.resolve({ node: 'm', control: 'udp:127.0.0.1:9', callId }),
  offer: (_handle, { sdp }) => Promise.resolve(sdp),
  answer: (_handle, { sdp }) => Promise.resolve(sdp),
  release: () => Promise.resolve(),
  releaseBranch: () => Promise.resolve(),
  exists: () => Promise.resolve(true),
  onNode: () => undefined,
};

describe('a call of which only the record is left', function () {
  this.timeout(15_000);
  const engines: Engine[] = [];

  afterEach(async () => {
    for (const engine of engines.splice(0)) await engine.close();
  });

  async function phone(port: number): Promise<SipApp> {
    const engine = await Engine.open({ listen: [`udp:127.0.0.1:${port}`] });
    engines.push(engine);
    const srf = new Srf();
    await engine.attach(srf);
    return asSipApp(srf);
  }

  /** A signaling node with the given records, without registry and media. */
  async function node(records: readonly CallRecord[], ended: string[]): Promise<{ engine: Engine; calls: CallTable }> {
    const secret = new Private(Buffer.from('x'));
    const tenants = new Tenants([{ tenant: 'default', domain: 'example.test' }], ['127.0.0.1']);
    const accounts = new Accounts([
      { tenant: 'default', user: 'bob', displayName: undefined, number: '1002', password: new Private('x') },
    ]);
    const trunks = new Trunks([
      {
        tenant: 'default',
        name: 'a',
        uri: `sip:127.0.0.1:${CALLER}`,
        sources: [`127.0.0.1:${CALLER}`],
        match: /^never$/,
      },
    ]);
    const guard = new Guard({
      tenants,
      accounts,
      nonces: new Nonces(secret, 60),
      counts: new NonceCounts(),
      algorithms: ['MD5'],
      trusted: ({ address, port }) => trunks.bySource(address, port) !== undefined,
      peerSecret: secret,
    });
    const bindings = new Bindings({ bindings: 10, perAor: 5 }, () => undefined);
    const source = { protocol: 'udp', address: '127.0.0.1', port: CALLEE };
    const expiresAt = Date.now() + 60_000;
    const contact = `sip:bob@127.0.0.1:${CALLEE}`;
    bindings.bind(
      'default',
      'bob',
      { key: 'k', contact, instance: undefined, callId: 'r', cseq: 1, expiresAt, source, userAgent: '' },
      Date.now(),
    );
    const calls = new CallTable();
    for (const record of records) calls.add(record);
    const engine = await Engine.open({
      listen: [NODE],
      orphanRequests: 'deliver',
      challenge: guard.challenge.bind(guard),
    });
    engines.push(engine);
    const srf = new Srf();
    const app = asSipApp(srf);
    new B2bua({
      app,
      guard,
      accounts,
      tenants,
      bindings,
      trunks,
      media,
      registry: { locate: () => Promise.resolve([]) },
      calls,
      maxCalls: 10,
      now: () => Date.now(),
      later: (ms, work) => {
        const timer = setTimeout(work, ms);
        return () => clearTimeout(timer);
      },
      uuid: randomUUID,
      log: { info: () => undefined, warn: () => undefined },
      onEnded: ({ cdr }) => ended.push(`${cdr.endedBy} ${cdr.cause}`),
    });
    await engine.attach(srf);
    return { engine, calls };
  }

  it('goes on at a node that never saw its dialogs: INFO, re-INVITE and BYE from either side', async () => {
    const [caller, callee] = [await phone(CALLER), await phone(CALLEE)];
    const first = await node([], []);
    const answered = new Promise<DialogView>((resolve) => {
      callee.invite((req: Req, res: Res) => void callee.createUAS(req, res, { localSdp: SDP }).then(resolve));
    });
    const a = await caller.createUAC('sip:1002@127.0.0.1', { localSdp: SDP, proxy: 'sip:127.0.0.1:13501' }, {});
    const b = await answered;
    await until('the call is up', () => first.calls.all()[0]?.state === 'up');
    const written = JSON.stringify(first.calls.all());
    // The process is gone, with every dialog and connection; another one takes its place with the records alone.
    await first.engine.close();
    const ended: string[] = [];
    const second = await node(JSON.parse(written) as CallRecord[], ended);

    const informed = once(b, 'info') as Promise<[Req, Res]>;
    const answer = a.request({
      method: 'INFO',
      headers: { 'Content-Type': 'application/dtmf-relay' },
      body: 'Signal=5\r\n',
    });
    const [info, response] = await informed;
    assert.equal(info.body, 'Signal=5\r\n');
    response.send(200);
    assert.equal((await answer).status, 200);

    const held = SDP.replace('t=0 0', 't=0 0\r\na=sendonly');
    a.on('modify', (req: Req, res: Res) => res.send(200, { body: req.body.replace('sendonly', 'recvonly') }));
    const modified = await b.modify(held);
    assert.match(modified, /recvonly/);

    const over = once(b, 'destroy');
    await a.destroy();
    await over;
    assert.deepEqual(ended, ['caller normal release']);
    assert.equal(second.calls.size, 0);
  });
});
