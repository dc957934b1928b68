import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { Registry } from 'prom-client';
import { createService } from '../../pop-registry/mod.ts';

const SIGNALING = { role: 'signaling', pop: 'p', capacity: 100, load: 0, uri: 'wss://s1', sip: 'sip:192.0.2.1' };
const MEDIA = { role: 'media', pop: 'p', capacity: 100, load: 0, control: 'udp:m1:2223', probe: 'stun:m1:1' };

describe('the registry service', () => {
  let now: number;
  let app: ReturnType<typeof createService>;

  beforeEach(() => {
    now = 1_800_000_000_000;
    app = createService({ downAfterSeconds: 3, now: () => now, uuid: () => 'id', register: new Registry() });
  });

  afterEach(() => app.close());

  async function ask(method: 'GET' | 'PUT' | 'POST' | 'DELETE', url: string, payload?: object) {
    const answer = await app.inject({ method, url, ...(payload ? { payload } : {}) });
    return {
      status: answer.statusCode,
      body: answer.body === '' ? undefined : (answer.json() as Record<string, unknown>),
    };
  }

  it('answers discovery with the nodes that beat, and with a problem when none does', async () => {
    const none = await ask('GET', '/v1/discovery?client=alice');
    assert.equal(none.status, 503);
    assert.equal(none.body?.['detail'], 'no signaling node is up');
    assert.equal((await ask('PUT', '/v1/nodes/s1', SIGNALING)).status, 201);
    assert.equal((await ask('PUT', '/v1/nodes/s1', SIGNALING)).status, 204);
    const found = await ask('GET', '/v1/discovery?client=alice');
    assert.deepEqual(found.body?.['signaling'], [{ pop: 'p', node: 's1', uri: 'wss://s1', weight: 100 }]);
    now += 3001;
    assert.equal((await ask('GET', '/v1/discovery?client=alice')).status, 503);
  });

  it('places calls, avoids what failed, and counts what it has placed', async () => {
    await ask('PUT', '/v1/nodes/m1', MEDIA);
    await ask('PUT', '/v1/nodes/m2', { ...MEDIA, control: 'udp:m2:2223' });
    const place = async (avoid: string[] = []) => {
      const { body } = await ask('POST', '/v1/placements', { callId: 'c', tenant: 't', clients: [], avoid });
      return (body as { media: { node: string } }).media.node;
    };
    assert.deepEqual([await place(), await place()], ['m1', 'm2']);
    assert.equal(await place(['m1']), 'm2');
    assert.equal((await ask('DELETE', '/v1/nodes/m1')).status, 204);
    assert.equal(await place(), 'm2');
  });

  it('knows which live nodes hold a user', async () => {
    await ask('PUT', '/v1/nodes/s1', SIGNALING);
    const change = { tenant: 't', aor: 'alice', expiresAt: now + 60_000, kinds: ['webrtc'] };
    assert.equal((await ask('POST', '/v1/locations', { node: 's1', changes: [change] })).status, 204);
    const held = await ask('GET', '/v1/locations/t/alice');
    assert.deepEqual(held.body, { locations: [{ node: 's1', sip: 'sip:192.0.2.1', kinds: ['webrtc'] }] });
    await ask('POST', '/v1/locations', { node: 's1', changes: [{ ...change, expiresAt: 0 }] });
    assert.deepEqual((await ask('GET', '/v1/locations/t/alice')).body, { locations: [] });
  });

  it('says when it has only just started, so that its ignorance is not taken for a refusal', async () => {
    const placement = {
      method: 'POST',
      url: '/v1/placements',
      payload: { callId: 'c', tenant: 't', clients: [] },
    } as const;
    const early = await app.inject(placement);
    assert.equal(early.statusCode, 503);
    assert.equal(early.headers['retry-after'], '1');
    now += 3000;
    assert.equal((await app.inject(placement)).headers['retry-after'], undefined);
  });

  it('forgets a location in time, whatever time it was given', async () => {
    await ask('PUT', '/v1/nodes/s1', SIGNALING);
    const change = { tenant: 't', aor: 'alice', expiresAt: 1e300, kinds: ['plain'] };
    await ask('POST', '/v1/locations', { node: 's1', changes: [change] });
    now += 86_400_000;
    await ask('PUT', '/v1/nodes/s1', SIGNALING);
    assert.deepEqual((await ask('GET', '/v1/locations/t/alice')).body, { locations: [] });
  });

  it('counts nodes by what they do', async () => {
    await ask('PUT', '/v1/nodes/m1', MEDIA);
    await ask('PUT', '/v1/nodes/m2', { ...MEDIA, draining: true });
    const { body } = await app.inject({ method: 'GET', url: '/metrics' });
    assert.match(body, /causeway_registry_nodes\{role="media",state="up"\} 1/);
    assert.match(body, /causeway_registry_nodes\{role="media",state="draining"\} 1/);
  });

  for (const [what, method, url, payload, detail] of [
    ['a heartbeat without a role', 'PUT', '/v1/nodes/x', { pop: 'p', capacity: 1, load: 0 }, /role/],
    ['discovery without a client', 'GET', '/v1/discovery', undefined, /client/],
    ['a placement of no call', 'POST', '/v1/placements', { tenant: 't', clients: [] }, /callId/],
  ] as const) {
    it(`refuses ${what} with a problem document`, async () => {
      const { status, body } = await ask(method, url, payload);
      assert.equal(status, 400);
      assert.match(String(body?.['detail']), detail);
    });
  }
});
