import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'mocha';
import { Message } from '../../../signaling/engine/message/mod.ts';
import { TransactionLayer, type Transaction, type TransactionUser } from '../../../signaling/engine/transaction/mod.ts';
import type { Flow } from '../../../signaling/engine/io/mod.ts';

function flow(reliable: boolean): Flow {
  const at = { address: '192.0.2.1', port: 5060 };
  const protocol = reliable ? 'tcp' : 'udp';
  return {
    id: 'f',
    protocol,
    reliable,
    listener: { protocol, bound: at, external: at },
    local: at,
    remote: at,
    closed: false,
  };
}

function request(method: string, branch = 'z9hG4bK1'): Message {
  return Message.request(method, 'sip:bob@192.0.2.2', [
    { name: 'Via', value: `SIP/2.0/UDP 192.0.2.1;branch=${branch}` },
    { name: 'From', value: '<sip:a@x>;tag=1' },
    { name: 'To', value: '<sip:b@x>' },
    { name: 'Call-ID', value: 'c' },
    { name: 'CSeq', value: `1 ${method}` },
  ]);
}

function response(to: Message, status: number): Message {
  const message = Message.response(status);
  for (const name of ['Via', 'From', 'Call-ID', 'CSeq']) message.append(name, to.get(name) ?? '');
  message.append('To', '<sip:b@x>;tag=2');
  return message;
}

/** A user who does nothing. */
const silent: TransactionUser = {
  transmit: () => undefined,
  request: () => undefined,
  ack: () => undefined,
  cancel: () => undefined,
  response: () => undefined,
  strayResponse: () => undefined,
  failed: () => undefined,
  overloaded: () => undefined,
  orphaned: () => undefined,
  ended: () => undefined,
};

describe('transactions (RFC 3261 §17)', () => {
  let layer: TransactionLayer;
  let sent: { at: number; text: string }[];
  let passed: string[];
  let now: number;

  beforeEach(() => {
    sent = [];
    passed = [];
    now = 0;
    layer = new TransactionLayer(
      {
        transmit: (_flow, bytes) => sent.push({ at: now, text: Buffer.from(bytes).toString().split('\r\n')[0] ?? '' }),
        request: (transaction) => passed.push(`request ${transaction.method}`),
        ack: () => passed.push('ack'),
        cancel: (_cancel, invite) => passed.push(`cancel ${invite?.method}`),
        response: (_transaction, message) => passed.push(String(message.status)),
        strayResponse: () => passed.push('stray'),
        failed: (_transaction: Transaction, why) => passed.push(why),
        overloaded: () => passed.push('overloaded'),
        orphaned: () => undefined,
        ended: () => undefined,
      },
      10,
    );
  });

  function advance(to: number): void {
    while (layer.timers.nextAt !== undefined && layer.timers.nextAt <= to) {
      now = layer.timers.nextAt;
      layer.timers.advance(now);
    }
    now = to;
  }

  it('repeats an INVITE over UDP at T1, doubling, and gives up after 32 s', () => {
    layer.send(request('INVITE'), flow(false), 'z9hG4bK1', 0);
    advance(40_000);
    assert.deepEqual(
      sent.map(({ at }) => at),
      [0, 500, 1500, 3500, 7500, 15_500, 31_500],
    );
    assert.deepEqual(passed, ['timeout']);
    assert.equal(layer.size, 0);
  });

  it('repeats another request with at most 4 s between (timer E)', () => {
    layer.send(request('OPTIONS'), flow(false), 'z9hG4bK1', 0);
    advance(40_000);
    assert.deepEqual(sent.map(({ at }) => at).slice(0, 6), [0, 500, 1500, 3500, 7500, 11_500]);
    assert.deepEqual(passed, ['timeout']);
  });

  it('does not repeat over a reliable transport', () => {
    layer.send(request('INVITE'), flow(true), 'z9hG4bK1', 0);
    advance(31_000);
    assert.equal(sent.length, 1);
  });

  it('acknowledges a refusal, again when it comes again, and tells it once', () => {
    const invite = request('INVITE');
    layer.send(invite, flow(false), 'z9hG4bK1', 0);
    layer.receive(response(invite, 486), flow(false), 10);
    layer.receive(response(invite, 486), flow(false), 600);
    assert.deepEqual(passed, ['486']);
    assert.deepEqual(
      sent.slice(1).map(({ text }) => text),
      ['ACK sip:bob@192.0.2.2 SIP/2.0', 'ACK sip:bob@192.0.2.2 SIP/2.0'],
    );
    advance(40_000);
    assert.equal(layer.size, 0);
    assert.equal(layer.timers.size, 0);
  });

  it('passes every 2xx up and keeps the transaction for 32 s (RFC 6026)', () => {
    const invite = request('INVITE');
    layer.send(invite, flow(false), 'z9hG4bK1', 0);
    layer.receive(response(invite, 200), flow(false), 10);
    layer.receive(response(invite, 200), flow(false), 500);
    assert.deepEqual(passed, ['200', '200']);
    advance(33_000);
    layer.receive(response(invite, 200), flow(false), 33_000);
    assert.equal(passed.at(-1), 'stray');
  });

  it('answers a repeated request with the last answer, and the user sees it once', () => {
    const invite = request('INVITE');
    layer.receive(invite, flow(false), 0);
    assert.deepEqual(passed, ['request INVITE']);
    const transaction = { current: undefined as Transaction | undefined };
    layer = new TransactionLayer(
      {
        transmit: () => sent.push({ at: now, text: '' }),
        request: (begun) => (transaction.current = begun),
        ack: () => undefined,
        cancel: () => undefined,
        response: () => undefined,
        strayResponse: () => undefined,
        failed: (_failed, why) => passed.push(why),
        overloaded: () => undefined,
        orphaned: () => undefined,
        ended: () => undefined,
      },
      10,
    );
    layer.receive(invite, flow(false), 0);
    layer.respond(transaction.current as Transaction, response(invite, 486), 1);
    layer.receive(invite, flow(false), 100);
    assert.equal(sent.length, 2);
    // No ACK: timer G repeats, timer H gives up.
    advance(40_000);
    assert.ok(sent.length > 8);
    assert.equal(passed.at(-1), 'timeout');
    assert.equal(layer.size, 0);
  });

  it('finds the INVITE of a CANCEL by branch', () => {
    layer.receive(request('INVITE'), flow(false), 0);
    layer.receive(request('CANCEL'), flow(false), 1);
    assert.deepEqual(passed, ['request INVITE', 'cancel INVITE']);
  });

  it('is bounded', () => {
    for (let i = 0; i < 12; i++) layer.receive(request('OPTIONS', `z9hG4bK${i}`), flow(false), 0);
    assert.equal(passed.filter((text) => text === 'overloaded').length, 2);
  });

  /** The same request by another way: another branch, and another R-URI. */
  function again(branch: string): Message {
    const other = request('MESSAGE', branch);
    other.uri = 'sip:bob@192.0.2.9';
    return other;
  }

  it('know a request that has come by another way (§8.2.2.2)', () => {
    layer.receive(request('MESSAGE'), flow(false), now);
    assert.equal(layer.merges(again('z9hG4bK2')), true);
    const next = again('z9hG4bK2');
    next.set('CSeq', '2 MESSAGE');
    const inside = again('z9hG4bK2');
    inside.set('To', '<sip:b@x>;tag=2');
    const stranger = again('z9hG4bK2');
    stranger.set('From', '<sip:a@x>;tag=3');
    assert.deepEqual(
      [next, inside, stranger].map((message) => layer.merges(message)),
      [false, false, false],
    );
  });

  it('let a request come again that was refused, or has gone', () => {
    const transactions: Transaction[] = [];
    layer = new TransactionLayer({ ...silent, request: (transaction) => void transactions.push(transaction) }, 10);
    for (const status of [401, 200]) {
      const first = request('MESSAGE', `z9hG4bK${status}`);
      layer.receive(first, flow(false), now);
      assert.equal(layer.merges(again('z9hG4bKb')), true);
      layer.respond(transactions.at(-1) as Transaction, response(first, status), now);
      assert.equal(layer.merges(again('z9hG4bKb')), status === 200);
    }
    advance(40_000);
    assert.deepEqual([layer.merges(again('z9hG4bKb')), layer.size], [false, 0]);
  });

  it('hold no request that is answered, but its answer', () => {
    const held: Transaction[] = [];
    layer = new TransactionLayer({ ...silent, request: (transaction) => void held.push(transaction) }, 10);
    for (const method of ['REGISTER', 'INVITE']) {
      const one = request(method, `z9hG4bK${method}`);
      layer.receive(one, flow(false), now);
      layer.respond(held.at(-1) as Transaction, response(one, 200), now);
    }
    assert.deepEqual(
      held.map((transaction) => [transaction.request.get('call-id'), (transaction.last?.length ?? 0) > 0]),
      [
        [undefined, true],
        ['c', true],
      ],
    );
  });

  it('take a spiral for what it is: the request has been through us', () => {
    layer.receive(request('MESSAGE'), flow(false), now);
    layer.send(request('MESSAGE', 'z9hG4bKours'), flow(false), 'z9hG4bKours', now);
    const spiral = again('z9hG4bKtheirs');
    spiral.headers.splice(1, 0, { name: 'Via', value: 'SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKours' });
    assert.equal(layer.merges(spiral), false);
  });
});
