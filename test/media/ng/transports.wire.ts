// budget: 40 s, beside others
import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { connect, type Socket as Stream } from 'node:net';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { WebSocket } from 'ws';
import { NgHttpServer, NgTcpServer, NgUdpServer, type NgService } from '../../../media/ng/mod.ts';

import { pureService, soon, type Time } from './node.ts';

const UDP = 17_990;
const TCP = 17_991;
const HTTP = 17_992;
const PING = 'd7:command4:pinge';
const LIST = 'd7:command4:liste';

let service: NgService;
let time: Time;
const closing: (() => unknown)[] = [];

/** What is added last is closed first. */
function opened<T extends { close(): unknown }>(thing: T): T {
  closing.push(() => thing.close());
  return thing;
}

beforeEach(() => ({ service, time } = pureService()));
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

describe('ng over UDP', () => {
  let client: Socket;
  const ask = async (text: string | Buffer, from = client): Promise<string> => {
    const answer = once(from, 'message') as Promise<[Buffer]>;
    from.send(text, UDP, '127.0.0.1');
    return (await answer)[0].toString('latin1');
  };

  beforeEach(async () => {
    opened(await NgUdpServer.open(`127.0.0.1:${UDP}`, service));
    client = opened(createSocket('udp4'));
  });

  it('does nothing twice: a request sent again gets the same reply, for 30 to 60 seconds', async () => {
    const pinged = () => (service.statistics.control.control()['totalpingcount'] as number) ?? 0;
    assert.equal(await ask(`k1 ${PING}`), 'k1 d6:result4:ponge');
    time.now += 29_000;
    assert.equal(await ask(`k1 ${LIST}`), 'k1 d6:result4:ponge');
    assert.equal(pinged(), 1);
    time.now += 61_000;
    assert.equal(await ask(`k1 ${LIST}`), 'k1 d5:callsle6:result2:oke');
  });

  it('knows a request again that comes from another port of the same address', async () => {
    const other = opened(createSocket('udp4'));
    await ask(`k1 ${PING}`);
    assert.equal(await ask(`k1 ${LIST}`, other), 'k1 d6:result4:ponge');
  });

  it('does not give one proxy the reply of another', async () => {
    const other = opened(createSocket('udp4'));
    other.bind(0, '127.0.0.9');
    await once(other, 'listening');
    await ask(`k1 ${PING}`);
    assert.equal(await ask(`k1 ${LIST}`, other), 'k1 d5:callsle6:result2:oke');
  });

  it('says nothing to what has no cookie', async () => {
    client.send(PING, UDP, '127.0.0.1');
    client.send(` ${PING}`, UDP, '127.0.0.1');
    client.send(`${'k'.repeat(300)} ${PING}`, UDP, '127.0.0.1');
    assert.equal(await ask(`k2 ${PING}`), 'k2 d6:result4:ponge');
  });

  it('gives a cookie back as the bytes that it was', async () => {
    assert.equal(await ask(Buffer.from(`k\xe9\xff ${PING}`, 'latin1')), 'k\xe9\xff d6:result4:ponge');
  });

  it('says so when a reply does not fit a datagram', async () => {
    const { service: full } = pureService({
      operations: { 'start recording': () => ({ much: 'x'.repeat(70_000) }) },
    });
    opened(await NgUdpServer.open('127.0.0.1:17993', full));
    const answer = once(client, 'message') as Promise<[Buffer]>;
    client.send(`9 {"command":"offer","call-id":"c","from-tag":"f","sdp":${JSON.stringify(SDP)}}`, 17_993, '127.0.0.1');
    assert.match((await answer)[0].toString(), /"result":"ok"}$/);
    const second = once(client, 'message') as Promise<[Buffer]>;
    client.send('10 {"command":"start recording","call-id":"c"}', 17_993, '127.0.0.1');
    assert.match((await second)[0].toString(), /^10 \{"result":"error","error-reason":"Reply does not fit/);
  });

  it('names the address when the port is taken', async () => {
    await assert.rejects(NgUdpServer.open(`127.0.0.1:${UDP}`, service), /ng udp 127\.0\.0\.1:17990: the port is taken/);
  });
});

const SDP = 'v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n';

describe('ng over TCP', () => {
  let server: NgTcpServer;

  beforeEach(async () => {
    server = opened(await NgTcpServer.open(`127.0.0.1:${TCP}`, service, 50));
  });

  async function client(): Promise<{ stream: Stream; got: () => string }> {
    const stream = connect(TCP, '127.0.0.1');
    let text = '';
    stream.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
    stream.on('error', () => undefined);
    closing.push(() => stream.destroy());
    await once(stream, 'connect');
    return { stream, got: () => text };
  }

  it('answers messages that come glued together', async () => {
    const { stream, got } = await client();
    stream.write(`a1 ${PING}b2 ${PING}c3 {"command":"ping"}d4 ${LIST}`);
    const all = 'a1 d6:result4:pongeb2 d6:result4:pongec3 {"result":"pong"}d4 d5:callsle6:result2:oke';
    await soon(() => got() === all);
  });

  it('answers a message that comes byte by byte', async () => {
    const { stream, got } = await client();
    stream.setNoDelay();
    for (const byte of `a1 ${PING}b2 {"command":"ping","x":"}\\""}`) {
      stream.write(byte);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await soon(() => got() === 'a1 d6:result4:pongeb2 {"result":"pong"}');
  });

  it('answers all of what was asked before the other side said that it was done', async () => {
    const { stream, got } = await client();
    stream.end(`a1 ${PING}b2 ${PING}`);
    await once(stream, 'end');
    assert.equal(got(), 'a1 d6:result4:pongeb2 d6:result4:ponge');
  });

  it('answers what is whole and says nothing, and goes on', async () => {
    const { stream, got } = await client();
    stream.write('a1 d3:fooi1ee');
    await soon(() => got().includes('Dictionary contains no key "command"'));
    stream.write(`a2 ${PING}`);
    await soon(() => got().endsWith('a2 d6:result4:ponge'));
  });

  it('closes a connection after 1024 bytes that make no sense', async () => {
    const { stream } = await client();
    const closed = once(stream, 'close');
    stream.write(`a1 nonsense${'x'.repeat(900)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(stream.destroyed, false);
    stream.write('x'.repeat(200));
    await closed;
    assert.equal(server.counters.broken, 1);
    await soon(() => server.connections === 0);
  });

  it('closes a connection whose message has no end', async () => {
    const { stream } = await client();
    const closed = new Promise((resolve) => stream.once('close', resolve));
    stream.write(`a1 d1:xl${'i1e'.repeat(100_000)}`);
    await closed;
    assert.equal(server.counters.broken, 1);
  });

  it('knows over TCP what was done over UDP', async () => {
    opened(await NgUdpServer.open(`127.0.0.1:${UDP}`, service));
    const udp = opened(createSocket('udp4'));
    const answer = once(udp, 'message');
    udp.send(`both ${PING}`, UDP, '127.0.0.1');
    await answer;
    const { stream, got } = await client();
    stream.write(`both ${LIST}`);
    await soon(() => got() === 'both d6:result4:ponge');
  });

  it('cuts off whoever asks and does not read', async () => {
    const stream = connect(TCP, '127.0.0.1');
    closing.push(() => stream.destroy());
    stream.on('error', () => undefined);
    await once(stream, 'connect');
    stream.pause();
    const closed = new Promise((resolve) => stream.once('close', resolve));
    const many = Array.from({ length: 2000 }, (_, n) => `k${n} d7:command10:statisticse`).join('');
    let round = 0;
    const more = setInterval(() => {
      if (!stream.destroyed && stream.writableLength < 1e6) stream.write(many.replaceAll('k', `k${round++}_`));
      if (server.counters.slow > 0) stream.resume();
    }, 20);
    await soon(() => server.counters.slow === 1, 15_000);
    await closed;
    clearInterval(more);
  }).timeout(20_000);

  it('refuses 10,000 connections beyond the bound and serves those that it has', async () => {
    const kept = await Promise.all(Array.from({ length: 50 }, () => client()));
    await soon(() => server.connections === 50);
    let refused = 0;
    for (let batch = 0; batch < 100; batch++) {
      await Promise.all(
        Array.from({ length: 100 }, async () => {
          const stream = connect(TCP, '127.0.0.1');
          stream.on('error', () => undefined);
          stream.resume();
          await new Promise((resolve) => stream.once('close', resolve));
          refused++;
        }),
      );
    }
    assert.equal(refused, 10_000);
    assert.equal(server.counters.refused, 10_000);
    assert.equal(server.connections, 50);
    const [first] = kept;
    first?.stream.write(`a ${PING}`);
    await soon(() => first?.got() === 'a d6:result4:ponge');
  }).timeout(30_000);
});

describe('ng over HTTP and WebSocket', () => {
  let server: NgHttpServer;

  beforeEach(async () => {
    server = opened(await NgHttpServer.open(`127.0.0.1:${HTTP}`, service, 50));
  });

  const post = async (path: string, body: string, headers: Record<string, string> = {}) => {
    const response = await fetch(`http://127.0.0.1:${HTTP}${path}`, { method: 'POST', body, headers });
    return [response.status, response.headers.get('content-type'), await response.text()];
  };

  it('answers GET /ping', async () => {
    const response = await fetch(`http://127.0.0.1:${HTTP}/ping`);
    assert.equal(await response.text(), 'pong\n');
  });

  it('answers POST /ng in the encoding of the request, with its cookie', async () => {
    const type = { 'content-type': 'application/x-rtpengine-ng' };
    assert.deepEqual(await post('/ng', '77_1 {"command":"ping"}', type), [
      200,
      'application/x-rtpengine-ng',
      '77_1 {"result":"pong"}',
    ]);
    assert.deepEqual(await post('/ng', `77_2 ${PING}`, type), [
      200,
      'application/x-rtpengine-ng',
      '77_2 d6:result4:ponge',
    ]);
  });

  it('answers POST /ng-plain without cookies', async () => {
    const json = { 'content-type': 'application/json' };
    const [status, type, text] = await post('/ng-plain', '{"command":"ping"}', json);
    assert.deepEqual([status, String(type).split(';')[0], text], [200, 'application/json', '{"result":"pong"}']);
    assert.deepEqual(await post('/ng-plain', PING), [200, 'application/x-rtpengine-ng', 'd6:result4:ponge']);
  });

  it('refuses what has no cookie, what is too big, other paths and web pages', async () => {
    assert.equal((await post('/ng', PING))[0], 400);
    assert.equal((await post('/ng', ''))[0], 400);
    assert.equal((await post('/ng', `1 ${'x'.repeat(200_000)}`))[0], 413);
    assert.deepEqual((await post('/other', PING)).slice(0, 1), [404]);
    assert.equal((await post('/ng-plain', PING, { origin: 'http://evil.example' }))[0], 403);
  });

  async function webSocket(protocol: string, headers: Record<string, string> = {}) {
    const socket = new WebSocket(`ws://127.0.0.1:${HTTP}/`, protocol, { headers });
    closing.push(() => socket.terminate());
    const got: string[] = [];
    socket.on('message', (data: Buffer, binary) => got.push(`${binary ? 'b' : 't'} ${data.toString()}`));
    await once(socket, 'open');
    return { socket, got };
  }

  it('speaks ng and ng-plain over WebSocket, text for text and binary for binary', async () => {
    const ng = await webSocket('ng.rtpengine.com');
    ng.socket.send(`1 ${PING}`);
    ng.socket.send(Buffer.from('2 {"command":"ping"}'));
    await soon(() => ng.got.length === 2);
    assert.deepEqual(ng.got, ['t 1 d6:result4:ponge', 'b 2 {"result":"pong"}']);
    const plain = await webSocket('ng-plain.rtpengine.com');
    plain.socket.send('{"command":"ping"}');
    await soon(() => plain.got.length === 1);
    assert.deepEqual(plain.got, ['t {"result":"pong"}']);
    assert.equal(server.webSockets, 2);
    ng.socket.close();
    plain.socket.close();
    await soon(() => server.webSockets === 0);
  });

  it('refuses other subprotocols and web pages', async () => {
    await assert.rejects(webSocket('chat'), /400/);
    await assert.rejects(webSocket('ng.rtpengine.com', { origin: 'http://evil.example' }), /403/);
  });

  it('closes a WebSocket whose message is too big', async () => {
    const { socket } = await webSocket('ng.rtpengine.com');
    const closed = once(socket, 'close');
    socket.send(`1 ${'x'.repeat(200_000)}`);
    const [code] = (await closed) as [number];
    assert.equal(code, 1009);
  });
});
