// budget: 60 s, beside others
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, describe, it } from 'mocha';
import { WebSocket } from 'ws';
import type { CommandResult } from '../../../media/ng/mod.ts';
import { bencodeBytes } from '../../../vocabulary/mod.ts';
import { mutate, random } from '../../support/mutate.ts';
import { ANSWER, OFFER, realService, serve, soon } from './node.ts';

const SEED = 20_261_121;
const UDP = 17_970;
const TCP = 17_971;
const HTTP = 17_972;
const COUNT = 4000;

describe('ng under 16,000 mutated messages', function () {
  this.timeout(60_000);
  const pick = random(SEED);
  let node: ReturnType<typeof realService>;
  let results: CommandResult[];
  const closing: (() => unknown)[] = [];
  let serial = 0;

  before(async () => {
    results = [];
    node = realService(18_900, { onResult: (result) => results.push(result) });
    closing.push(...(await serve(node, { udp: UDP, tcp: TCP, http: HTTP })).closing);
  });

  after(async () => {
    for (const close of closing.toReversed()) await close();
  });

  const MESSAGES: readonly Record<string, string | number | readonly string[]>[] = [
    { command: 'offer', sdp: OFFER, label: 'a', flags: ['trust-address'], ICE: 'force', 'rtcp-mux': ['offer'] },
    { command: 'answer', 'to-tag': 't', sdp: ANSWER },
    { command: 'query' },
    { command: 'delete', 'delete-delay': 0 },
    { command: 'list', limit: 5 },
    { command: 'statistics' },
    { command: 'play DTMF', code: '5' },
    { command: 'subscribe events', events: ['onDTMF'] },
    { command: 'subscribe request', 'from-tags': ['f'] },
  ];

  function payload(): Buffer {
    const message = { ...MESSAGES[pick(MESSAGES.length)], 'call-id': `c${pick(5)}`, 'from-tag': 'f' };
    return pick(2) === 0 ? bencodeBytes(message) : Buffer.from(JSON.stringify(message));
  }

  function garbage(): Buffer {
    return mutate(Buffer.concat([Buffer.from(`k${serial++} `), payload()]), pick);
  }

  /** Whatever came before: the node answers, and no command has met an error that nobody thought of. */
  async function assertUnharmed(): Promise<void> {
    const response = await fetch(`http://127.0.0.1:${HTTP}/ng-plain`, { method: 'POST', body: '{"command":"ping"}' });
    assert.equal(await response.text(), '{"result":"pong"}');
    const internal = results.filter(({ reply }) => String(reply['error-reason']).startsWith('Internal'));
    assert.deepEqual(internal.slice(0, 3), []);
    results.length = 0;
  }

  it('over UDP', async () => {
    const socket = createSocket('udp4');
    for (let n = 0; n < COUNT; n++) {
      socket.send(garbage(), UDP, '127.0.0.1');
      if (n % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await soon(() => results.length > COUNT / 4);
    socket.close();
    await assertUnharmed();
  });

  it('over TCP, cut and glued as it comes', async () => {
    for (let connection = 0; connection < COUNT / 20; connection++) {
      const stream = connect(TCP, '127.0.0.1');
      stream.on('error', () => undefined);
      const closed = new Promise((resolve) => stream.once('close', resolve));
      const bytes = Buffer.concat(Array.from({ length: 20 }, garbage));
      for (let at = 0; at < bytes.length;) {
        const size = 1 + pick(2000);
        stream.write(bytes.subarray(at, at + size));
        at += size;
      }
      stream.end();
      stream.resume();
      await closed;
    }
    await assertUnharmed();
  });

  it('over HTTP', async () => {
    for (let n = 0; n < COUNT; n += 20) {
      await Promise.all(
        Array.from({ length: 20 }, async () => {
          const path = pick(2) === 0 ? 'ng' : 'ng-plain';
          const body = new Uint8Array(garbage());
          const response = await fetch(`http://127.0.0.1:${HTTP}/${path}`, { method: 'POST', body });
          await response.arrayBuffer();
          assert.ok(response.status < 500, String(response.status));
        }),
      );
    }
    await assertUnharmed();
  });

  it('over WebSocket', async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${HTTP}`, 'ng.rtpengine.com');
    let replies = 0;
    socket.on('message', () => void replies++);
    await once(socket, 'open');
    for (let n = 0; n < COUNT; n++) socket.send(garbage());
    await soon(() => replies > COUNT / 4);
    const closed = once(socket, 'close');
    socket.close();
    await closed;
    await assertUnharmed();
  });

  it('and nothing is left when its calls are gone', async () => {
    for (const { callId } of node.manager.all()) node.manager.release(node.manager.remove(callId, {}) ?? assert.fail());
    for (let n = 0; n < 20; n++) node.service.tick();
    assert.equal(node.service.calls.size, 0);
    assert.equal(node.service.calls.ends, 0);
    assert.equal(node.service.subscriptions.size, 0);
    await soon(() => node.plane.totals().portsInUse === 0);
  });
});
