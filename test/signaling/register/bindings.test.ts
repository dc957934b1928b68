import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'mocha';
import { Bindings, type Binding } from '../../../signaling/register/mod.ts';

const NOW = 1_800_000_000_000;

function binding(key: string, over: Partial<Binding> = {}): Binding {
  return {
    key,
    contact: `sip:${key}`,
    instance: undefined,
    callId: 'c1',
    cseq: 1,
    expiresAt: NOW + 60_000,
    source: { protocol: 'wss', address: '192.0.2.1', port: 40_000 },
    userAgent: '',
    ...over,
  };
}

describe('bindings', () => {
  let table: Bindings;
  let reported: [string, number][];

  beforeEach(() => {
    reported = [];
    table = new Bindings({ bindings: 3, perAor: 2 }, (tenant, aor, at) => reported.push([`${tenant}/${aor}`, at]));
  });

  it('keeps several contacts of one address of record, each with its own expiry', () => {
    assert.equal(table.bind('t', 'alice', binding('a'), NOW), 'done');
    assert.equal(table.bind('t', 'alice', binding('b', { expiresAt: NOW + 120_000 }), NOW), 'done');
    assert.deepEqual(
      table.of('t', 'alice', NOW + 90_000).map(({ key }) => key),
      ['b'],
    );
    assert.equal(table.sweep(NOW + 90_000), 1);
    assert.equal(table.size, 1);
    assert.deepEqual(reported.at(-1), ['t/alice', NOW + 120_000]);
  });

  it('changes everything that one request asks for, or nothing (RFC 3261 §10.3)', () => {
    table.bind('t', 'alice', binding('a'), NOW);
    const three = { put: [binding('b'), binding('c'), binding('d')], drop: ['a'] };
    assert.equal(table.change('t', 'alice', three, NOW), 'too-many');
    assert.deepEqual(
      table.of('t', 'alice', NOW).map(({ key }) => key),
      ['a'],
    );
    assert.equal(table.change('t', 'alice', { put: [binding('b'), binding('c')], drop: ['a'] }, NOW), 'done');
    assert.equal(table.size, 2);
    assert.equal(table.change('t', 'alice', { put: [], drop: ['b', 'c'] }, NOW), 'done');
    assert.equal(table.size, 0);
    assert.deepEqual(reported.at(-1), ['t/alice', 0]);
  });

  it('lets who has too many refresh and remove what it has, and counts nothing that has expired', () => {
    const old = { expiresAt: NOW + 1000 };
    table.bind('t', 'alice', binding('a', old), NOW);
    table.bind('t', 'alice', binding('b', old), NOW);
    const change = { put: [binding('a')], drop: [] };
    assert.equal(table.change('t', 'alice', change, NOW, 1), 'done');
    assert.equal(table.bind('t', 'alice', binding('c'), NOW + 2000), 'done');
    assert.equal(table.size, 2);
  });

  it('keeps a device that a push can wake when its connection ends, and tells who waits when it is back', () => {
    const push = { provider: 'apns', prid: 'x', param: undefined, wakesItself: false };
    table.bind('t', 'alice', binding('a', { push }), NOW);
    assert.equal(table.flowClosed({ protocol: 'wss', address: '192.0.2.1', port: 40_000 }), 0);
    assert.equal(table.of('t', 'alice', NOW)[0]?.asleep, true);
    const back: Binding[] = [];
    table.onceBound('t', 'alice', 'a', (bound) => back.push(bound));
    const awake = binding('a', { push, source: { protocol: 'wss', address: '192.0.2.1', port: 40_009 } });
    table.bind('t', 'alice', awake, NOW);
    table.bind('t', 'alice', awake, NOW);
    assert.deepEqual(back, [awake]);
    // The end of the old connection is told late: the new one is not touched.
    assert.equal(table.flowClosed({ protocol: 'wss', address: '192.0.2.1', port: 40_000 }), 0);
    assert.equal(table.of('t', 'alice', NOW)[0]?.asleep, undefined);
  });

  it('is bounded for one address of record and as a whole', () => {
    table.bind('t', 'alice', binding('a'), NOW);
    table.bind('t', 'alice', binding('b'), NOW);
    assert.equal(table.bind('t', 'alice', binding('c'), NOW), 'too-many');
    table.bind('t', 'bob', binding('c'), NOW);
    assert.equal(table.bind('t', 'carol', binding('d'), NOW), 'full');
  });

  it('forgets what came over a connection that is gone, and only that', () => {
    table.bind('t', 'alice', binding('a'), NOW);
    table.bind('t', 'bob', binding('b', { source: { protocol: 'wss', address: '192.0.2.1', port: 40_001 } }), NOW);
    assert.equal(table.flowClosed({ protocol: 'wss', address: '192.0.2.1', port: 40_000 }), 1);
    assert.equal(table.of('t', 'alice', NOW).length, 0);
    assert.equal(table.of('t', 'bob', NOW).length, 1);
  });

  it('keeps tenants apart', () => {
    table.bind('t', 'alice', binding('a'), NOW);
    assert.equal(table.of('u', 'alice', NOW).length, 0);
  });
});
