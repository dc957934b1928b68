// budget: 20 s, beside others
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { readdirSync } from 'node:fs';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, before, beforeEach, describe, it } from 'mocha';
import { WebSocket } from 'ws';
import {
  createTransports,
  type Flow,
  type TransportLimits,
  type TransportSet,
} from '../../../signaling/engine/io/mod.ts';
import { TestCa, type Certificate } from '../../support/certificates.ts';
import { requestText, StreamClient } from '../../support/scripted-peer.ts';
import { until } from '../../support/until.ts';

const ALL = ['udp', 'tcp', 'tls', 'ws', 'wss'].map((protocol) => `${protocol}:127.0.0.1:0`);
const MB = 1 << 20;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Peers that take and do not give. After each of them nothing of theirs is left: no flow, no descriptor, no memory. */
describe('limits of the transports', function () {
  this.timeout(15_000);
  let certificate: Certificate;
  let set: TransportSet;
  let flows: Flow[];
  let descriptors: number;
  let memory: number;

  before(async () => {
    certificate = await (await TestCa.make()).sign('IP:127.0.0.1');
    // The first connection of each kind loads what the others share.
    await open({});
    await tlsClient().then((client) => client[Symbol.asyncDispose]());
    const socket = await webSocket();
    socket.terminate();
    await until('no flow', () => set.stats().connections === 0, 3000, 10);
    await set.close();
  });

  beforeEach(() => {
    flows = [];
    memory = used();
  });

  afterEach(async () => {
    await until('nothing is left of them', () => {
      const { connections, addresses, handshaking, flows: by } = set.stats();
      const ofConnections = (by['tcp'] ?? 0) + (by['tls'] ?? 0) + (by['ws'] ?? 0) + (by['wss'] ?? 0);
      return connections + addresses + handshaking + ofConnections === 0;
    });
    await until('their descriptors are gone', () => readdirSync('/proc/self/fd').length <= descriptors, 3000);
    flows = [];
    await set.close();
    await until('their memory is gone', () => used() - memory < 4 * MB, 3000);
  });

  function used(): number {
    collect();
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  }

  async function open(limits: Partial<TransportLimits>): Promise<void> {
    set = await createTransports({
      ...{ listen: ALL, tls: certificate, limits, now: () => performance.now() },
      events: { message: (_message, flow) => flows.push(flow), malformed: () => undefined, closed: () => undefined },
    });
    descriptors = readdirSync('/proc/self/fd').length;
  }

  function port(protocol: string): number {
    return set.listeners.find((listener) => listener.protocol === protocol)?.bound.port ?? 0;
  }

  const tcpClient = (from = '127.0.0.1') => StreamClient.open(port('tcp'), '127.0.0.1', from);

  async function tlsClient(): Promise<StreamClient> {
    const socket = connectTls({ port: port('tls'), host: '127.0.0.1', rejectUnauthorized: false });
    const client = new StreamClient(socket);
    await Promise.race([
      new Promise<void>((resolve) => socket.once('secureConnect', resolve)),
      new Promise<void>((resolve) => socket.once('close', () => resolve())),
    ]);
    return client;
  }

  async function webSocket(): Promise<WebSocket & { closedWith: number }> {
    const socket = Object.assign(new WebSocket(`ws://127.0.0.1:${port('ws')}`, 'sip'), { closedWith: 0 });
    socket.on('error', () => undefined);
    socket.on('close', (code) => (socket.closedWith = code));
    await new Promise((resolve) => socket.once('open', resolve));
    return socket;
  }

  /** The socket below a WebSocket: what a peer without manners writes to. */
  const raw = (socket: WebSocket) => (socket as unknown as Record<string, Socket>)['_socket'] as Socket;

  async function dispose(clients: readonly StreamClient[]): Promise<void> {
    await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
  }

  it('of connections: so many from one address, so many in all; the others are reset', async () => {
    await open({ connections: 60, connectionsPerAddress: 40 });
    const from = (address: string, count: number) =>
      Promise.all(Array.from({ length: count }, () => tcpClient(address)));
    const one = await from('127.0.0.1', 100);
    await until('60 resets', () => one.filter(({ closed }) => closed).length === 60);
    assert.equal(set.stats().refused['per-address'], 60);
    const two = await from('127.0.0.2', 30);
    await until('10 resets', () => two.filter(({ closed }) => closed).length === 10);
    assert.equal(set.stats().refused.connections, 10);
    // Who has been let in is served.
    const served = one.find(({ closed }) => !closed) as StreamClient;
    served.socket.write('\r\n\r\n');
    await served.until('\r\n');
    // A place that becomes free is given again.
    await served[Symbol.asyncDispose]();
    await until('a free place', () => set.stats().connections === 59);
    const next = await tcpClient('127.0.0.3');
    next.socket.write('\r\n\r\n');
    await next.until('\r\n');
    await dispose([...one, ...two, next]);
  });

  it('of time for a message: one byte a time does not hold a TCP connection', async () => {
    await open({ messageMs: 400 });
    const clients = await Promise.all(Array.from({ length: 20 }, () => tcpClient()));
    const text = Buffer.from(requestText('OPTIONS', 'TCP slow.invalid'));
    const trickle = setInterval(() => {
      const at = (trickled += 1);
      for (const { socket } of clients) socket.write(text.subarray(at - 1, at));
    }, 20);
    let trickled = 0;
    await until('all are closed', () => clients.every(({ closed }) => closed), 3000, 20);
    clearInterval(trickle);
    assert.equal(set.stats().gaveUp['slow-message'], 20);
    assert.equal(flows.length, 0);
    // The same bytes in time are a message, and who is idle between messages is left alone.
    await using quick = await tcpClient();
    quick.socket.write(text);
    await until('the message', () => flows.length === 1, 2000, 10);
    await new Promise((resolve) => setTimeout(resolve, 600));
    assert.equal(quick.closed, false);
  });

  it('of time for a frame: neither a byte a time nor pongs in between hold a WebSocket', async () => {
    await open({ messageMs: 400 });
    const [slow, fragments, idle] = [await webSocket(), await webSocket(), await webSocket()];
    // A masked text frame of 1,000 bytes, begun; and a fragment, with pongs between its bytes.
    raw(slow).write(Buffer.from([0x81, 0xfe, 0x03, 0xe8, 0, 0, 0, 0]));
    raw(fragments).write(Buffer.from([0x01, 0x82, 0, 0, 0, 0, 0x4f, 0x50]));
    const trickle = setInterval(() => {
      raw(slow)?.write(Uint8Array.of(0x41));
      if (fragments.readyState === WebSocket.OPEN) fragments.pong();
      if (idle.readyState === WebSocket.OPEN) idle.pong();
    }, 20);
    await until('both are closed', () => slow.closedWith !== 0 && fragments.closedWith !== 0, 3000, 20);
    clearInterval(trickle);
    assert.equal(set.stats().gaveUp['slow-message'], 2);
    assert.equal(idle.readyState, WebSocket.OPEN);
    idle.terminate();
  });

  it('of time for a handshake: TLS, HTTP and WebSocket, byte for byte', async () => {
    await open({ handshakeMs: 500 });
    const hello = Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, ...Array<number>(400).fill(7)]);
    const upgrade = Buffer.from(`GET / HTTP/1.1\r\nHost: a\r\nX-Long: ${'a'.repeat(500)}`);
    const clients: { client: StreamClient; bytes: Buffer }[] = [];
    for (let i = 0; i < 10; i++) {
      for (const [protocol, bytes] of [
        ['tls', hello],
        ['wss', hello],
        ['ws', upgrade],
      ] as const)
        clients.push({ client: await StreamClient.open(port(protocol)), bytes });
    }
    let at = 0;
    const trickle = setInterval(() => {
      for (const { client, bytes } of clients) client.socket.write(bytes.subarray(at, at + 1));
      at++;
    }, 20);
    await until('all are closed', () => clients.every(({ client }) => client.closed), 4000, 20);
    clearInterval(trickle);
    assert.equal(set.stats().gaveUp['slow-handshake'], 20);
  });

  it('of silence: who never sends a message is closed, who has registered stays', async () => {
    await open({ firstMessageMs: 300 });
    const [silent, spoken, socket] = [await tcpClient(), await tcpClient(), await webSocket()];
    spoken.socket.write(requestText('OPTIONS', 'TCP a.invalid'));
    const pings = setInterval(() => silent.socket.write('\r\n\r\n'), 50);
    await until('both are closed', () => silent.closed && socket.closedWith === 1001, 3000, 20);
    clearInterval(pings);
    assert.equal(spoken.closed, false);
    assert.equal(set.stats().gaveUp.silent, 2);
    await dispose([spoken]);
  });

  it('of silence after keep-alives: their end is the end of a phone that has sent some (RFC 5626 §5.4)', async () => {
    await open({ keepAliveMs: 300 });
    const [kept, ended, without] = [await tcpClient(), await tcpClient(), await tcpClient()];
    without.socket.write(requestText('OPTIONS', 'TCP a.invalid'));
    ended.socket.write('\r\n\r\n');
    const pings = setInterval(() => kept.socket.write('\r\n\r\n'), 100);
    await until('the end of one', () => ended.closed, 3000, 20);
    await new Promise((resolve) => setTimeout(resolve, 400));
    clearInterval(pings);
    assert.deepEqual([kept.closed, without.closed, set.stats().gaveUp.dead], [false, false, 1]);
    await dispose([kept, without]);
  });

  it('of size: a WebSocket frame beyond that of a message ends its connection before it has been read', async () => {
    await open({});
    const socket = await webSocket();
    const earlier = used();
    // A frame that says that it has 1 GB.
    raw(socket).write(Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0]));
    await until('it is closed', () => socket.closedWith !== 0, 3000, 20);
    assert.equal(socket.closedWith, 1009);
    assert.equal(set.stats().gaveUp['frame-size'], 1);
    assert.ok(used() - earlier < MB);
    const nonsense = await webSocket();
    raw(nonsense).write(Buffer.from([0xf3, 0x80, 0, 0, 0, 0]));
    await until('it is closed', () => nonsense.closedWith !== 0, 3000, 20);
    assert.equal(set.stats().gaveUp.unreadable, 1);
  });

  it('of TLS handshakes a second, of one source: the others get theirs', async () => {
    // Ten seconds' worth at once: 20.
    await open({ handshakesPerSecondPerAddress: 2, handshakesPerSecond: 8 });
    const from = (localAddress: string, count: number) =>
      Promise.all(Array.from({ length: count }, () => StreamClient.open(port('tls'), '127.0.0.1', localAddress)));
    const many = await from('127.0.0.1', 60);
    await until('resets', () => many.filter(({ closed }) => closed).length >= 35);
    const { refused } = set.stats();
    assert.ok(
      refused['handshakes-per-address'] >= 35 && refused['handshakes-per-address'] <= 40,
      JSON.stringify(refused),
    );
    const others = await from('127.0.0.2', 8);
    assert.equal(others.filter(({ closed }) => closed).length, 0);
    await dispose([...many, ...others]);
    // And TCP has no handshake to spare.
    await dispose([await tcpClient()]);
  });

  it('of what waits to be read: who does not read is closed, and costs no more than the bound', async () => {
    await open({ queueBytes: 200_000 });
    const [client, socket] = [await tcpClient(), await webSocket()];
    client.socket.write(requestText('OPTIONS', 'TCP a.invalid'));
    socket.send(requestText('OPTIONS', 'WS a.invalid'));
    await until('both flows', () => flows.length === 2, 2000, 10);
    client.socket.pause();
    raw(socket).pause();
    const earlier = used();
    const kilobyte = Buffer.alloc(1024, 0x41);
    for (let i = 0; i < 40_000 && flows.some(({ closed }) => !closed); i++) {
      for (const flow of flows) if (!flow.closed) void set.send(flow, kilobyte).catch(() => undefined);
      if (i % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await until('both are closed', () => flows.every(({ closed }) => closed), 3000, 20);
    assert.equal(set.stats().gaveUp.backlog, 2);
    assert.ok(used() - earlier < 4 * MB);
    await dispose([client]);
    socket.terminate();
  });

  it('of what waits to be read: the answers to a flood of keep-alives too', async () => {
    await open({ queueBytes: 100_000 });
    const [client, socket, crlf] = [await tcpClient(), await webSocket(), await tcpClient()];
    client.socket.pause();
    raw(socket).pause();
    const request = Buffer.concat([Buffer.from([0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42]), Buffer.alloc(12)]);
    const requests = Buffer.concat(Array<Buffer>(3000).fill(request));
    // Masked pings of 125 bytes: each wants 127 back.
    const ping = Buffer.concat([Buffer.from([0x89, 0xfd, 0, 0, 0, 0]), Buffer.alloc(125, 0x50)]);
    const pings = Buffer.concat(Array<Buffer>(500).fill(ping));
    const done = () => set.stats().gaveUp.backlog === 2;
    const deadline = Date.now() + 8000;
    while (!done() && Date.now() < deadline) {
      for (const [to, bytes] of [
        [client.socket, requests],
        [raw(socket), pings],
      ] as const)
        if (to?.writable && to.writableLength < MB) to.write(bytes);
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.ok(done(), JSON.stringify(set.stats().gaveUp));
    // Of CRLFs that come by the thousand a few are answered.
    crlf.socket.write('\r\n\r\n'.repeat(100_000));
    crlf.socket.write(requestText('OPTIONS', 'TCP a.invalid'));
    await until('the message behind them', () => flows.length === 1, 3000, 10);
    assert.ok(crlf.received.length > 0 && crlf.received.length < 2000, `${crlf.received.length} bytes`);
    await dispose([client, crlf]);
    socket.terminate();
  });

  it('of UDP peers: the table stays as it is, and who was forgotten is still answered', async () => {
    await open({ udpFlows: 50 });
    const sockets = await Promise.all(
      Array.from({ length: 120 }, async (_, i) => {
        const socket = createSocket('udp4');
        await new Promise<void>((resolve) => socket.bind(0, `127.0.1.${i + 1}`, resolve));
        return socket;
      }),
    );
    for (const socket of sockets) socket.send(requestText('OPTIONS', 'UDP a.invalid'), port('udp'), '127.0.0.1');
    // Noise makes no peers.
    for (const socket of sockets) socket.send('noise', port('udp'), '127.0.0.1');
    await until('all messages', () => flows.length === 120 && set.stats().malformed === 120);
    assert.equal(set.stats().flows['udp'], 50);
    assert.equal(set.stats().udpForgotten, 70);
    const heard = new Promise((resolve) => sockets[0]?.once('message', resolve));
    const first = flows.find(({ remote }) => remote.address === '127.0.1.1') as Flow;
    await set.send(first, Buffer.from('still here'));
    assert.equal(String(await heard), 'still here');
    for (const socket of sockets) await new Promise<void>((resolve) => socket.close(() => resolve()));
  });
});
