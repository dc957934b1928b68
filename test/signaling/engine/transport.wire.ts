// budget: 10 s, beside others
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import Srf from 'drachtio-srf';
import { after, afterEach, before, describe, it } from 'mocha';
import { Registry } from 'prom-client';
import { WebSocket } from 'ws';
import { registerTransportMetrics } from '../../../roles/transport-metrics.ts';
import { createTransports, type Flow, type TransportSet } from '../../../signaling/engine/io/mod.ts';
import type { TransportOptions } from '../../../signaling/engine/io/mod.ts';
import { Engine, type EngineOptions } from '../../../signaling/engine/mod.ts';
import { asSipApp, type Req, type Res } from '../../../signaling/srf.ts';
import { TestCa, type Certificate } from '../../support/certificates.ts';
import { requestText, SipPeer, StreamClient } from '../../support/scripted-peer.ts';
import { mappedAddress, plainRequest } from '../../support/stun.ts';
import { until } from '../../support/until.ts';

const ALL = ['udp', 'tcp', 'tls', 'ws', 'wss'].map((protocol) => `${protocol}:127.0.0.1:0`);

describe('transports', function () {
  this.timeout(10_000);
  let ca: TestCa;
  let strangers: TestCa;
  let own: Certificate;
  let folder: string;
  const opened: { close(): Promise<void> }[] = [];

  before(async () => {
    [ca, strangers] = [await TestCa.make(), await TestCa.make()];
    own = await ca.sign('DNS:causeway.test', 'IP:127.0.0.1');
    folder = mkdtempSync(join(tmpdir(), 'causeway-transport-'));
    writeFileSync(join(folder, 'hosts'), '127.0.0.1 peer.test other.test\n');
  });
  after(() => rmSync(folder, { recursive: true, force: true }));
  afterEach(async () => {
    for (const each of opened.splice(0)) await each.close();
  });

  async function transports(options: Partial<TransportOptions> = {}): Promise<TransportSet> {
    const set = await createTransports({
      ...{ listen: ALL, tls: own, ca: ca.pem, now: () => performance.now() },
      events: { message: () => undefined, malformed: () => undefined, closed: () => undefined },
      ...options,
    });
    opened.push(set);
    return set;
  }

  /** An engine whose application answers every request with 200. */
  async function engine(options: Partial<EngineOptions> = {}): Promise<{ engine: Engine; srf: Srf }> {
    const srf = new Srf();
    const made = await Engine.open({
      ...{ listen: ALL, tls: { ...own, askClients: true, ownCaOnly: true }, ca: ca.pem },
      targets: { servers: ['127.0.0.1:9'], hostsFile: join(folder, 'hosts') },
      ...options,
    });
    opened.push(made);
    await made.attach(srf);
    const answer = (request: Req, response: Res) => {
      const contact = request.get('contact');
      response.send(200, contact === undefined ? {} : { headers: { Contact: contact, Expires: '60' } });
    };
    for (const method of ['options', 'register', 'message']) asSipApp(srf).use(method, answer);
    return { engine: made, srf };
  }

  function portOf(made: Engine | TransportSet, protocol: string): number {
    if (made instanceof Engine)
      return Number(made.listening.find((text) => text.startsWith(`${protocol}:`))?.split(':')[2]);
    return made.listeners.find((listener) => listener.protocol === protocol)?.bound.port ?? 0;
  }

  async function ask(srf: Srf, uri: string, method = 'OPTIONS'): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    asSipApp(srf).request(uri, { method }, (error: unknown, request?: Req) => {
      if (error || !request) reject(error instanceof Error ? error : new Error(String(error)));
      else request.on('response', (response: Res) => resolve(response.status));
    });
    return promise;
  }

  async function tlsClient(port: number, certificate?: Certificate): Promise<StreamClient> {
    const socket: TLSSocket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, ...certificate });
    const client = new StreamClient(socket);
    await new Promise<void>((resolve) => socket.once('secureConnect', resolve));
    return client;
  }

  async function webSocket(
    port: number,
    scheme = 'ws',
  ): Promise<WebSocket & { frames: { data: Buffer; binary: boolean }[] }> {
    const socket = new WebSocket(`${scheme}://127.0.0.1:${port}`, 'sip', { rejectUnauthorized: false });
    const frames: { data: Buffer; binary: boolean }[] = [];
    socket.on('message', (data, binary) => frames.push({ data: data as Buffer, binary }));
    await new Promise<void>((resolve, reject) => {
      socket.once('open', () => resolve());
      socket.once('error', reject);
    });
    return Object.assign(socket, { frames });
  }

  describe('keep-alive (RFC 5626 §3.5, §4.4)', () => {
    it('is answered over UDP: STUN with the address as it is seen, CRLF with CRLF', async () => {
      const set = await transports();
      const socket = createSocket('udp4');
      const heard: Buffer[] = [];
      socket.on('message', (bytes) => heard.push(bytes));
      await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
      try {
        const id = randomBytes(12);
        socket.send(plainRequest(id), portOf(set, 'udp'), '127.0.0.1');
        await until('an answer', () => heard.length === 1, 2000, 10);
        assert.deepEqual(mappedAddress(heard[0] as Buffer, id), { address: '127.0.0.1', port: socket.address().port });
        socket.send('\r\n\r\n', portOf(set, 'udp'), '127.0.0.1');
        await until('an answer', () => heard.length === 2, 2000, 10);
        assert.equal(heard[1]?.toString(), '\r\n');
        assert.equal(set.stats().flows['udp'], 0);
      } finally {
        socket.close();
      }
    });

    for (const protocol of ['tcp', 'tls']) {
      it(`is answered over ${protocol}, between messages and wherever it is cut`, async () => {
        const set = await transports();
        await using client =
          protocol === 'tcp' ? await StreamClient.open(portOf(set, 'tcp')) : await tlsClient(portOf(set, 'tls'));
        const id = randomBytes(12);
        const bytes = Buffer.concat([Buffer.from('\r\n\r\n'), plainRequest(id), Buffer.from('\r\n\r\n')]);
        for (const byte of bytes) {
          client.socket.write(Uint8Array.of(byte));
          // Each in a segment of its own.
          await new Promise((resolve) => setImmediate(resolve));
        }
        await until('all of it', () => client.received.length === 2 + 32 + 2, 3000, 10);
        assert.equal(client.text.slice(0, 2), '\r\n');
        const seen = mappedAddress(client.received.subarray(2, 34), id);
        assert.deepEqual(seen, { address: '127.0.0.1', port: (client.socket as TLSSocket).localPort });
        assert.equal(client.text.slice(34), '\r\n');
        assert.equal(set.stats().malformed, 0);
      });
    }

    it('is answered over WebSocket: CRLF, STUN and pings', async () => {
      const set = await transports();
      const socket = await webSocket(portOf(set, 'ws'));
      const id = randomBytes(12);
      socket.send('\r\n\r\n');
      socket.send(plainRequest(id));
      let pong = '';
      socket.on('pong', (data) => (pong = data.toString()));
      socket.ping('here');
      await until('the answers', () => socket.frames.length === 2 && pong === 'here', 2000, 10);
      assert.equal(socket.frames[0]?.data.toString(), '\r\n');
      assert.equal(mappedAddress(socket.frames[1]?.data as Buffer, id).port > 0, true);
      socket.terminate();
    });
  });

  describe('where answers go', () => {
    it('is the source of the request, whatever its Via says (RFC 3581)', async () => {
      const { engine: made } = await engine();
      const socket = createSocket('udp4');
      const heard: string[] = [];
      socket.on('message', (bytes) => heard.push(bytes.toString()));
      await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
      socket.send(requestText('OPTIONS', 'UDP 192.0.2.99:9;rport'), portOf(made, 'udp'), '127.0.0.1');
      await until('the answer', () => heard.length > 0, 2000, 10);
      const { port } = socket.address();
      socket.close();
      assert.match(heard[0] ?? '', new RegExp(`^Via:[^\r]*;received=127\\.0\\.0\\.1;rport=${port}\\b`, 'm'));
    });

    it('is the port of the Via, at the same address, when a TCP connection has gone (RFC 3261 §18.2.2)', async () => {
      const { engine: made, srf } = await engine();
      const held: Res[] = [];
      asSipApp(srf).use('subscribe', (_request: Req, response: Res) => held.push(response));
      await using peer = await SipPeer.start(['tcp']);
      const headers = { Contact: '<sip:tester@127.0.0.1>', Event: 'presence' };
      for (const method of ['MESSAGE', 'SUBSCRIBE']) {
        // The first is answered while the connection stands, the second when it has gone. The Via names another host.
        const client = await StreamClient.open(portOf(made, 'tcp'));
        client.socket.write(requestText(method, `TCP 192.0.2.99:${peer.port}`, { headers }));
        await until('the request', () => held.length === 1 || /200/.test(client.text), 2000, 10);
        await client[Symbol.asyncDispose]();
      }
      assert.equal(peer.responses.length, 0);
      await until('the end of both', () => made.stats().transport.connections === 0, 2000, 10);
      held[0]?.send(202);
      await until('the answer', () => peer.responses.length === 1, 2000, 10);
      assert.equal(peer.responses[0]?.status, 202);
    });

    it('is named by tokens: the flow while it lives, gone afterwards, and never one that was made up', async () => {
      const closed: Flow[] = [];
      const flows: Flow[] = [];
      const events = {
        message: (_message: unknown, flow: Flow) => flows.push(flow),
        malformed: () => undefined,
        closed: (flow: Flow) => closed.push(flow),
      };
      const set = await transports({ events });
      const client = await StreamClient.open(portOf(set, 'tcp'));
      client.socket.write(requestText('OPTIONS', 'TCP client.invalid'));
      await until('the message', () => flows.length === 1, 2000, 10);
      const flow = flows[0] as Flow;
      const token = set.token(flow);
      assert.equal(set.byToken(token), flow);
      await client[Symbol.asyncDispose]();
      await until('the end of the flow', () => closed.length === 1, 2000, 10);
      assert.equal(set.byToken(token), 'gone');
      assert.equal(set.byToken(`${token.slice(0, -2)}AA`), 'forged');
      const udp = (await set.connect({ protocol: 'udp', address: '127.0.0.1', port: 5999 })) as Flow;
      set.closeFlow(udp, 'nothing to do');
      assert.equal((set.byToken(set.token(udp)) as Flow).remote.port, 5999);
    });

    it('is gone at once when a WebSocket dies: its contacts, and requests that wait (430)', async () => {
      const gone: number[] = [];
      const { engine: made, srf } = await engine({ onFlowClosed: ({ port }) => gone.push(port) });
      const socket = await webSocket(portOf(made, 'ws'));
      const contact = 'sip:w@abc.invalid;transport=ws';
      socket.send(requestText('REGISTER', 'WS abc.invalid', { headers: { Contact: `<${contact}>` } }));
      await until('the answer', () => socket.frames.length === 1, 2000, 10);
      assert.equal(made.stats().registeredFlows, 1);
      const waiting = ask(srf, contact);
      await until('the request', () => socket.frames.length === 2, 2000, 10);
      const cut = performance.now();
      socket.terminate();
      assert.equal(await waiting, 430);
      assert.equal(await ask(srf, contact), 430);
      assert.ok(performance.now() - cut < 1000);
      assert.equal(gone.length, 1);
      assert.equal(made.stats().registeredFlows, 0);
      // And it is there again with the next.
      const again = await webSocket(portOf(made, 'ws'));
      again.send(requestText('REGISTER', 'WS abc.invalid', { headers: { Contact: `<${contact}>` } }));
      await until('the answer', () => again.frames.length === 1, 2000, 10);
      assert.equal(made.stats().registeredFlows, 1);
      again.terminate();
    });
  });

  describe('TLS (RFC 5922, RFC 5923)', () => {
    async function call(uri: string, certificate: Certificate, options: Partial<EngineOptions> = {}): Promise<number> {
      await using peer = await SipPeer.start(['tls'], { tls: certificate });
      const { srf } = await engine(options);
      // Awaited here: the peer is gone with the end of this function.
      return await ask(srf, `${uri}:${peer.port};transport=tls`);
    }

    it('connects to whom the certificate speaks for: by URI, by name, by address', async () => {
      assert.equal(await call('sip:bob@peer.test', await ca.sign('URI:sip:peer.test', 'DNS:elsewhere.test')), 200);
      assert.equal(await call('sip:bob@peer.test', await ca.sign('DNS:PEER.test')), 200);
      assert.equal(await call('sip:bob@127.0.0.1', await ca.sign('IP:127.0.0.1')), 200);
    });

    it('connects to nobody else', async () => {
      for (const names of [
        ['DNS:other.test'],
        ['DNS:*.test'],
        ['URI:sip:other.test', 'DNS:peer.test'],
        ['URI:sip:bob@peer.test'],
      ])
        assert.equal(await call('sip:bob@peer.test', await ca.sign(...names)), 503, names.join());
      assert.equal(await call('sip:bob@peer.test', await strangers.sign('DNS:peer.test')), 503);
    });

    it('sends a request for another name by another connection, though the place is the same', async () => {
      await using peer = await SipPeer.start(['tls'], { tls: await ca.sign('DNS:peer.test') });
      const { srf } = await engine();
      assert.equal(await ask(srf, `sip:bob@peer.test:${peer.port};transport=tls`), 200);
      assert.equal(await ask(srf, `sip:bob@peer.test:${peer.port};transport=tls`), 200);
      assert.equal(peer.connections, 1);
      assert.match(peer.requests[0]?.message.get('via') ?? '', /;alias$/);
      assert.equal(await ask(srf, `sip:bob@other.test:${peer.port};transport=tls`), 503);
    });

    it('reuses the connection of a peer that has proved its name and said alias, for requests to its port', async () => {
      const { engine: made, srf } = await engine();
      await using client = await tlsClient(portOf(made, 'tls'), await ca.sign('DNS:peer.test'));
      // Nobody listens on the port that the Via names.
      client.socket.write(requestText('OPTIONS', 'TLS peer.test:5999;alias'));
      await client.until(/SIP\/2\.0 200/);
      void ask(srf, 'sip:bob@peer.test:5999;transport=tls').catch(() => undefined);
      await client.until(/OPTIONS sip:bob@peer\.test:5999/);
      // The certificate says nothing about the other name.
      assert.equal(await ask(srf, 'sip:bob@other.test:5999;transport=tls'), 503);
    });

    it('reaches a phone that has connected by the address that it has connected from', async () => {
      const { engine: made, srf } = await engine();
      await using client = await tlsClient(portOf(made, 'tls'));
      client.socket.write(requestText('OPTIONS', 'TLS phone.invalid'));
      await client.until(/SIP\/2\.0 200/);
      const { localPort } = client.socket;
      void ask(srf, `sip:bob@127.0.0.1:${localPort};transport=tls`).catch(() => undefined);
      await client.until(/OPTIONS sip:bob@127/);
    });

    it('does not believe alias without a certificate, of a stranger, or for another name', async () => {
      const { engine: made, srf } = await engine();
      const certificates = [undefined, await strangers.sign('DNS:peer.test'), await ca.sign('DNS:other.test')];
      for (const certificate of certificates) {
        await using client = await tlsClient(portOf(made, 'tls'), certificate);
        client.socket.write(requestText('OPTIONS', 'TLS peer.test:5999;alias'));
        await client.until(/SIP\/2\.0 200/);
        assert.equal(await ask(srf, 'sip:bob@peer.test:5999;transport=tls'), 503);
        assert.doesNotMatch(client.text, /OPTIONS sip:bob/);
      }
    });
  });

  it('show the certificate of the domain that the client names, over tls and wss', async () => {
    const domains = [{ domain: 'tenant.test', ...(await ca.sign('DNS:tenant.test')) }];
    const set = await transports({ tls: { ...own, domains } });
    for (const protocol of ['tls', 'wss']) {
      for (const [servername, name] of [
        ['tenant.test', 'DNS:tenant.test'],
        ['causeway.test', 'DNS:causeway.test, IP Address:127.0.0.1'],
      ] as const) {
        const socket = connectTls({ port: portOf(set, protocol), host: '127.0.0.1', servername, ca: ca.pem });
        await new Promise<void>((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));
        assert.equal(socket.getPeerCertificate().subjectaltname, name);
        socket.destroy();
      }
    }
  });

  it('have a metric for each of their limits', async () => {
    const { engine: made } = await engine();
    const register = new Registry();
    registerTransportMetrics(register, made);
    const text = await register.metrics();
    for (const why of ['connections', 'per-address', 'handshakes', 'handshakes-per-address'])
      assert.ok(text.includes(`causeway_sip_connections_refused_total{why="${why}"} 0`), why);
    for (const why of ['backlog', 'slow-message', 'slow-handshake', 'silent', 'frame-size', 'dead'])
      assert.ok(text.includes(`causeway_sip_connections_closed_total{why="${why}"} 0`), why);
    for (const name of ['causeway_sip_connections', 'causeway_sip_udp_peers_forgotten_total', 'causeway_dns_records'])
      assert.match(text, new RegExp(`^${name} 0$`, 'm'));
  });

  describe('WebSocket (RFC 7118)', () => {
    it('wants the subprotocol, and says so', async () => {
      const set = await transports();
      const socket = new WebSocket(`ws://127.0.0.1:${portOf(set, 'ws')}`);
      const status = await new Promise<number | undefined>((resolve) => {
        socket.on('unexpected-response', (_request, response) => resolve(response.statusCode));
        socket.on('error', () => undefined);
      });
      assert.equal(status, 400);
      assert.equal(set.stats().refused.subprotocol, 1);
    });

    it('takes text and binary frames over ws and wss, and answers in text while that can be', async () => {
      const { engine: made, srf } = await engine();
      for (const scheme of ['ws', 'wss']) {
        const socket = await webSocket(portOf(made, scheme), scheme);
        socket.send(requestText('OPTIONS', `${scheme.toUpperCase()} xyz.invalid`));
        socket.send(Buffer.from(requestText('OPTIONS', `${scheme.toUpperCase()} xyz.invalid`)));
        await until('two answers', () => socket.frames.length === 2, 2000, 10);
        assert.deepEqual([...new Set(socket.frames.map(({ binary }) => binary))], [false]);
        assert.match(socket.frames[0]?.data.toString() ?? '', /^SIP\/2\.0 200/);
        socket.terminate();
      }
      assert.equal(typeof srf, 'object');
    });

    it('sends as binary what is not UTF-8', async () => {
      const flows: Flow[] = [];
      const events = {
        message: (_: unknown, flow: Flow) => flows.push(flow),
        malformed: () => undefined,
        closed: () => undefined,
      };
      const set = await transports({ events });
      const socket = await webSocket(portOf(set, 'ws'));
      socket.send(requestText('OPTIONS', 'WS xyz.invalid'));
      await until('the flow', () => flows.length === 1, 2000, 10);
      await set.send(flows[0] as Flow, Buffer.from([0x53, 0xff, 0xfe]));
      await set.send(flows[0] as Flow, Buffer.from('ü'));
      await until('both', () => socket.frames.length === 2, 2000, 10);
      assert.deepEqual(
        socket.frames.map(({ binary }) => binary),
        [true, false],
      );
      socket.terminate();
    });
  });
});
