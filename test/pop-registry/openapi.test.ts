import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { Registry } from 'prom-client';
import { parse } from 'yaml';
import { z } from 'zod';
import { createService } from '../../pop-registry/mod.ts';

type Json = Record<string, unknown>;
const description = parse(readFileSync(new URL('../../pop-registry/openapi.yaml', import.meta.url), 'utf8')) as Json & {
  paths: Record<string, Record<string, Json>>;
};

/** References replaced by what they name. */
function resolved(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(resolved);
  if (typeof value !== 'object' || value === null) return value;
  const { $ref } = value as { $ref?: string };
  if ($ref !== undefined) {
    const named = $ref.slice(2).split('/');
    return resolved(named.reduce<unknown>((at, key) => (at as Json)[key], description));
  }
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, resolved(inner)]));
}

/** Keys that the description does not know are wrong too: what is sent is described. */
function closed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(closed);
  if (typeof value !== 'object' || value === null) return value;
  const { allOf, ...rest } = value as { allOf?: Json[]; properties?: Json; required?: string[] };
  if (allOf) {
    const parts = allOf as { properties: Json; required: string[] }[];
    return closed({
      type: 'object',
      properties: Object.assign({}, ...parts.map(({ properties }) => properties)) as Json,
      required: parts.flatMap(({ required }) => required),
    });
  }
  const inner = Object.fromEntries(Object.entries(rest).map(([key, at]) => [key, closed(at)]));
  return 'properties' in inner ? { ...inner, additionalProperties: false } : inner;
}

const SIGNALING = { role: 'signaling', pop: 'p', capacity: 100, load: 0, uri: 'wss://s1', sip: 'sip:192.0.2.1' };
const MEDIA = { role: 'media', pop: 'p', capacity: 1, load: 0, control: 'udp:m1:2223', probe: 'stun:m1:1' };
const CALL = { callId: 'c', tenant: 't', clients: ['192.0.2.7'] };
const CHANGE = { tenant: 't', aor: 'alice', expiresAt: 1_800_000_060_000, kinds: ['webrtc'] };

describe('the registry keeps to its OpenAPI description', () => {
  let app: ReturnType<typeof createService>;
  const seen = new Set<string>();

  beforeEach(() => {
    app = createService({
      downAfterSeconds: 3,
      now: () => 1_800_000_000_000,
      uuid: () => 'id',
      register: new Registry(),
      maxLocations: 1,
    });
  });

  afterEach(() => app.close());

  /** Asks, and holds question and answer against the description. */
  async function ask(
    method: 'GET' | 'PUT' | 'POST' | 'DELETE',
    path: string,
    status: number,
    payload?: object,
  ): Promise<void> {
    const url = path.split('?')[0] as string;
    const [route = '', operations] =
      Object.entries(description.paths).find(([template]) =>
        new RegExp(`^${template.replace(/\{\w+\}/g, '[^/]+')}$`).test(url),
      ) ?? [];
    const operation = resolved(operations?.[method.toLowerCase()]) as {
      requestBody?: { content: { 'application/json': { schema: Json } } };
      responses: Record<string, { content?: Record<string, { schema: Json }> }>;
    };
    const answer = await app.inject({ method, url: path, ...(payload ? { payload } : {}) });
    assert.equal(answer.statusCode, status, answer.body);
    const described = operation.responses[String(status)];
    assert.ok(described, `${method} ${route} does not describe ${status}`);
    seen.add(`${method} ${route} ${status}`);
    if (payload && status < 400) {
      const schema = operation.requestBody?.content['application/json'].schema;
      assert.ok(schema, `${method} ${route} describes no body`);
      matches(schema, payload);
    }
    const [type = ''] = String(answer.headers['content-type'] ?? '').split(';');
    if (answer.body === '') assert.equal(described.content, undefined);
    else matches(described.content?.[type]?.schema ?? assert.fail(`${status} as ${type}`), answer.json());
  }

  function matches(schema: Json, value: unknown): void {
    const result = z.fromJSONSchema(closed(schema) as z.core.JSONSchema.JSONSchema).safeParse(value);
    assert.ok(result.success, `${JSON.stringify(value)}: ${result.error?.message}`);
  }

  it('in everything that goes well', async () => {
    await ask('PUT', '/v1/nodes/s1', 201, SIGNALING);
    await ask('PUT', '/v1/nodes/s1', 204, { ...SIGNALING, draining: false });
    await ask('PUT', '/v1/nodes/m1', 201, MEDIA);
    await ask('GET', '/v1/nodes', 200);
    await ask('GET', '/v1/discovery?client=alice', 200);
    await ask('POST', '/v1/placements', 201, { ...CALL, avoid: ['m2'] });
    await ask('POST', '/v1/locations', 204, { node: 's1', changes: [CHANGE] });
    await ask('GET', '/v1/locations/t/alice', 200);
    await ask('DELETE', '/v1/nodes/s1', 204);
  });

  it('in every refusal', async () => {
    await ask('PUT', '/v1/nodes/s1', 400, { ...SIGNALING, capacity: -1 });
    await ask('GET', '/v1/discovery', 400);
    await ask('GET', '/v1/discovery?client=alice', 503);
    await ask('POST', '/v1/placements', 503, CALL);
    await ask('POST', '/v1/placements', 400, { ...CALL, clients: 'all' });
    await ask('POST', '/v1/locations', 400, { node: 's1', changes: [{ ...CHANGE, tenant: 'a b' }] });
    await ask('POST', '/v1/locations', 204, { node: 's1', changes: [CHANGE] });
    await ask('POST', '/v1/locations', 507, { node: 's1', changes: [{ ...CHANGE, aor: 'bob' }] });
  });

  it('with a test for every answer that is described, the full node table aside', () => {
    const all = Object.entries(description.paths).flatMap(([route, operations]) =>
      Object.entries(operations)
        .filter(([method]) => method !== 'parameters')
        .flatMap(([method, operation]) =>
          Object.keys(operation['responses'] as Json).map((status) => `${method.toUpperCase()} ${route} ${status}`),
        ),
    );
    assert.deepEqual(
      all.filter((answer) => !seen.has(answer)),
      ['PUT /v1/nodes/{id} 507'],
    );
  });
});
