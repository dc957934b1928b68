// budget: 15 s, beside others
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { BlockList, connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import Srf from 'drachtio-srf';
import { afterEach, describe, it } from 'mocha';
import { moveClients } from '../../../roles/registrar-parts.ts';
import { Accounts, Tenants } from '../../../signaling/directory/mod.ts';
import { Engine } from '../../../signaling/engine/mod.ts';
import { B2bua, CallTable } from '../../../signaling/invite/mod.ts';
import type { MediaPort } from '../../../signaling/media-port.ts';
import type { Location } from '../../../signaling/registry-port.ts';
import {
  Admission,
  Bindings,
  createRegistrar,
  FIRST_CSEQ,
  Gruus,
  Guard,
  NonceCounts,
  Nonces,
  pushSender,
  Storm,
  Wakeups,
} from '../../../signaling/register/mod.ts';
import { asSipApp, type DialogView, type Req, type Res, type SipApp } from '../../../signaling/srf.ts';
import { Trunks } from '../../../signaling/trunk/mod.ts';
import { Private } from '../../../vocabulary/mod.ts';
import { until } from '../../support/until.ts';

const UDP = 13_601;
const TCP = 13_602;
const CALLER = 13_603;
const PHONE = 13_604;
const OTHER = 13_605;
const SDP = 'v=0\r\no=x 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n';
const FREE = { perSecond: 1e9, burst: 1e9 };

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

interface Phone {
  readonly app: SipApp;
  readonly engine: Engine;
  /** INVITEs, in their order. */
  readonly invites: Req[];
  register(contact: string, headers?: Record<string, string>): Promise<Res>;
}

describe('the registrar on the wire', function () {
  this.timeout(15_000);
  const open: (() => Promise<void> | void)[] = [];

  afterEach(async () => {
    for (const close of open.splice(0).toReversed()) await close();
  });

  /** A signaling node without registry and media. */
  async function node(over: { hook?: string; storm?: Storm; waitMs?: number; locate?: () => Location[] } = {}) {
    const secret = new Private(Buffer.from('x'));
    const tenants = new Tenants([{ tenant: 'default', domain: 'example.test' }], ['127.0.0.1']);
    const accounts = new Accounts([
      { tenant: 'default', user: 'bob', displayName: undefined, number: '1002', password: new Private('b') },
    ]);
    const match = /^never$/;
    const trunk = { tenant: 'default', name: 'a', uri: `sip:127.0.0.1:${CALLER}`, match };
    const trunks = new Trunks([{ ...trunk, sources: [`127.0.0.1:${CALLER}`] }]);
    const admission = new Admission(
      { perSource: FREE, perAor: FREE, failures: FREE, exempt: new BlockList() },
      over.storm ?? new Storm(1000, Date.now()),
    );
    const guard = new Guard({
      tenants,
      accounts,
      nonces: new Nonces(secret, 60),
      counts: new NonceCounts(),
      algorithms: ['SHA-256', 'MD5'],
      trusted: ({ address, port }) => trunks.bySource(address, port) !== undefined,
      peerSecret: secret,
      admission,
      random: () => 0,
    });
    const bindings = new Bindings({ bindings: 10, perAor: 5 }, () => undefined);
    const gruus = new Gruus(secret);
    const later = (ms: number, work: () => void) => {
      const timer = setTimeout(work, ms);
      return () => clearTimeout(timer);
    };
    const stopped = new AbortController();
    const hooks = over.hook === undefined ? [] : [{ provider: 'apns', url: over.hook, secret: new Private('s3cret') }];
    const send = pushSender(hooks, stopped.signal);
    const waitMs = over.waitMs ?? 5000;
    const wakeups = new Wakeups({ bindings, send, waitMs, limit: 10, now: () => Date.now(), later });
    const engine = await Engine.open({
      listen: [`udp:127.0.0.1:${UDP}`, `tcp:127.0.0.1:${TCP}`],
      orphanRequests: 'deliver',
      appRoutes: true,
      firstCSeq: FIRST_CSEQ,
      challenge: (request, source, now) => guard.challenge(request, source, now),
      onFlowClosed: (flow) => bindings.flowClosed(flow),
    });
    open.push(() => engine.close());
    open.push(() => {
      stopped.abort();
      wakeups.close();
    });
    const srf = new Srf();
    const app = asSipApp(srf);
    const options = { minSeconds: 60, maxSeconds: 3600, defaultSeconds: 600, maxBindingsPerAor: 5 };
    const registrar = createRegistrar({
      guard,
      accounts,
      tenants,
      bindings,
      options: { ...options, wantedExtensions: [] },
      answer: { gruus, serviceRoute: [], flowTimerSeconds: 120, providers: ['apns'], pushRefreshSeconds: 130 },
      now: () => Date.now(),
      onResult: () => undefined,
    });
    app.use('register', registrar);
    new B2bua({
      app,
      guard,
      accounts,
      tenants,
      bindings,
      gruus,
      wakeups,
      trunks,
      media,
      registry: { locate: () => Promise.resolve(over.locate?.() ?? []) },
      calls: new CallTable(),
      maxCalls: 10,
      now: () => Date.now(),
      later,
      uuid: randomUUID,
      log: { info: () => undefined, warn: () => undefined },
      onEnded: () => undefined,
    });
    await engine.attach(srf);
    return { bindings, wakeups, engine };
  }

  /** `answers`: what becomes of an INVITE; 200 without it. */
  async function phone(port: number, answers?: (req: Req, res: Res, app: SipApp) => void, by = 'udp'): Promise<Phone> {
    const engine = await Engine.open({ listen: [`${by}:127.0.0.1:${port}`] });
    open.push(() => engine.close());
    const srf = new Srf();
    await engine.attach(srf);
    const app = asSipApp(srf);
    const invites: Req[] = [];
    app.invite((req, res) => {
      invites.push(req);
      if (answers) answers(req, res, app);
      else void app.createUAS(req, res, { localSdp: SDP });
    });
    const register = (contact: string, headers: Record<string, string> = {}): Promise<Res> =>
      new Promise((resolve, reject) => {
        const options = {
          method: 'REGISTER',
          proxy: `sip:127.0.0.1:${by === 'udp' ? UDP : TCP};transport=${by}`,
          auth: { username: 'bob', password: 'b' },
          headers: { From: '<sip:bob@example.test>', To: '<sip:bob@example.test>', Contact: contact, ...headers },
        };
        app.request('sip:127.0.0.1', options, (error, request) => {
          if (error || !request) reject(new Error('REGISTER not sent', { cause: error }));
          else request.on('response', (response: Res) => resolve(response));
        });
      });
    return { app, engine, invites, register };
  }

  const call = (from: Phone, uri = 'sip:1002@127.0.0.1', headers: Record<string, string> = {}): Promise<DialogView> =>
    from.app.createUAC(uri, { localSdp: SDP, proxy: `sip:127.0.0.1:${UDP}`, headers }, {});

  async function hook(answer: () => number): Promise<{ url: string; notes: unknown[] }> {
    const notes: unknown[] = [];
    const server: Server = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        notes.push({ ...(JSON.parse(body) as object), authorization: request.headers.authorization });
        response.writeHead(answer()).end();
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    open.push(() => void server.close());
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/push`, notes };
  }

  it('wakes a phone whose connection is gone, by a hook that fails first, and the call reaches it where it is now', async () => {
    let turn = 0;
    const { url, notes } = await hook(() => (++turn === 1 ? 503 : 200));
    const { bindings } = await node({ hook: url });
    const contact = (port: number) =>
      `<sip:bob@127.0.0.1:${port};transport=tcp;pn-provider=apns;pn-prid=token>;+sip.instance="<urn:uuid:1>"`;
    const before = await phone(PHONE, undefined, 'tcp');
    const registered = await before.register(contact(PHONE));
    assert.equal(registered.status, 200);
    assert.equal(registered.get('feature-caps'), '*;+sip.pns="apns"');
    await before.engine.close();
    await until('it sleeps', () => bindings.of('default', 'bob', Date.now())[0]?.asleep === true);

    const caller = await phone(CALLER);
    const calling = call(caller);
    await until('the push was sent', () => notes.length === 2);
    const after = await phone(OTHER, undefined, 'tcp');
    assert.equal((await after.register(contact(OTHER))).status, 200);
    const dialog = await calling;
    assert.equal(after.invites.length, 1);
    const note = { provider: 'apns', prid: 'token', tenant: 'default', aor: 'bob', why: 'call' };
    assert.deepEqual(notes[1], { ...note, authorization: 'Bearer s3cret' });
    await dialog.destroy();
  });

  it('finds a phone that was woken and has registered at another node of the PoP', async () => {
    const { url, notes } = await hook(() => 200);
    const there = { node: 'b', sip: `sip:127.0.0.1:${OTHER};transport=udp`, kinds: ['plain'] as const };
    const { bindings } = await node({ hook: url, locate: () => (notes.length > 0 ? [there] : []) });
    const sleeping = await phone(PHONE, undefined, 'tcp');
    await sleeping.register(
      '<sip:bob@127.0.0.1:1;transport=tcp;pn-provider=apns;pn-prid=t>;+sip.instance="<urn:uuid:1>"',
    );
    await sleeping.engine.close();
    await until('it sleeps', () => bindings.of('default', 'bob', Date.now())[0]?.asleep === true);
    const other = await phone(OTHER);
    const dialog = await call(await phone(CALLER));
    const [invite] = other.invites;
    assert.equal(invite?.uri, 'sip:1002@example.test');
    assert.match(invite?.get('x-causeway-peer') ?? '', /^\d+\.[0-9a-f]{64}$/);
    assert.equal(invite?.get('x-causeway-kind'), 'plain');
    await dialog.destroy();
  });

  it('answers 480 when the phone does not come, and releases who hangs up while it waits', async () => {
    const { url, notes } = await hook(() => 200);
    const { wakeups, bindings } = await node({ hook: url, waitMs: 500 });
    const sleeping = await phone(PHONE, undefined, 'tcp');
    await sleeping.register(
      '<sip:bob@127.0.0.1:1;transport=tcp;pn-provider=apns;pn-prid=t>;+sip.instance="<urn:uuid:1>"',
    );
    await sleeping.engine.close();
    await until('it sleeps', () => bindings.of('default', 'bob', Date.now())[0]?.asleep === true);
    const caller = await phone(CALLER);
    await assert.rejects(call(caller), { status: 480 });
    assert.equal(notes.length, 1);
    assert.deepEqual([wakeups.waiting, wakeups.counters.late], [0, 1]);

    let invite: Req | undefined;
    const options = { localSdp: SDP, proxy: `sip:127.0.0.1:${UDP}` };
    const given = caller.app.createUAC('sip:1002@127.0.0.1', options, { cbRequest: (_, req) => (invite = req) });
    await until('the push was sent', () => notes.length === 2);
    invite?.cancel({}, () => undefined);
    await assert.rejects(given, { status: 487 });
    // Before the wait for the phone was over.
    assert.equal(wakeups.waiting, 1);
  });

  it('goes on to the other flow of the same phone when the first is dead: 430 (RFC 5626)', async () => {
    await node();
    const alive = await phone(PHONE);
    const dead = await phone(OTHER, (_req, res) => res.send(430));
    const outbound = { Supported: 'outbound, path, gruu' };
    const contact = (port: number, regId: number) =>
      `<sip:bob@127.0.0.1:${port}>;+sip.instance="<urn:uuid:1>";reg-id=${regId}`;
    const first = await alive.register(contact(PHONE, 1), outbound);
    assert.deepEqual([first.get('require'), first.get('flow-timer')], ['outbound', '120']);
    await dead.register(contact(OTHER, 2), outbound);
    const dialog = await call(await phone(CALLER));
    assert.deepEqual([dead.invites.length, alive.invites.length], [1, 1]);
    await dialog.destroy();
  });

  it('sends requests by the path of the binding, as Route (RFC 3327)', async () => {
    await node();
    const edge = await phone(OTHER);
    const behind = await phone(PHONE);
    const path = `<sip:127.0.0.1:${OTHER};lr>, <sip:second.invalid;lr>`;
    const contact = '<sip:bob@192.0.2.55:5060>';
    const reply = await behind.register(contact, { Supported: 'path', Path: path });
    assert.deepEqual([reply.status, reply.get('path')], [200, path]);
    const dialog = await call(await phone(CALLER));
    assert.equal(edge.invites[0]?.get('route'), path);
    assert.equal(edge.invites[0]?.uri, 'sip:bob@192.0.2.55:5060');
    await dialog.destroy();
  });

  it('rings the one device that a GRUU means, temporary or public, and nobody at a void one', async () => {
    await node();
    const one = await phone(PHONE);
    const two = await phone(OTHER);
    await two.register(`<sip:bob@127.0.0.1:${OTHER}>;+sip.instance="<urn:uuid:2>"`);
    const reply = await one.register(`<sip:bob@127.0.0.1:${PHONE}>;+sip.instance="<urn:uuid:1>"`, {
      Supported: 'gruu',
    });
    const [, temporary = ''] = /temp-gruu="([^"]+)"/.exec(reply.get('contact') ?? '') ?? [];
    const caller = await phone(CALLER);
    for (const uri of [temporary, 'sip:bob@example.test;gr=urn:uuid:1']) await (await call(caller, uri)).destroy();
    assert.deepEqual([one.invites.length, two.invites.length], [2, 0]);
    await assert.rejects(call(caller, 'sip:tgruu.AAAA@example.test;gr'), { status: 404 });
    await assert.rejects(call(caller, 'sip:bob@example.test;gr=urn:uuid:9'), { status: 480 });
  });

  it('gives the RingCentral web phone one 18x before the 200, though the callee sends two, and one Via and its own CSeqs', async () => {
    await node();
    const answered = Promise.withResolvers<DialogView>();
    const callee = await phone(PHONE, (req, res, app) => {
      res.send(180);
      res.send(183, { body: SDP });
      setTimeout(() => answered.resolve(app.createUAS(req, res, { localSdp: SDP })), 100);
    });
    await callee.register(`<sip:bob@127.0.0.1:${PHONE}>`);
    const caller = await phone(CALLER);
    const heard: number[] = [];
    const dialog = await caller.app.createUAC(
      'sip:1002@127.0.0.1',
      { localSdp: SDP, proxy: `sip:127.0.0.1:${UDP}`, headers: { 'User-Agent': 'ringcentral-web-phone-2' } },
      { cbProvisional: (response) => heard.push(response.status) },
    );
    assert.equal(heard.filter((status) => status > 100).length, 1);
    const [invite] = callee.invites;
    assert.equal(invite?.get('via')?.split('SIP/2.0/').length, 2);
    assert.equal(invite?.has('record-route'), false);
    assert.ok(Number.parseInt(invite?.get('cseq') ?? '', 10) >= 1_000_000);
    const bye = once(dialog, 'destroy') as Promise<[Req]>;
    await (await answered.promise).destroy();
    const [request] = await bye;
    assert.ok(Number.parseInt(request.get('cseq') ?? '', 10) >= 1_000_000, request.get('cseq'));
  });

  it('ends the connections of browsers when the node stops, and of nobody else', async () => {
    const { engine, bindings } = await node();
    const browser = await phone(PHONE, undefined, 'tcp');
    const desk = await phone(OTHER, undefined, 'tcp');
    await browser.register('<sip:b@b.invalid;transport=ws>', { 'User-Agent': 'JsSIP 3.13.8' });
    await desk.register('<sip:d@d.invalid;transport=tcp>');
    assert.equal(bindings.size, 2);
    const moved = moveClients(engine, bindings, new CallTable(), 1000);
    await moved.done;
    await until('the browser is gone', () => bindings.size === 1);
    assert.equal(bindings.of('default', 'bob', Date.now())[0]?.contact, 'sip:d@d.invalid;transport=tcp');
    assert.equal(desk.engine.stats().transport.flows['tcp'], 1);
    assert.equal(browser.engine.stats().transport.flows['tcp'], 0);
  });

  it('writes a challenge line for each algorithm, and closes the connection of who could not obey a 503', async () => {
    const storm = new Storm(10, Date.now());
    await node({ storm });
    const ask = async (agent: string, extra = ''): Promise<{ text: string; closed: boolean }> => {
      const socket = connect(TCP, '127.0.0.1');
      open.push(() => void socket.destroy());
      let text = '';
      let closed = false;
      socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
      socket.on('close', () => (closed = true));
      await once(socket, 'connect');
      socket.write(
        `REGISTER sip:example.test SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bK${randomUUID()}\r\nFrom: <sip:bob@example.test>;tag=1\r\nTo: <sip:bob@example.test>\r\nCall-ID: ${randomUUID()}\r\nCSeq: 1 REGISTER\r\nMax-Forwards: 70\r\nUser-Agent: ${agent}\r\n${extra}Contact: <sip:bob@127.0.0.1>\r\nContent-Length: 0\r\n\r\n`,
      );
      await until('an answer', () => text.includes('\r\n\r\n'));
      await new Promise((resolve) => setTimeout(resolve, 50));
      return { text, closed };
    };
    const asked = await ask('JsSIP 3.13.8');
    assert.deepEqual(
      [...asked.text.matchAll(/^WWW-Authenticate: Digest .*algorithm=([^,]+)/gm)].map(([, name]) => name),
      ['SHA-256', 'MD5'],
    );
    // A nonce that is ours with a password that is not: this answer comes from the application.
    const nonce = /nonce="([^"]+)"/.exec(asked.text)?.[1] ?? '';
    const wrong = `Authorization: Digest username="bob", realm="example.test", nonce="${nonce}", uri="sip:example.test", response="${'0'.repeat(32)}", algorithm=MD5\r\n`;
    const again = await ask('JsSIP 3.13.8', wrong);
    assert.match(again.text, /^SIP\/2\.0 401 /);
    assert.equal([...again.text.matchAll(/^WWW-Authenticate: Digest /gm)].length, 2);
    assert.equal(again.closed, false);

    storm.lag(60_000);
    storm.admit(true, Date.now(), 0);
    const browser = await ask('JsSIP 3.13.8');
    assert.match(browser.text, /^SIP\/2\.0 503 Registrar Overloaded\r\n(?:.*\r\n)*Retry-After: \d+\r\n/);
    assert.equal(browser.closed, true);
    const desk = await ask('Desk Phone 1.0');
    assert.match(desk.text, /^SIP\/2\.0 503 /);
    assert.equal(desk.closed, false);
  });
});
