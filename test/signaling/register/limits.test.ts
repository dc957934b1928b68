import assert from 'node:assert/strict';
import { BlockList } from 'node:net';
import { describe, it } from 'mocha';
import { Admission, Storm } from '../../../signaling/register/mod.ts';
import { RateTable } from '../../../signaling/register/rate.ts';
import { capacity, retryAfter } from '../../../signaling/register/storm.ts';
import { Desk, NOW, SOURCE } from './desk.ts';

/** mulberry32: the same numbers each time. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const FREE = { perSecond: 1e9, burst: 1e9 };
const limits = (over: object = {}) => ({
  perSource: FREE,
  perAor: FREE,
  failures: FREE,
  exempt: new BlockList(),
  ...over,
});

describe('rates', () => {
  it('allow a burst, then as many as the seconds bring', () => {
    const table = new RateTable({ perSecond: 2, burst: 3 });
    assert.deepEqual(
      [0, 0, 0, 0].map(() => table.take('a', NOW)),
      [0, 0, 0, 1],
    );
    assert.equal(table.take('b', NOW), 0);
    assert.equal(table.take('a', NOW + 500), 0);
    assert.equal(table.take('a', NOW + 500), 1);
    // The bucket is never fuller than a burst.
    assert.deepEqual(
      [0, 0, 0, 0].map(() => table.take('a', NOW + 3_600_000)),
      [0, 0, 0, 1],
    );
  });

  it('are kept in a bounded table', () => {
    const table = new RateTable({ perSecond: 1, burst: 1 }, 10);
    for (let n = 0; n < 100; n++) table.take(`k${n}`, NOW);
    assert.equal(table.size, 10);
  });
});

describe('a storm of registrations', () => {
  it('is sent away for as long as those who wait need, a quarter more, and never for the same second', () => {
    const random = seeded(7);
    const seconds = Array.from({ length: 2000 }, () => retryAfter({ perSecond: 100, waiting: 10_000 }, random()));
    assert.ok(Math.min(...seconds) >= 2 && Math.max(...seconds) <= 127);
    const byTens = new Map<number, number>();
    for (const second of seconds) byTens.set(Math.floor(second / 10), (byTens.get(Math.floor(second / 10)) ?? 0) + 1);
    assert.equal(byTens.size, 13);
    assert.ok(
      [...byTens.values()].every((count) => count < 220),
      'no ten seconds are given to many more than others',
    );
    assert.equal(retryAfter({ perSecond: 1, waiting: 1e9 }, 0.999), 601);
    assert.equal(retryAfter({ perSecond: 0, waiting: 0 }, 0), 2);
  });

  it('shrinks what is let through as the event loop falls behind', () => {
    assert.equal(capacity(1000, 10), 1000);
    assert.equal(capacity(1000, 500), 100);
    assert.equal(capacity(1, 60_000), 1);
  });

  it('at five times the capacity serves at least 80 % of it, those first whom it has challenged', () => {
    // 1000 a second can be served; 5000 clients a second come, each is challenged and then comes with credentials.
    const storm = new Storm(1000, NOW);
    const random = seeded(3);
    const seconds = 10;
    let served = 0;
    let lost = 0;
    let pending: number[] = [];
    for (let ms = 0; ms < seconds * 1000; ms++) {
      const now = NOW + ms;
      for (const at of pending.filter((due) => due <= ms)) {
        assert.ok(at <= ms);
        if (storm.admit(true, now, random()) === 0) served++;
        else lost++;
      }
      pending = pending.filter((due) => due > ms);
      for (let n = 0; n < 5; n++) if (storm.admit(false, now, random()) === 0) pending.push(ms + 20);
    }
    // A registration takes two requests: the challenge, and the answer to it.
    assert.ok(served >= (seconds * 1000 * 0.8) / 2, `${served} served`);
    assert.equal(lost, 0, 'nobody is challenged and then sent away');
    assert.ok(storm.waiting > 10_000);
  });

  it('forgets those who waited as it has had the time to serve them', () => {
    const storm = new Storm(10, NOW);
    for (let n = 0; n < 30; n++) storm.admit(true, NOW, 0);
    assert.equal(storm.waiting, 20);
    storm.admit(true, NOW + 1000, 0);
    assert.equal(storm.waiting, 10);
    storm.admit(true, NOW + 5000, 0);
    assert.equal(storm.waiting, 0);
  });
});

describe('limits of the registrar', () => {
  it('hold a source, be it one address or an IPv6 network, and not its neighbour', () => {
    const admission = new Admission(limits({ perSource: { perSecond: 1, burst: 2 } }), new Storm(1e6, NOW));
    const ask = (address: string) =>
      admission.admit({ source: { ...SOURCE, address }, aor: undefined, credentials: false }, NOW, 0)?.why;
    assert.deepEqual(['192.0.2.1', '192.0.2.1', '192.0.2.1'].map(ask), [undefined, undefined, 'source-rate']);
    assert.equal(ask('192.0.2.2'), undefined);
    const one = ['2001:db8::1', '2001:db8:0:0:5::9', '2001:DB8::ffff:1'].map(ask);
    assert.deepEqual(one, [undefined, undefined, 'source-rate']);
    assert.equal(ask('2001:db8:0:1::1'), undefined);
    assert.equal(admission.counters['source-rate'], 2);
  });

  it('hold a client that registers without end, and let edge proxies be', async () => {
    const exempt = new BlockList();
    exempt.addSubnet('198.51.100.0', 24);
    const admission = new Admission(limits({ perAor: { perSecond: 1, burst: 6 }, exempt }), new Storm(1e6, NOW));
    const desk = new Desk({ guard: { admission } });
    const contact = '<sip:x@192.0.2.7>';
    for (let n = 0; n < 3; n++) assert.equal((await desk.register({ contact })).status, 200);
    const refused = desk.guard.challenge(desk.request({ contact }), SOURCE, NOW);
    assert.deepEqual([refused?.status, refused?.reason], [503, 'Too Many Requests']);
    assert.equal(refused?.headers[0]?.name, 'Retry-After');
    assert.equal(admission.counters['aor-rate'], 1);
    const proxy = { ...SOURCE, address: '198.51.100.1' };
    assert.equal((await desk.register({ contact, source: proxy })).status, 200);
    desk.now += 10_000;
    assert.equal((await desk.register({ contact })).status, 200);
  });

  it('hold who guesses passwords, by source and user, and not who knows its own', async () => {
    const failures = { perSecond: 1 / 60, burst: 3 };
    const desk = new Desk({ guard: { admission: new Admission(limits({ failures }), new Storm(1e6, NOW)) } });
    const wish = { contact: '<sip:x@192.0.2.7>' };
    for (let n = 0; n < 3; n++) assert.equal((await desk.register({ ...wish, password: `guess ${n}` })).status, 401);
    const held = await desk.register(wish);
    assert.deepEqual([held.status, held.reason, held.headers['Retry-After']], [403, 'Too Many Failures', '60']);
    assert.equal((await desk.register({ ...wish, source: { ...SOURCE, address: '192.0.2.99' } })).status, 200);
    desk.now += 61_000;
    assert.equal((await desk.register(wish)).status, 200);
  });

  it('cost no state for who has shown no credentials but an entry of a bounded table', () => {
    const desk = new Desk({ guard: { admission: new Admission(limits(), new Storm(1e6, NOW)) } });
    const before = desk.guard.challenge(desk.request({}), SOURCE, NOW);
    assert.equal(before?.status, 401);
    assert.equal(desk.bindings.size, 0);
  });
});
