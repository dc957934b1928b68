// budget: 20 s, beside others
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { createService } from '../../pop-registry/mod.ts';
import { RegistryClient } from '../../roles/registry-client.ts';
import { RegistryError } from '../../signaling/registry-port.ts';
import { until } from '../support/until.ts';

const PORT = 17_660;
const MEDIA = { role: 'media', pop: 'p', capacity: 10, load: 0 };
const CALL = { callId: 'c', tenant: 'default', clients: [] };

describe('the registry as a signaling node sees it', () => {
  let skewMs: number;
  let service: ReturnType<typeof createService> | undefined;
  let client: RegistryClient;
  let published: number;

  async function startService(): Promise<void> {
    const now = () => Date.now() + skewMs;
    service = createService({ downAfterSeconds: 3, now, uuid: randomUUID, register: new Registry() });
    await service.listen({ host: '127.0.0.1', port: PORT });
  }

  async function put(id: string, body: object): Promise<void> {
    const answer = await service?.inject({ method: 'PUT', url: `/v1/nodes/${id}`, payload: body });
    assert.ok(answer && answer.statusCode < 300, answer?.body);
  }

  async function nodes(): Promise<readonly { readonly id: string }[]> {
    const answer = await service?.inject({ method: 'GET', url: '/v1/nodes' });
    return answer?.json<{ nodes: { id: string }[] }>().nodes ?? [];
  }

  beforeEach(async () => {
    skewMs = 0;
    published = 0;
    client = new RegistryClient({
      url: `http://127.0.0.1:${PORT}/`,
      id: 's1',
      log: pino({ level: 'silent' }),
      body: () => ({ role: 'signaling', pop: 'p', capacity: 1, load: 0, uri: 'wss://s1', sip: 'sip:192.0.2.1' }),
      publishAll: () => void published++,
      maxChanges: 2,
    });
    await startService();
  });

  afterEach(async () => {
    await client.leave();
    await service?.close();
  });

  it('is not told of a node that does not serve yet, and forgets it when it leaves', async () => {
    await client.discover('a').catch(() => undefined);
    assert.deepEqual(await nodes(), []);
    await client.heartbeat();
    assert.deepEqual(
      (await nodes()).map(({ id }) => id),
      ['s1'],
    );
    assert.equal(published, 1, 'a registry that did not know the node is told all locations');
    assert.equal((await client.discover('a')).signaling[0]?.uri, 'wss://s1');
    await client.leave();
    assert.deepEqual(await nodes(), []);
  });

  it('places a call on a node known from before while it is away, but never on one to avoid', async () => {
    await put('m1', { ...MEDIA, control: 'udp:m1:1' });
    await put('m2', { ...MEDIA, control: 'udp:m2:1', load: 1 });
    assert.equal((await client.placeMedia(CALL)).media.node, 'm1');
    assert.equal((await client.placeMedia({ ...CALL, avoid: ['m1'] })).media.node, 'm2');
    await service?.close();
    service = undefined;
    assert.equal((await client.placeMedia({ ...CALL, avoid: ['m1'] })).media.control, 'udp:m2:1');
    await assert.rejects(client.placeMedia({ ...CALL, avoid: ['m1', 'm2'] }), { name: 'RegistryError', status: 0 });
  });

  it('does without one that has just started and heard of nobody; later its refusal counts', async () => {
    await put('m1', { ...MEDIA, control: 'udp:m1:1' });
    await client.placeMedia(CALL);
    await service?.close();
    await startService();
    assert.equal((await client.placeMedia(CALL)).media.node, 'm1');
    skewMs = 4000;
    await assert.rejects(client.placeMedia(CALL), (error) => error instanceof RegistryError && error.status === 503);
  });

  it('publishes locations when it is back, and all of them anew when too many had to wait', async () => {
    await client.heartbeat();
    assert.equal(published, 1);
    await service?.close();
    const change = (aor: string) => ({
      tenant: 'default',
      aor,
      expiresAt: Date.now() + 60_000,
      kinds: ['plain'] as const,
    });
    await client.publishLocations([change('alice'), change('bob'), change('carol')]);
    assert.equal(client.pending, 2);
    await startService();
    await until('nothing waits any more', () => client.pending === 0);
    await put('s2', { role: 'signaling', pop: 'p', capacity: 1, load: 0, sip: 'sip:192.0.2.2' });
    await until('all come anew', () => published >= 2);
    const held = await service?.inject({ method: 'GET', url: '/v1/locations/default/bob' });
    assert.equal(held?.statusCode, 200);
    // What a node itself holds it knows best.
    assert.deepEqual(await client.locate('default', 'bob'), []);
  });
});
