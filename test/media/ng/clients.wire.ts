// budget: 30 s, beside others
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { connect } from 'node:net';
import { after, afterEach, before, describe, it } from 'mocha';
import { WebSocket } from 'ws';
import { DtmfLog, Webhook, type MediaEvent, type NgTcpServer } from '../../../media/ng/mod.ts';
import { ANSWER, DTMF, OFFER, realService, serve, soon } from './node.ts';

const BASE = 18_600;
const UDP = 17_980;
const TCP = 17_981;
const HTTP = 17_982;

type Reply = Record<string, unknown>;
type Send = (command: string, message: Reply) => Promise<Reply>;

interface StockClient {
  once(name: string, listener: () => void): void;
  close(): void;
}
type Method = (...args: unknown[]) => Promise<Reply>;
/** The package that drachtio and jambonz use; it has no types. */
const { Client, TcpClient, WsClient } = createRequire(import.meta.url)('rtpengine-client') as Record<
  string,
  new (options?: object) => StockClient & Record<string, Method>
>;

describe('stock clients', () => {
  let node: ReturnType<typeof realService>;
  let tcp: NgTcpServer;
  const closing: (() => unknown)[] = [];

  before(async () => {
    node = realService(BASE, { pushDtmf: (frame, except) => tcp.pushAll(frame, except) });
    const served = await serve(node, { udp: UDP, tcp: TCP, http: HTTP });
    tcp = served.tcp;
    closing.push(...served.closing);
  });

  after(async () => {
    for (const close of closing.splice(0).toReversed()) await close();
  });

  const clients: readonly (readonly [string, () => Promise<{ send: Send; client: StockClient }>])[] = [
    [
      'rtpengine-client over UDP',
      async () => {
        const client = new (Client as NonNullable<typeof Client>)({ timeout: 2000, localAddress: '127.0.0.1' });
        await new Promise<void>((resolve) => client.once('listening', resolve));
        const to = { port: UDP, host: '127.0.0.1' };
        return { client, send: (command, message) => (client[command] as Method)(to, message) };
      },
    ],
    [
      'rtpengine-client over TCP',
      async () => {
        const client = new (TcpClient as NonNullable<typeof TcpClient>)({
          hostport: `127.0.0.1:${TCP}`,
          timeout: 2000,
        });
        await new Promise<void>((resolve) => client.once('connect', resolve));
        return { client, send: (command, message) => (client[command] as Method)(message) };
      },
    ],
    [
      'rtpengine-client over WebSocket',
      async () => {
        const client = new (WsClient as NonNullable<typeof WsClient>)({
          url: `ws://127.0.0.1:${HTTP}`,
          timeout: 2000,
        });
        await new Promise<void>((resolve) => client.once('listening', resolve));
        return { client, send: (command, message) => (client[command] as Method)(message) };
      },
    ],
  ];

  for (const [about, open] of clients) {
    it(`${about}: a call from ping to delete`, async () => {
      const { send, client } = await open();
      try {
        const ids = { 'call-id': about, 'from-tag': 'ft' };
        assert.deepEqual(await send('ping', {}), { result: 'pong' });
        const offered = await send('offer', { ...ids, sdp: OFFER, replace: ['origin', 'session-connection'] });
        assert.equal(offered['result'], 'ok');
        assert.match(String(offered['sdp']), /m=audio 186\d\d RTP\/AVP 0 8 101\r\n/);
        const answered = await send('answer', { ...ids, 'to-tag': 'tt', sdp: ANSWER });
        assert.match(String(answered['sdp']), /m=audio 186\d\d RTP\/AVP 0 101\r\n/);
        const query = await send('query', { 'call-id': about });
        assert.deepEqual(Object.keys(query['tags'] as Reply).toSorted(), ['ft', 'tt']);
        assert.deepEqual((await send('list', {}))['calls'], [about]);
        const { currentstatistics } = (await send('statistics', {}))['statistics'] as Record<string, Reply>;
        assert.equal(currentstatistics?.['sessionstotal'], 1);
        assert.equal((await send('blockMedia', ids))['error-reason'], 'Not supported by this node');
        assert.equal((await send('delete', { ...ids, 'to-tag': 'tt' }))['result'], 'ok');
        assert.equal((await send('query', { 'call-id': about }))['error-reason'], 'Unknown call-id');
        await soon(() => node.plane.totals().portsInUse === 0);
      } finally {
        // Over WebSocket it would connect again and again.
        Reflect.set(client, '_connect', () => undefined);
        client.close();
      }
    });
  }

  it('hear of media and its source over TCP once they have subscribed', async () => {
    const stream = connect(TCP, '127.0.0.1');
    let text = '';
    stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
    await once(stream, 'connect');
    stream.write('s {"command":"subscribe events"}');
    const ask = async (message: object): Promise<Reply> => {
      const body = JSON.stringify(message);
      const response = await fetch(`http://127.0.0.1:${HTTP}/ng-plain`, { method: 'POST', body });
      return (await response.json()) as Reply;
    };
    const phone = createSocket('udp4');
    phone.bind(0, '127.0.0.1');
    await once(phone, 'listening');
    try {
      const port = phone.address().port;
      const mine = OFFER.replaceAll('127.0.1.1', '127.0.0.1').replace('6000', String(port));
      await ask({ command: 'offer', 'call-id': 'e', 'from-tag': 'ft', sdp: mine });
      const answer = await ask({ command: 'answer', 'call-id': 'e', 'from-tag': 'ft', 'to-tag': 'tt', sdp: ANSWER });
      const to = Number(/m=audio (\d+)/.exec(String(answer['sdp']))?.[1]);
      const packet = Buffer.alloc(172, 0xff);
      packet.set([0x80, 0, 0, 1, 0, 0, 0, 160, 0, 0, 0x11, 0x11]);
      phone.send(packet, to, '127.0.0.1');
      await soon(() => text.includes('onMediaStarted'));
      assert.match(text, /^s \{"result":"ok"\}push\d+ \{"notify":/);
      assert.match(text, /"onMediaStarted","data":\{"callId":"e","tag":"ft","timestamp":\d+,"media":1/);
      const { tags } = await ask({ command: 'query', 'call-id': 'e' });
      const [media] = (tags as { ft: { medias: Reply[] } }).ft.medias;
      const [stat] = (media?.['streams'] ?? []) as Reply[];
      assert.deepEqual(stat?.['stats'], { packets: 1, bytes: 172, errors: 0 });
      assert.equal(stat?.['SSRC'], 0x1111);
    } finally {
      await ask({ command: 'delete', 'call-id': 'e' });
      phone.close();
      stream.destroy();
      await soon(() => node.service.hub.sinks === 0);
    }
  });

  it('see packets, bytes, sources and SSRCs of both parties, and strangers refused', async () => {
    const ask = async (message: object): Promise<Reply> => {
      const body = JSON.stringify({ 'call-id': 'q', 'from-tag': 'ft', ...message });
      const response = await fetch(`http://127.0.0.1:${HTTP}/ng-plain`, { method: 'POST', body });
      return (await response.json()) as Reply;
    };
    const [alice, bob, stranger] = [createSocket('udp4'), createSocket('udp4'), createSocket('udp4')];
    const events: MediaEvent[] = [];
    const sink = { take: (_frame: unknown, event: MediaEvent) => void events.push(event) };
    node.service.hub.add(sink);
    try {
      for (const socket of [alice, bob, stranger]) {
        socket.bind(0, '127.0.0.1');
        await once(socket, 'listening');
      }
      const sdpOf = (sdp: string, socket: typeof alice) =>
        sdp.replaceAll(/127\.0\.1\.\d/g, '127.0.0.1').replace(/m=audio \d+/, `m=audio ${socket.address().port}`);
      const portOf = (reply: Reply) => Number(/m=audio (\d+)/.exec(String(reply['sdp']))?.[1]);
      const toBob = portOf(await ask({ command: 'offer', sdp: sdpOf(OFFER, alice), label: 'caller' }));
      const toAlice = portOf(
        await ask({ command: 'answer', 'to-tag': 'tt', sdp: sdpOf(ANSWER, bob), label: 'callee' }),
      );
      const speak = (socket: typeof alice, port: number, count: number, ssrc: number) => {
        for (let n = 0; n < count; n++) {
          const packet = Buffer.alloc(172, 0xff);
          packet.writeUInt32BE(0x8000_0000 + n, 0);
          packet.writeUInt32BE(n * 160, 4);
          packet.writeUInt32BE(ssrc, 8);
          socket.send(packet, port, '127.0.0.1');
        }
      };
      let heard = 0;
      for (const socket of [alice, bob]) socket.on('message', () => void heard++);
      speak(alice, toAlice, 5, 0x1111);
      speak(bob, toBob, 3, 0x2222);
      await soon(() => heard === 8);
      const reply = await ask({ command: 'query', 'from-tag': undefined });
      const streamOf = (tag: string): Reply => {
        const party = (reply['tags'] as Record<string, { medias: { streams: Reply[] }[] }>)[tag];
        return party?.medias[0]?.streams[0] ?? {};
      };
      assert.deepEqual(streamOf('ft')['stats'], { packets: 5, bytes: 860, errors: 0 });
      assert.deepEqual(streamOf('tt')['stats'], { packets: 3, bytes: 516, errors: 0 });
      assert.deepEqual([streamOf('ft')['SSRC'], streamOf('tt')['SSRC']], [4369, 8738]);
      assert.deepEqual(streamOf('ft')['endpoint'], {
        family: 'IPv4',
        address: '127.0.0.1',
        port: alice.address().port,
      });
      assert.deepEqual((reply['totals'] as Reply)['RTP'], { packets: 8, bytes: 1376, errors: 0 });
      const both = events.filter(({ type }) => type === 'media-started').map(({ tag }) => tag);
      assert.deepEqual(both.toSorted(), ['ft', 'tt']);

      speak(stranger, toAlice, 4, 0x3333);
      await soon(() => (node.plane.totals().dropped['unknown-source'] ?? 0) >= 4);
      await soon(() => events.some(({ type }) => type === 'source-refused'));
      const refused = events.find((event) => event.type === 'source-refused');
      const { packets, ...which } = refused ?? assert.fail();
      assert.deepEqual(which, {
        ...{ type: 'source-refused', callId: 'q', tag: 'ft', media: 1, component: 'rtp', reason: 'unknown-source' },
        source: { address: '127.0.0.1', port: stranger.address().port },
      });
      assert.ok(packets > 0);
      for (let second = 0; second < 10; second++) node.service.tick();
      assert.equal(heard, 8);
      const looked = await ask({ command: 'query', 'from-tag': 'tt' });
      const mos = (looked['SSRC'] as Record<string, Reply>)['8738']?.['average MOS'] as Reply;
      assert.equal(mos['MOS'], 44);
    } finally {
      node.service.hub.remove(sink);
      await ask({ command: 'delete', 'from-tag': undefined });
      for (const socket of [alice, bob, stranger]) socket.close();
    }
  });

  it('get DTMF over TCP without asking, as JSON over UDP, and over WebSocket', async () => {
    const stream = connect(TCP, '127.0.0.1');
    await once(stream, 'connect');
    await soon(() => tcp.connections === 1);
    const push = once(stream, 'data') as Promise<[Buffer]>;
    const listener = createSocket('udp4');
    listener.bind(0, '127.0.0.1');
    await once(listener, 'listening');
    const datagram = once(listener, 'message') as Promise<[Buffer]>;
    const log = new DtmfLog(`127.0.0.1:${listener.address().port}`);
    node.service.hub.add(log);
    const webSocket = new WebSocket(`ws://127.0.0.1:${HTTP}`, 'ng-plain.rtpengine.com');
    await once(webSocket, 'open');
    webSocket.send('{"command":"subscribe events","events":["onDTMF"]}');
    await once(webSocket, 'message');
    const frame = once(webSocket, 'message') as Promise<[Buffer]>;
    try {
      node.service.publish(DTMF);
      assert.match((await push)[0].toString(), /^push\d+ d6:notify6:onDTMF4:datad4:tagsl1:t1:fe6:callid1:x/);
      assert.equal((JSON.parse((await datagram)[0].toString()) as Reply)['source_ip'], '127.0.1.1');
      assert.equal((JSON.parse((await frame)[0].toString()) as { data: Reply }).data['callId'], 'x');
    } finally {
      node.service.hub.remove(log);
      await log.close();
      listener.close();
      stream.destroy();
      webSocket.terminate();
    }
  });

  it('that subscribe and do not read are cut off, and the others are not', async () => {
    const stuck = connect(TCP, '127.0.0.1');
    const fine = connect(TCP, '127.0.0.1');
    let got = 0;
    fine.on('data', (chunk: Buffer) => (got += chunk.length));
    for (const stream of [stuck, fine]) {
      stream.on('error', () => undefined);
      stream.write('s {"command":"subscribe events"}');
    }
    await soon(() => node.service.subscriptions.size === 2);
    stuck.pause();
    const cut = tcp.counters.slow;
    for (let n = 0; n < 100_000 && tcp.counters.slow === cut; n++) {
      node.service.publish(DTMF);
      if (n % 200 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(tcp.counters.slow, cut + 1);
    await soon(() => node.service.subscriptions.size === 1);
    const heard = got;
    node.service.publish(DTMF);
    await soon(() => got > heard);
    stuck.destroy();
    fine.destroy();
  }).timeout(15_000);
});

describe('a webhook', () => {
  const closing: (() => unknown)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0).toReversed()) await close();
  });

  it('gets every event in order, again after a failure, with the same id', async () => {
    const got: [string, unknown][] = [];
    const statuses = [500, 200, 400, 200];
    const server = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk) => (body += String(chunk)));
      request.on('end', () => {
        got.push([String(request.headers['causeway-event']), (JSON.parse(body) as Reply)['notify']]);
        response.writeHead(statuses[got.length - 1] ?? 200).end('x');
      });
    });
    server.listen(17_983, '127.0.0.1');
    await once(server, 'listening');
    closing.push(() => server.close());
    const webhook = new Webhook('http://127.0.0.1:17983/media');
    closing.push(() => webhook.close());
    closing.push(() => server.closeAllConnections());
    webhook.take({ notify: 'onDTMF', data: {} });
    webhook.take({ notify: 'onMediaTimeout', data: {} });
    webhook.take({ notify: 'onDTLSFailed', data: {} });
    await soon(() => got.length === 4);
    assert.deepEqual(
      got.map(([, name]) => name),
      ['onDTMF', 'onDTMF', 'onMediaTimeout', 'onDTLSFailed'],
    );
    assert.equal(got[0]?.[0], got[1]?.[0]);
    assert.notEqual(got[1]?.[0], got[2]?.[0]);
    await soon(() => webhook.outbox.size === 0);
    assert.deepEqual(webhook.outbox.counters, { delivered: 2, retried: 1, dropped: 1 });
  });

  it('that nobody serves keeps a bounded number of events', async () => {
    const webhook = new Webhook('http://127.0.0.1:17984/');
    closing.push(() => webhook.close());
    for (let n = 0; n < 3000; n++) webhook.take({ notify: 'onDTMF', data: {} });
    assert.equal(webhook.outbox.size, 1000);
    assert.equal(webhook.outbox.counters.dropped, 2000);
  });
});
