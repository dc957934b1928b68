// budget: 25 s, beside others
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttp } from 'node:http';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'mocha';
import Srf from 'drachtio-srf';
import { ensureCertificate, type NodeCertificate } from '../../../roles/tls.ts';
import { encodeFrame, FrameReader } from '../../../signaling/engine/control/mod.ts';
import { Private } from '../../../vocabulary/mod.ts';
import { SECRET, TestEngine, type Handlers } from '../../support/engine-app.ts';
import { SipPeer } from '../../support/sip-peer.ts';
import { until } from '../../support/until.ts';

/** The control protocol by hand: what an application says, and what it gets. */
class RawApp implements AsyncDisposable {
  readonly payloads: string[] = [];
  readonly socket: Socket;
  closed = false;

  constructor(at: { readonly host: string; readonly port: number }) {
    this.socket = connect(at.port, at.host);
    const reader = new FrameReader();
    this.socket.on('data', (chunk) => this.payloads.push(...reader.push(chunk).payloads));
    this.socket.on('error', () => undefined);
    this.socket.on('close', () => (this.closed = true));
  }

  say(payload: string): void {
    this.socket.write(encodeFrame(payload));
  }

  reply(id: string): Promise<string> {
    return until(`a reply to ${id}`, () => this.payloads.find((text) => text.split('|')[2] === id), 5000, 5);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.closed) await once(this.socket.destroy(), 'close');
  }
}

const ok: Handlers[string] = (_req, res) => void res.send(200);

describe('the control port', function () {
  this.timeout(20_000);
  let world: TestEngine;
  let peer: SipPeer;
  before(async () => {
    world = await TestEngine.open();
    peer = await SipPeer.udp(world.at('udp'));
  });
  after(async () => {
    await peer[Symbol.asyncDispose]();
    await world[Symbol.asyncDispose]();
  });
  const self = () => `sip:x@${world.at('udp')}`;
  const noApps = () => until('all applications are gone', () => world.engine.stats().apps === 0, 5000, 5);

  it('hears nothing before the secret', async () => {
    for (const first of [
      'a|ping',
      'a|route|invite',
      'a|authenticate|wrong|',
      'a|sip||\r\nOPTIONS sip:a@b SIP/2.0\r\n\r\n',
    ]) {
      await using app = new RawApp(world.control);
      app.say(first);
      const reply = await app.reply('a');
      assert.match(reply, /\|NO\|(not authenticated|incorrect secret)$/);
      await until('it is cut off', () => app.closed, 5000, 5);
    }
    assert.equal(world.engine.stats().apps, 0);
  });

  it('takes frames however they are cut, refuses what is none, and answers every command', async () => {
    await using app = new RawApp(world.control);
    const bytes = Buffer.concat(
      [`a|authenticate|${SECRET}|t1,t2`, 'b|ping', 'c|route|options', 'c2|route|options'].map(encodeFrame),
    );
    for (const byte of bytes) app.socket.write(Buffer.of(byte));
    assert.match(await app.reply('a'), /\|OK\|udp\/127.0.0.1:\d+,tcp\/127.0.0.1:\d+\|v\d+\.\d+\.\d+\|udp/);
    assert.match(await app.reply('b'), /\|OK\|pong$/);
    assert.match(await app.reply('c2'), /\|OK$/);
    assert.equal(world.engine.stats().routes, 1);
    app.say('d|sip|unknown|\r\nSIP/2.0 200 OK\r\n\r\n');
    assert.match(await app.reply('d'), /\|NOK\|Response not sent due to unknown transaction/);
    app.say('e|proxy|unknown||||serial|||sip:a@b\r\nOPTIONS sip:a@b SIP/2.0\r\n\r\n');
    assert.match(await app.reply('e'), /\|NOK\|Unknown transaction id: unknown/);
    app.say('f|sip||\r\nBREW sip:pot SIP/2.0\r\n\r\n');
    assert.match(await app.reply('f'), /\|NOK\|invalid request-uri/);
    // 60 kB in one frame: more than the buffers of others hold.
    app.say(`g|sip||\r\nOPTIONS ${peer.uri('big')} SIP/2.0\r\nX-Long: ${'x'.repeat(30_000)}\r\n\r\n`);
    assert.match(await app.reply('g'), /\|OK\|application/);
    app.say('h|nonsense');
    assert.match(await app.reply('h'), /\|NO\|Unknown message type/);
    await until('it is cut off', () => app.closed, 5000, 5);
    await noApps();
    await using other = new RawApp(world.control);
    other.socket.write('notalength#x');
    await until('it is cut off', () => other.closed, 5000, 5);
  });

  it('remove_route takes one method back, and leaves the others', async () => {
    await using app = new RawApp(world.control);
    for (const [index, text] of [`authenticate|${SECRET}|`, 'route|options', 'route|message'].entries())
      app.say(`${index}|${text}`);
    await app.reply('2');
    app.say('r|remove_route|options');
    await app.reply('r');
    peer.request('OPTIONS', self());
    await peer.next('OPTIONS', 503);
    const message = peer.request('MESSAGE', self());
    const frame = await until(
      'the MESSAGE',
      () => app.payloads.find((text) => text.includes('|sip|network|')),
      5000,
      5,
    );
    const fields = (frame.split('\r\n')[0] ?? '').split('|');
    assert.equal(fields[4], 'udp');
    assert.equal(fields[6], String(peer.port));
    assert.equal(`${fields[10]}:${fields[11]}`, world.at('udp'));
    app.say(`s|sip|${fields[8]}|\r\nSIP/2.0 202 Accepted\r\n\r\n`);
    assert.equal((await peer.next('MESSAGE', 202)).get('call-id'), message.get('call-id'));
    app.say(`t|sip|${fields[8]}|\r\nSIP/2.0 500 Twice\r\n\r\n`);
    assert.match(await app.reply('t'), /\|NOK\|/);
  });

  it('several applications take turns; a new one serves when another has gone', async () => {
    await noApps();
    const served: string[] = [];
    const by = (name: string): Handlers => ({
      options: (_req, res) => {
        served.push(name);
        res.send(200);
      },
    });
    const first = await world.app(by('first'));
    const second = await world.app(by('second'));
    for (let i = 0; i < 4; i++) {
      peer.request('OPTIONS', self());
      await peer.next('OPTIONS', 200);
    }
    assert.deepEqual([...served].sort(), ['first', 'first', 'second', 'second']);
    world.leave(first);
    await until('one is gone', () => world.engine.stats().apps === 1, 5000, 5);
    peer.request('OPTIONS', self());
    await peer.next('OPTIONS', 200);
    assert.equal(served.at(-1), 'second');
    world.leave(second);
    await noApps();
    peer.request('OPTIONS', self());
    await peer.next('OPTIONS', 503);
  });

  it('REGISTER, OPTIONS and MESSAGE arrive with their bodies, and are answered with what the application says', async () => {
    const srf = await world.app({
      register: (req, res) => void res.send(200, { headers: { Contact: `${req.get('Contact')};expires=60` } }),
      options: (_req, res) =>
        void (res as unknown as { send(status: number, reason: string): void }).send(486, 'Not Now'),
      message: (req, res) =>
        void res.send(200, { body: req.body.toUpperCase(), headers: { 'Content-Type': 'text/plain' } }),
    });
    peer.request('REGISTER', `sip:${world.at('udp')}`, { headers: { Expires: '60' } });
    assert.equal((await peer.next('REGISTER', 200)).get('contact'), `<${peer.uri('peer')}>;expires=60`);
    peer.request('OPTIONS', self());
    assert.equal((await peer.next('OPTIONS', 486)).reason, 'Not Now');
    peer.request('MESSAGE', self(), { body: 'grüße', headers: { 'Content-Type': 'text/plain' } });
    assert.equal(Buffer.from((await peer.next('MESSAGE', 200)).body).toString(), 'GRÜSSE');
    peer.request('FETCH', self());
    assert.match((await peer.next('FETCH', 501)).get('allow') ?? '', /INVITE/);
    peer.request('REFER', self());
    await peer.next('REFER', 503);
    world.leave(srf);
    await noApps();
  });

  it('an application that comes back by itself after the engine was away is served again', async () => {
    let reconnecting = await TestEngine.open();
    const { port } = reconnecting.control;
    const srf = await reconnecting.app({ options: ok });
    let connects = 1;
    srf.on('connect', () => connects++);
    // Not `leave`: it is to try again.
    await reconnecting.engine.close();
    reconnecting = await TestEngine.open({ control: { listen: `127.0.0.1:${port}`, secret: new Private(SECRET) } });
    try {
      await until('it is back', () => connects === 2 && reconnecting.engine.stats().routes === 1, 10_000, 20);
      await using caller = await SipPeer.udp(reconnecting.at('udp'));
      caller.request('OPTIONS', `sip:x@${reconnecting.at('udp')}`);
      await caller.next('OPTIONS', 200);
    } finally {
      srf.disconnect();
      await reconnecting[Symbol.asyncDispose]();
    }
  });

  it('an application that dies leaves nobody waiting: 503 for what it held, BYE for its calls', async () => {
    const calls: unknown[] = [];
    const srf = await world.app({
      invite: (req, res) =>
        void srfOf(req)
          .createUAS(req, res, { localSdp: 'v=0\r\n' })
          .then((dialog) => calls.push(dialog)),
      message: () => undefined,
    });
    const srfOf = (_req: unknown) => srf;
    const invite = peer.request('INVITE', self(), { body: 'v=0\r\n' });
    const accepted = await peer.next('INVITE', 200);
    peer.inside('ACK', invite, accepted, 1);
    peer.request('MESSAGE', self());
    await until('both are there', () => calls.length === 1 && world.engine.stats().dialogs === 1, 5000, 5);
    world.leave(srf);
    await peer.next('MESSAGE', 503);
    const bye = await peer.next('BYE');
    assert.match(bye.get('reason') ?? '', /application gone/);
    peer.reply(bye, 200);
    assert.equal(world.engine.stats().dialogs, 0);
  });

  it('call records go to one of those who asked for them', async () => {
    const told: string[] = [];
    const note = (kind: string) => (source: unknown, _time: unknown, detail?: unknown) =>
      void told.push(`${kind} ${String(source)} ${typeof detail === 'string' ? detail : ''}`.trim());
    const records = Object.fromEntries(['attempt', 'start', 'stop'].map((kind) => [`cdr:${kind}`, note(kind)]));
    const first = await world.app(records as unknown as Handlers);
    const second = await world.app(records as unknown as Handlers);
    let reject = true;
    const app = await world.app({
      invite: (req, res) => {
        if (reject) res.send(486);
        else void app.createUAS(req, res, { localSdp: 'v=0\r\n' });
      },
    });
    const refused = peer.request('INVITE', self(), { body: 'v=0\r\n' });
    peer.along('ACK', refused, await peer.next('INVITE', 486));
    await until('two records', () => told.length === 2, 5000, 5);
    assert.deepEqual(told.splice(0), ['attempt network', 'stop application call-rejected']);
    reject = false;
    const invite = peer.request('INVITE', self(), { body: 'v=0\r\n' });
    const accepted = await peer.next('INVITE', 200);
    peer.inside('ACK', invite, accepted, 1);
    peer.inside('BYE', invite, accepted, 2);
    await peer.next('BYE', 200);
    await until('three records', () => told.length === 3, 5000, 5);
    assert.deepEqual(told.splice(0), ['attempt network', 'start application uas', 'stop network normal-release']);
    const call = app.createUAC(peer.uri('callee'), { localSdp: 'v=0\r\n' });
    const incoming = await peer.next('INVITE');
    peer.reply(incoming, 200, { body: 'v=0\r\n' });
    await peer.next('ACK');
    const dialog = await call;
    void dialog.destroy();
    peer.reply(await peer.next('BYE'), 200);
    await until('three records', () => told.length === 3, 5000, 5);
    assert.deepEqual(told, ['attempt application', 'start network uac', 'stop application normal-release']);
    for (const one of [first, second, app]) world.leave(one);
    await noApps();
  });
});

describe('connections that the engine opens to applications', function () {
  this.timeout(20_000);
  let world: TestEngine;
  let peer: SipPeer;
  let app: Srf;
  let server: Server;
  const sockets = new Set<Socket>();
  /** What the web service answers; undefined: nothing. */
  let answer: unknown;
  const asked: { readonly method: string; readonly url: URL; readonly body: string }[] = [];
  const web = createHttp((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      asked.push({ method: request.method ?? '', url: new URL(request.url ?? '', 'http://x'), body });
      if (answer !== undefined) response.end(typeof answer === 'string' ? answer : JSON.stringify(answer));
    });
  });

  before(async () => {
    server = createServer((socket) => sockets.add(socket));
    await once(server.listen(0, '127.0.0.1'), 'listening');
    await once(web.listen(0, '127.0.0.1'), 'listening');
    app = new Srf();
    app.invite((req, res) => {
      void app.createUAS(req, res, { localSdp: 'v=0\r\n' }).then((dialog) => {
        dialog.on('destroy', () => (app as unknown as { endSession(ended: unknown): void }).endSession(req));
        return dialog;
      });
    });
    (app as unknown as { listen(options: object): void }).listen({ server, secret: SECRET });
    const url = `http://127.0.0.1:${(web.address() as AddressInfo).port}/ask`;
    world = await TestEngine.open({
      requestHandlers: [
        { method: 'INVITE', url: `tcp://127.0.0.1:${(server.address() as AddressInfo).port}` },
        { method: 'MESSAGE', url, httpMethod: 'POST' },
        { method: '*', url },
      ],
    });
    peer = await SipPeer.udp(world.at('udp'));
  });
  after(async () => {
    await peer[Symbol.asyncDispose]();
    await world[Symbol.asyncDispose]();
    for (const socket of sockets) socket.destroy();
    web.closeAllConnections();
    await Promise.all([server, web].map((one) => new Promise((resolve) => one.close(resolve))));
  });
  afterEach(() => assert.deepEqual(world.errors, []));
  const self = (user = 'x') => `sip:${user}@${world.at('udp')}`;

  it('a call has a connection of its own, which the application ends', async () => {
    const invite = peer.request('INVITE', self(), { body: 'v=0\r\n' });
    const accepted = await peer.next('INVITE', 200);
    peer.inside('ACK', invite, accepted, 1);
    assert.equal(world.engine.stats().apps, 1);
    peer.inside('BYE', invite, accepted, 2);
    await peer.next('BYE', 200);
    await until('the connection is gone', () => world.engine.stats().apps === 0, 5000, 5);
  });

  it('a web service decides: reject, redirect, proxy, route', async () => {
    answer = { action: 'reject', data: { status: 404, reason: 'Nobody Here' } };
    peer.request('OPTIONS', `${self('bob')};x=y`);
    assert.equal((await peer.next('OPTIONS', 404)).reason, 'Nobody Here');
    const query = asked.at(-1)?.url.searchParams;
    assert.equal(asked.at(-1)?.method, 'GET');
    assert.deepEqual(
      ['method', 'uriUser', 'source_address', 'protocol', 'fromUser', 'x'].map((name) => query?.get(name)),
      ['OPTIONS', 'bob', '127.0.0.1', 'udp', 'peer', 'y'],
    );
    // Nobody reads more of an answer than there can be in one.
    answer = { action: 'reject', data: { status: 404, reason: 'x'.repeat(70_000) } };
    peer.request('OPTIONS', self());
    await peer.next('OPTIONS', 500);
    answer = { action: 'redirect', data: { contact: ['sip:a@h', 'sip:b@h'] } };
    peer.request('MESSAGE', self(), { body: 'hello', headers: { 'Content-Type': 'text/plain' } });
    assert.equal((await peer.next('MESSAGE', 302)).get('contact'), '<sip:a@h>, <sip:b@h>');
    assert.equal(asked.at(-1)?.method, 'POST');
    assert.match(asked.at(-1)?.body ?? '', /^MESSAGE sip:x@.*hello$/s);
    await using callee = await SipPeer.udp(world.at('udp'));
    answer = { action: 'proxy', data: { destination: callee.uri('c').slice(4) } };
    peer.request('OPTIONS', self());
    callee.reply(await callee.next('OPTIONS'), 200);
    await peer.next('OPTIONS', 200);
    answer = { action: 'route', data: { tag: 'blue' } };
    peer.request('OPTIONS', self());
    await peer.next('OPTIONS', 480);
    await world.app({}, { tags: ['red'] });
    const blue = await world.app({ options: ok }, { tags: ['green', 'blue'] });
    peer.request('OPTIONS', self());
    await peer.next('OPTIONS', 200);
    world.leave(blue);
  });

  it('nonsense is 500, an application that cannot be reached 480', async () => {
    for (const [given, status] of [
      ['not JSON', 500],
      [{ action: 'dance', data: {} }, 500],
      [{ action: 'reject', data: { status: 200 } }, 500],
      [{ action: 'route', data: { uri: '127.0.0.1:9' } }, 480],
      [{ action: 'route', data: { uri: '127.0.0.1:9;transport=tls' } }, 480],
    ] as const) {
      answer = given;
      peer.request('OPTIONS', self());
      await peer.next('OPTIONS', status);
    }
  });
});

describe('the control port with TLS', function () {
  this.timeout(20_000);
  let folder: string;
  let certificate: NodeCertificate;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'causeway-control-'));
    certificate = await ensureCertificate(folder, 'engine', ['127.0.0.1', 'localhost']);
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('an application connects by TLS, and is served as any other', async () => {
    const { cert, key, ca } = certificate;
    const tls = { listen: '127.0.0.1:0', cert, key };
    await using world = await TestEngine.open({
      control: { listen: '127.0.0.1:0', secret: new Private(SECRET), tls },
    });
    await using peer = await SipPeer.udp(world.at('udp'));
    const port = Number(world.engine.controlTlsAddress?.split(':')[1]);
    await world.app({ options: ok }, { port, tls: { ca, servername: 'localhost' } });
    peer.request('OPTIONS', `sip:x@${world.at('udp')}`);
    await peer.next('OPTIONS', 200);
    // Whoever speaks without TLS there is not heard.
    await using plain = new RawApp({ host: '127.0.0.1', port });
    plain.say(`a|authenticate|${SECRET}|`);
    await until('it is cut off', () => plain.closed, 5000, 5);
    assert.deepEqual(plain.payloads, []);
    assert.equal(world.engine.stats().apps, 1);
  });
});
