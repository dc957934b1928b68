import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { moves, type Binding } from '../../../signaling/register/mod.ts';
import { Desk, SOURCE } from './desk.ts';

const phone = (port: number, over: Partial<Binding> = {}): Binding => ({
  key: `k${port}`,
  contact: `sip:x@${port}.invalid`,
  instance: undefined,
  callId: 'c',
  cseq: 1,
  expiresAt: 1,
  source: { protocol: 'wss', address: '192.0.2.1', port },
  userAgent: '',
  profile: 'jssip',
  ...over,
});
const nobody = () => false;

describe('softphone-facts: moving clients to another node', () => {
  it('2: connections are ended a few at a time, never all at once', () => {
    const order = moves(
      Array.from({ length: 5000 }, (_, n) => phone(n + 1)),
      nobody,
      27_000,
    );
    const bySecond = new Map<number, number>();
    for (const { afterMs } of order) {
      const second = Math.floor(afterMs / 1000);
      bySecond.set(second, (bySecond.get(second) ?? 0) + 1);
    }
    assert.equal(order.length, 5000);
    assert.equal(bySecond.size, 27);
    assert.ok(Math.max(...bySecond.values()) <= 186);
    // A few do not wait for nothing.
    assert.ok((moves([phone(1), phone(2), phone(3)], nobody, 27_000).at(-1)?.afterMs ?? Infinity) < 30);
    assert.deepEqual(moves([], nobody, 27_000), []);
  });

  it('1: by the end of the connection only who comes back after it, each once, and nobody in a call', () => {
    const udp = { protocol: 'udp', address: '192.0.2.1', port: 9 };
    const all = [
      phone(1),
      phone(1, { key: 'the other account' }),
      phone(2, { profile: 'sipjs' }),
      phone(3, { profile: 'baresip' }),
      phone(4, { profile: undefined }),
      phone(5, { asleep: true }),
      phone(6),
      phone(7, { source: udp }),
    ];
    assert.deepEqual(
      moves(all, ({ port }) => port === 6, 1000).map(({ source }) => source.port),
      [1, 2],
    );
  });

  it('1: whoever obeys a 503 gets one from a node that is about to stop, and a browser does not', () => {
    const desk = new Desk({ guard: { draining: () => true } });
    const ask = (userAgent: string, method?: string) =>
      desk.guard.challenge(desk.request({ headers: { 'User-Agent': userAgent } }, method), SOURCE, desk.now);
    assert.deepEqual([ask('baresip v1.0.0')?.status, ask('baresip v1.0.0')?.reason], [503, 'Draining']);
    assert.equal(ask('JsSIP 3.13.8')?.status, 401);
    assert.equal(ask('baresip v1.0.0', 'MESSAGE')?.status, 407);
  });
});
