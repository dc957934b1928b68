// budget: 15 s, beside others
import assert from 'node:assert/strict';
import { createSocket, type Socket as Datagrams } from 'node:dgram';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import Srf from 'drachtio-srf';
import { after, before, describe, it } from 'mocha';
import { Accounts, Tenants } from '../../../../signaling/directory/mod.ts';
import { acceptsSdp } from '../../../../signaling/engine/message/mod.ts';
import { Engine } from '../../../../signaling/engine/mod.ts';
import { Guard, NonceCounts, Nonces } from '../../../../signaling/register/mod.ts';
import { asSipApp, type Req, type Res } from '../../../../signaling/srf.ts';
import { Private } from '../../../../vocabulary/mod.ts';
import { until } from '../../../support/until.ts';
import { TORTURE, type Torture } from './table.ts';

const SDP = 'v=0\r\no=x 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n';

/** What each answer must have besides its status. */
const EXTRA: Readonly<Record<number, readonly [header: string, value: RegExp]>> = {
  401: ['www-authenticate', /^Digest realm="example\.com", nonce="/],
  415: ['accept', /^application\/sdp$/],
  420: [
    'unsupported',
    /^nothingSupportsThis, nothingSupportsThisEither, noProxiesSupportThis, norDoAnyProxiesSupportThis$/,
  ],
  501: ['allow', /^INVITE, ACK, /],
};

/** Everything gets 200, but for what an application cannot take. */
function answer(req: Req, res: Res): void {
  if (req.method !== 'INVITE') res.send(200);
  else if (req.get('content-type') !== 'application/sdp') res.send(415, { headers: { Accept: 'application/sdp' } });
  else if (!acceptsSdp({ getAll: (name: string) => (req.has(name) ? [req.get(name) ?? ''] : []) })) res.send(406);
  else res.send(200, { headers: { 'Content-Type': 'application/sdp' }, body: SDP });
}

let pings = 0;
function options(transport: string): Buffer {
  return Buffer.from(
    [
      'OPTIONS sip:127.0.0.1 SIP/2.0',
      `Via: SIP/2.0/${transport} 127.0.0.1;rport;branch=z9hG4bKping${++pings}`,
      'Max-Forwards: 70',
      'From: <sip:ping@127.0.0.1>;tag=1',
      'To: <sip:127.0.0.1>',
      `Call-ID: ping${pings}`,
      'CSeq: 1 OPTIONS',
      'Content-Length: 0',
      '',
      '',
    ].join('\r\n'),
  );
}

function check(entry: Torture, expected: number, response: Answer): void {
  assert.equal(response.status, expected, `${response.status} ${response.reason}`);
  if (entry.reason !== undefined && expected === entry.udp) assert.equal(response.reason, entry.reason);
  const [header, value] = EXTRA[expected] ?? [];
  if (header && value) assert.match(response.get(header) ?? '', value);
}

const UDP_PORT = 13_541;
const TCP_PORT = 13_542;
const WS_PORT = 13_543;

async function open(...listen: string[]): Promise<Engine> {
  const secret = new Private(Buffer.from('x'));
  const guard = new Guard({
    tenants: new Tenants([{ tenant: 'default', domain: 'example.com' }], []),
    accounts: new Accounts([]),
    nonces: new Nonces(secret, 60),
    counts: new NonceCounts(),
    algorithms: ['MD5'],
    trusted: () => false,
    peerSecret: secret,
  });
  const engine = await Engine.open({
    listen,
    challenge: (request, source, now) =>
      request.get('authorization') === undefined ? undefined : guard.challenge(request, source, now),
  });
  const srf = new Srf();
  await engine.attach(srf);
  const app = asSipApp(srf);
  app.invite(answer);
  for (const method of ['register', 'options', 'message']) app.use(method, answer);
  return engine;
}

describe('the torture messages, sent', function () {
  this.timeout(10_000);
  // Each has an engine of its own: the same transaction twice would not be answered twice.
  let udpEngine: Engine;
  let tcpEngine: Engine;

  before(async () => {
    udpEngine = await open(`udp:127.0.0.1:${UDP_PORT}`);
    tcpEngine = await open(`tcp:127.0.0.1:${TCP_PORT}`);
  });

  after(async () => {
    await udpEngine.close();
    await tcpEngine.close();
  });

  for (const entry of TORTURE) {
    const { rfc, section, name, udp, tcp, closes, bytes, stream } = entry;
    it(`RFC ${rfc} §${section} ${name} over UDP: ${udp}`, async () => {
      await using peer = await Peer.open();
      peer.send(bytes, UDP_PORT);
      if (udp !== 'drop') check(entry, udp, await peer.final());
      peer.send(options('UDP'), UDP_PORT);
      const alive = await peer.final((message) => message.get('call-id') === `ping${pings}`);
      assert.deepEqual([alive.status, udp === 'drop' && peer.others], [200, udp === 'drop' && 0]);
    });

    it(`RFC ${rfc} §${section} ${name} over TCP: ${tcp}${closes ? ', closed' : ''}`, async () => {
      await using peer = await StreamPeer.open(TCP_PORT);
      peer.socket.write(stream);
      if (typeof tcp === 'number') check(entry, tcp, await peer.final());
      if (closes) await until('the engine closes', () => peer.closed, 3000, 10);
      else {
        peer.socket.write(options('TCP'));
        const ping = (message: Answer) => message.get('call-id') === `ping${pings}`;
        if (tcp !== 'wait') assert.equal((await peer.final(ping)).status, 200);
        else {
          // It was taken for the rest of the body; elsewhere the engine answers.
          await using other = await StreamPeer.open(TCP_PORT);
          other.socket.write(options('TCP'));
          await other.final();
          assert.deepEqual([peer.messages.length, peer.closed], [0, false]);
        }
      }
    });
  }

  it('are counted when they are dropped', () => {
    for (const engine of [udpEngine, tcpEngine]) {
      const { transport, strayResponses } = engine.stats();
      // unreason, noreason and bcast are responses that nobody waits for; scalarlg and bigcode are none.
      assert.deepEqual([strayResponses, transport.malformedOf['response']], [3, 2]);
      assert.ok((transport.malformedOf['request'] ?? 0) > 15);
    }
  });

  it('by two ways are answered once, and with 482 the second time', async () => {
    await using peer = await Peer.open();
    const first = options('UDP').toString();
    const second = first
      .replace('branch=z9hG4bK', 'branch=z9hG4bKother')
      .replace('sip:127.0.0.1 SIP', 'sip:other@127.0.0.1 SIP');
    peer.send(Buffer.from(first), UDP_PORT);
    assert.equal((await peer.final()).status, 200);
    peer.send(Buffer.from(second), UDP_PORT);
    const merged = await peer.final((message) => (message.get('via') ?? '').includes('z9hG4bKother'));
    assert.deepEqual([merged.status, merged.reason], [482, 'Merged Request']);
  });
});

describe('SIP over IPv6', () => {
  for (const [sentBy, noted] of [
    ['[::1]', 'rport'],
    ['[2001:db8::9]:5060', 'received=::1;rport'],
  ] as const) {
    it(`a Via of ${sentBy} gets its answer with ${noted}`, async () => {
      const engine = await open(`udp:[::1]:${UDP_PORT}`);
      await using peer = await Peer.open('::1');
      const text = options('UDP')
        .toString()
        .replace('UDP 127.0.0.1;rport', `UDP ${sentBy}`)
        .replaceAll('127.0.0.1', '[::1]');
      peer.send(Buffer.from(text), UDP_PORT);
      const final = await peer.final().finally(() => engine.close());
      assert.equal(final.status, 200);
      assert.equal(final.get('via'), `SIP/2.0/UDP ${sentBy};branch=z9hG4bKping${pings};${noted}=${peer.port}`);
    });
  }
});

describe('bytes that come in pieces, or too many of them', function () {
  this.timeout(10_000);
  let engine: Engine;

  before(async () => {
    engine = await open(`tcp:127.0.0.1:${TCP_PORT}`, `ws:127.0.0.1:${WS_PORT}`);
  });

  after(() => engine.close());

  it('a request over TCP, byte by byte', async () => {
    await using peer = await StreamPeer.open(TCP_PORT);
    await trickle(peer.socket, Buffer.concat([Buffer.from('\r\n\r\n'), options('TCP')]));
    assert.equal((await peer.final()).status, 200);
  });

  it('a WebSocket, byte by byte: its handshake, a message in two fragments, and a ping between them', async () => {
    await using peer = await StreamPeer.open(WS_PORT);
    const text = options('WS');
    await trickle(peer.socket, Buffer.from(UPGRADE));
    await trickle(
      peer.socket,
      Buffer.concat([frame(0x01, text.subarray(0, 90)), frame(0x89, Buffer.from('x')), frame(0x80, text.subarray(90))]),
    );
    await until('a final answer', () => /SIP\/2\.0 200 OK/.test(peer.text), 3000, 10);
  });

  it('headers without end over TCP: 513, and the connection is closed', async () => {
    await using peer = await StreamPeer.open(TCP_PORT);
    peer.socket.write(
      options('TCP')
        .toString()
        .replace('\r\n\r\n', `\r\nX: ${'y'.repeat(40_000)}`),
    );
    const { status, reason } = await peer.final();
    assert.deepEqual([status, reason], [513, 'Headers Too Large']);
    await until('the engine closes', () => peer.closed, 3000, 10);
  });

  it('a body that is too long over TCP: 413, before it has come', async () => {
    await using peer = await StreamPeer.open(TCP_PORT);
    peer.socket.write(options('TCP').toString().replace('Content-Length: 0', 'Content-Length: 1000000'));
    const { status, reason } = await peer.final();
    assert.deepEqual([status, reason], [413, 'Request Entity Too Large']);
  });

  it('a WebSocket frame that is too long: closed', async () => {
    await using peer = await StreamPeer.open(WS_PORT);
    peer.socket.write(UPGRADE);
    peer.socket.write(frame(0x81, Buffer.alloc(70_000, 'x')));
    await until('the engine closes', () => peer.closed, 3000, 10);
  });

  it('are counted by the limit', () => {
    const { headers, body, message } = engine.stats().transport.oversized;
    assert.deepEqual([headers, body, message], [1, 1, 1]);
  });
});

const UPGRADE = [
  'GET / HTTP/1.1',
  'Host: 127.0.0.1',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Protocol: sip',
  '',
  '',
].join('\r\n');

/** A client's frame (RFC 6455 §5.2), with a mask of zeros. */
function frame(opcode: number, payload: Buffer): Buffer {
  const head =
    payload.length < 126 ? [payload.length | 0x80] : [126 | 0x80, payload.length >> 8, payload.length & 0xff];
  const long = [127 | 0x80, 0, 0, 0, 0, 0, payload.length >> 16, (payload.length >> 8) & 0xff, payload.length & 0xff];
  return Buffer.concat([Buffer.from([opcode, ...(payload.length > 0xffff ? long : head), 0, 0, 0, 0]), payload]);
}

async function trickle(socket: Socket, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length; at++) {
    socket.write(bytes.subarray(at, at + 1));
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** A response as its text: what it repeats of a malformed request is malformed too. */
class Answer {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  get status(): number {
    return Number(/^SIP\/2\.0 (\d{3}) /.exec(this.text)?.[1]);
  }

  get reason(): string {
    return /^SIP\/2\.0 \d{3} (.*)\r/.exec(this.text)?.[1] ?? '';
  }

  get(name: string): string | undefined {
    return new RegExp(`^${name}: (.*)\\r`, 'im').exec(this.text)?.[1];
  }
}

/** Somebody with a UDP socket, who keeps what is answered. */
class Peer implements AsyncDisposable {
  readonly messages: Answer[] = [];
  readonly #socket: Datagrams;

  private constructor(socket: Datagrams) {
    this.#socket = socket;
    socket.on('message', (bytes) => void this.messages.push(new Answer(bytes.toString())));
  }

  static async open(address = '127.0.0.1'): Promise<Peer> {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    socket.bind(0, address);
    await once(socket, 'listening');
    return new Peer(socket);
  }

  get port(): number {
    return this.#socket.address().port;
  }

  get others(): number {
    return this.messages.filter((message) => !message.get('call-id')?.startsWith('ping')).length;
  }

  send(bytes: Buffer, port: number): void {
    this.#socket.send(bytes, port, this.#socket.address().address);
  }

  final(which: (message: Answer) => boolean = () => true): Promise<Answer> {
    return until(
      'a final answer',
      () => this.messages.find((message) => message.status >= 200 && which(message)),
      3000,
      5,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise<void>((resolve) => this.#socket.close(() => resolve()));
  }
}

/** The same with a connection. */
class StreamPeer implements AsyncDisposable {
  readonly messages: Answer[] = [];
  readonly socket: Socket;
  text = '';
  closed = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay();
    socket.on('error', () => undefined);
    socket.on('close', () => (this.closed = true));
    socket.on('data', (chunk) => {
      // Answers to pings are in front.
      this.text = (this.text + chunk.toString()).replace(/^(?:\r\n)+/, '');
      for (let end = this.text.indexOf('\r\n\r\n'); end >= 0; end = this.text.indexOf('\r\n\r\n')) {
        const found = new Answer(this.text.slice(0, end + 4));
        const length = end + 4 + Number(found.get('content-length'));
        if (Number.isNaN(length)) return;
        if (this.text.length < length) return;
        this.messages.push(found);
        this.text = this.text.slice(length);
      }
    });
  }

  static async open(port: number): Promise<StreamPeer> {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    return new StreamPeer(socket);
  }

  final(which: (message: Answer) => boolean = () => true): Promise<Answer> {
    return until(
      'a final answer',
      () => this.messages.find((message) => message.status >= 200 && which(message)),
      3000,
      5,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy();
    if (!this.closed) await once(this.socket, 'close');
  }
}
