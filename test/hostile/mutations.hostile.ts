// budget: 75 s, beside others
import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { after, before, describe, it } from 'mocha';
import { WebSocket } from 'ws';
import { Softphone } from '../support/browser.ts';
import { totalOver } from '../support/metrics.ts';
import { mutate, random } from '../support/mutate.ts';
import { ACCOUNTS, Pop } from '../support/pop.ts';
import { until } from '../support/until.ts';
import { bencodeBytes, decodeBencode, encodeBencode } from '../../vocabulary/mod.ts';

const SEED = 20_261_121;
const COUNT = 10_000;
const [ALICE] = ACCOUNTS;

describe('10,000 mutated SIP messages and 10,000 mutated media packets during a call', function () {
  this.timeout(150_000);
  let pop: Pop;
  let alice: Softphone;
  let pids: number[];

  before(async () => {
    pop = await Pop.start({ base: 13_400, mediaBase: 28_400, gateway: 'simulator' });
    alice = await Softphone.open(pop.origin(0), 880);
    await alice.signIn(ALICE.user, ALICE.password);
    await alice.dial('605');
    await alice.callState('talking');
    pids = roles();
  });

  after(async () => {
    await alice?.[Symbol.asyncDispose]();
    await pop?.[Symbol.asyncDispose]();
  });

  function roles(): number[] {
    return ['registry', 'media-1', 'media-2', 'signaling-1', 'signaling-2'].map((id) => pop.pid(id));
  }

  function residentMegabytes(): number {
    const pages = roles().map((pid) => Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]));
    return pages.reduce((sum, count) => sum + count * 4096, 0) / 1e6;
  }

  async function assertUnharmed(): Promise<void> {
    assert.deepEqual(roles(), pids, 'a role was started anew');
    await alice.callState('talking');
    const early = await alice.stats();
    const decibels = await alice.tone(880);
    assert.ok(decibels > 20, `${decibels.toFixed(1)} dB`);
    const late = await alice.stats();
    assert.ok(late.packetsReceived - early.packetsReceived > 35);
  }

  it('SIP over UDP, TCP and WSS', async () => {
    const pick = random(SEED);
    const node = pop.ports.signaling[0];
    assert.ok(node);
    const malformedBefore = await totalOver(pop.metrics('signaling'), 'causeway_sip_malformed_total');
    const socket = createSocket('udp4');
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    const at = socket.address().port;
    for (let i = 0; i < COUNT * 0.7; i++) {
      socket.send(mutate(sip(pick, i, 'UDP', at), pick), node.sip, '127.0.0.1');
      if (i % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    }
    for (let connection = 0; connection < 60; connection++) {
      const stream = connect(node.sip, '127.0.0.1');
      stream.on('error', () => undefined);
      await once(stream, 'connect');
      for (let i = 0; i < 25; i++) stream.write(mutate(sip(pick, connection * 100 + i, 'TCP', at), pick));
      stream.end();
      stream.resume();
      await closed(stream);
      stream.destroy();
    }
    for (let connection = 0; connection < 60; connection++) {
      const ws = new WebSocket(`wss://127.0.0.1:${node.https}`, 'sip', { rejectUnauthorized: false });
      ws.on('error', () => undefined);
      await once(ws, 'open');
      for (let i = 0; i < 25; i++)
        if (ws.readyState === ws.OPEN) ws.send(mutate(sip(pick, connection * 100 + i, 'WSS', at), pick));
      ws.close();
      await closed(ws);
      ws.terminate();
    }
    socket.close();
    await until('the malformed ones are counted', async () => {
      return (await totalOver(pop.metrics('signaling'), 'causeway_sip_malformed_total')) > malformedBefore + 500;
    });
    assert.ok(
      !pop.log.includes('a message could not be handled'),
      pop.log.slice(pop.log.indexOf('a message could not be handled') - 1500).slice(0, 3000),
    );
    await assertUnharmed();
  });

  it('RTP, RTCP, STUN, DTLS and ng', async () => {
    const pick = random(SEED + 1);
    const socket = createSocket('udp4');
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    const ports: number[] = [];
    for (const media of pop.ports.media) {
      ports.push(media.webrtc);
      for (const port of await portsInUse(socket, media.ng)) ports.push(port, port + 1);
    }
    assert.ok(ports.length > 3, 'the ports of the call are known');
    const megabytes = residentMegabytes();
    const bases = [rtp(), rtcp(), stun(), clientHello()];
    for (let i = 0; i < COUNT; i++) {
      const base = bases[pick(bases.length)] as Buffer;
      socket.send(mutate(base, pick), ports[pick(ports.length)] as number, '127.0.0.1');
      if (i % 10 === 0) {
        const ng = Buffer.from(
          `c${i} ${encodeBencode({ command: 'offer', 'call-id': `h${i}`, 'from-tag': 'a', sdp: SDP })}`,
        );
        socket.send(mutate(ng, pick), pop.ports.media[0]?.ng as number, '127.0.0.1');
      }
      if (i % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await assertUnharmed();
    socket.close();
    const growth = residentMegabytes() - megabytes;
    assert.ok(growth < 60, `the roles have grown by ${growth.toFixed(0)} MB`);
    const dropped = await totalOver(pop.metrics('media'), 'causeway_media_dropped_total');
    assert.ok(dropped > 1000, `${dropped} packets dropped`);
  });

  it('leaves nothing behind when the call has ended', async () => {
    await alice.page.click('#hang-up');
    await alice.callState('ended');
    await until('no call', async () => (await totalOver(pop.metrics('signaling'), 'causeway_calls')) === 0);
    // A mutated offer that was still one opens a session, which ends by itself: it is deleted here as its owner would.
    const socket = createSocket('udp4');
    for (const { ng } of pop.ports.media) {
      for (const id of await list(socket, ng))
        await ask(socket, ng, { command: 'delete', 'call-id': id, 'delete-delay': 0 });
    }
    socket.close();
    for (const name of ['sessions', 'endpoints', 'ports_in_use', 'native_bytes']) {
      await until(`${name} is 0`, async () => (await totalOver(pop.metrics('media'), `causeway_media_${name}`)) === 0);
    }
    await until(
      'no dialog',
      async () => (await totalOver(pop.metrics('signaling'), 'causeway_sip_dialogs')) === 0,
      45_000,
      500,
    );
    assert.deepEqual(roles(), pids);
  });
});

/** Closed by whichever side, in whatever way; or still open after a while. */
function closed(socket: { once(event: 'close', listener: () => void): unknown }): Promise<void> {
  return new Promise((resolve) => {
    socket.once('close', () => resolve());
    setTimeout(resolve, 300);
  });
}

const SDP = [
  'v=0',
  'o=x 1 1 IN IP4 127.0.0.1',
  's=-',
  'c=IN IP4 127.0.0.1',
  't=0 0',
  'm=audio 40000 RTP/AVP 0 101',
  'a=rtpmap:0 PCMU/8000',
  'a=rtpmap:101 telephone-event/8000',
  '',
].join('\r\n');

function sip(pick: (below: number) => number, number: number, via: string, port: number): Buffer {
  const method = ['REGISTER', 'INVITE', 'OPTIONS', 'BYE', 'ACK', 'CANCEL', 'SUBSCRIBE', 'NOTIFY'][pick(8)] as string;
  const body = method === 'INVITE' ? SDP : '';
  const start = pick(10) === 0 ? 'SIP/2.0 200 OK' : `${method} sip:alice@causeway.local SIP/2.0`;
  return Buffer.from(
    [
      start,
      `Via: SIP/2.0/${via} 127.0.0.1:${port};branch=z9hG4bK${number}x${pick(1 << 30)};rport`,
      'Max-Forwards: 70',
      `From: "Hostile" <sip:mallory@causeway.local>;tag=${number}`,
      `To: <sip:alice@causeway.local>${pick(3) === 0 ? ';tag=x' : ''}`,
      `Call-ID: hostile-${number}`,
      `CSeq: ${1 + pick(5)} ${method}`,
      `Contact: <sip:mallory@127.0.0.1:${port}>;expires=60`,
      'Authorization: Digest username="alice", realm="causeway.local", nonce="AAAA", uri="sip:causeway.local", response="0", qop=auth, nc=00000001, cnonce="c"',
      'Content-Type: application/sdp',
      `Content-Length: ${body.length}`,
      '',
      body,
    ].join('\r\n'),
  );
}

function rtp(): Buffer {
  return Buffer.concat([Buffer.from('80000001000000000000000100', 'hex'), Buffer.alloc(160, 0x55)]);
}

function rtcp(): Buffer {
  return Buffer.from('80c80006000000010102030405060708000000a0000000010000001081ca0002000000010101610000', 'hex');
}

function stun(): Buffer {
  return Buffer.from(
    '000100182112a4420102030405060708090a0b0c0006000961626364656665663a000000002500008028000400000000',
    'hex',
  );
}

function clientHello(): Buffer {
  return Buffer.from(
    '16feff000000000000000000360100002a000000000000002afefd' + '00'.repeat(32) + '00000002c02b0100',
    'hex',
  );
}

async function ask(
  socket: Socket,
  port: number,
  command: Record<string, string | number>,
): Promise<Record<string, unknown>> {
  const cookie = Math.random().toString(36).slice(2);
  const answer = new Promise<Buffer>((resolve) => {
    const listener = (bytes: Buffer) => {
      if (!bytes.toString('latin1').startsWith(`${cookie} `)) return;
      socket.off('message', listener);
      resolve(bytes);
    };
    socket.on('message', listener);
  });
  socket.send(Buffer.concat([Buffer.from(`${cookie} `), bencodeBytes(command)]), port, '127.0.0.1');
  return decodeBencode((await answer).subarray(cookie.length + 1)) as Record<string, unknown>;
}

async function list(socket: Socket, port: number): Promise<string[]> {
  return (await ask(socket, port, { command: 'list', limit: 1000 }))['calls'] as string[];
}

/** The RTP ports of every call, as `query` tells them. */
async function portsInUse(socket: Socket, port: number): Promise<number[]> {
  const found: number[] = [];
  for (const id of await list(socket, port)) {
    const reply = JSON.stringify(await ask(socket, port, { command: 'query', 'call-id': id }));
    for (const match of reply.matchAll(/"local port":(\d+)/g)) found.push(Number(match[1]));
  }
  return found;
}
