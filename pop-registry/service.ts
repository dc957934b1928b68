import { readFileSync } from 'node:fs';
import Fastify, { type FastifyInstance, type FastifyReply } from 'fastify';
import { Gauge, Counter, type Registry } from 'prom-client';
import { z } from 'zod';
import { Locations } from './locations.ts';
import { NodeTable, type Node } from './nodes.ts';
import { orderSignaling, placeMedia } from './placement.ts';

const name = z.string().min(1).max(64);
/** As the configuration has it; without a space, which parts it from the user in the location table. */
const tenantName = z.string().regex(/^[^\s]{1,64}$/);
/** No binding lives longer (RFC 3261 §20.19 allows more; no phone asks for it). */
const MAX_LOCATION_MS = 86_400_000;
const nodeBody = z.object({
  role: z.enum(['signaling', 'media']),
  pop: name,
  draining: z.boolean().default(false),
  capacity: z.number().min(0),
  load: z.number().min(0),
  control: z.string().max(256).optional(),
  probe: z.string().max(256).optional(),
  uri: z.string().max(256).optional(),
  sip: z.string().max(256).optional(),
});
const placementBody = z.object({
  callId: z.string().min(1).max(256),
  tenant: tenantName,
  clients: z.array(z.string().max(64)).max(16),
  avoid: z.array(name).max(64).default([]),
});
const locationsBody = z.object({
  node: name,
  changes: z
    .array(
      z.object({
        tenant: tenantName,
        aor: z.string().min(1).max(256),
        expiresAt: z.number().min(0),
        kinds: z
          .array(z.enum(['webrtc', 'plain']))
          .max(2)
          .default([]),
      }),
    )
    .max(5000),
});

export interface ServiceOptions {
  readonly downAfterSeconds: number;
  /** Epoch ms. */
  readonly now: () => number;
  readonly uuid: () => string;
  readonly register: Registry;
  readonly maxLocations?: number;
}

/** The registry's HTTP API (pop-registry/openapi.yaml); errors are problem documents (RFC 9457). */
export function createService(options: ServiceOptions): FastifyInstance {
  const nodes = new NodeTable(options.downAfterSeconds * 1000);
  const locations = new Locations(options.maxLocations ?? 1_000_000);
  const app = Fastify({ logger: false, bodyLimit: 2 << 20 });
  const metrics = createMetrics(options, nodes, locations);
  const { now } = options;
  const startedAt = now();

  app.setErrorHandler((error: { statusCode?: number; message: string }, _request, reply) => {
    const status = error.statusCode ?? 500;
    return problem(reply, status, status >= 500 ? 'the registry failed' : error.message);
  });
  app.setNotFoundHandler((request, reply) => problem(reply, 404, `no resource ${request.method} ${request.url}`));
  app.addHook('onResponse', (request, reply, done) => {
    metrics.requests.inc({ route: request.routeOptions.url ?? 'unknown', status: String(reply.statusCode) });
    done();
  });
  const timer = setInterval(() => {
    nodes.sweep(now());
    locations.sweep(now());
  }, 30_000);
  app.addHook('onClose', (_app, done) => {
    clearInterval(timer);
    done();
  });

  app.get('/healthz', () => ({ status: 'ok' }));
  app.get('/metrics', async (_request, reply) =>
    reply.type(options.register.contentType).send(await options.register.metrics()),
  );
  app.get('/v1/openapi.yaml', (_request, reply) =>
    reply.type('application/yaml').send(readFileSync(new URL('openapi.yaml', import.meta.url), 'utf8')),
  );

  app.get('/v1/nodes', () => ({ nodes: nodes.all().map((node) => shown(node, nodes.isUp(node, now()))) }));
  app.put<{ Params: { id: string } }>('/v1/nodes/:id', (request, reply) => {
    const id = name.safeParse(request.params.id);
    const body = nodeBody.safeParse(request.body);
    if (!id.success) return problem(reply, 400, 'id must be 1 to 64 characters');
    if (!body.success) return problem(reply, 400, explain(body.error));
    const { control, probe, uri, sip, ...rest } = body.data;
    const known = nodes.get(id.data) !== undefined;
    if (!nodes.beat({ id: id.data, ...rest, control, probe, uri, sip, seenAt: now() })) {
      return problem(reply, 507, 'the registry knows too many nodes');
    }
    // 201 asks a signaling node to publish all its locations: this registry knows none of them.
    return reply.code(known ? 204 : 201).send();
  });
  app.delete<{ Params: { id: string } }>('/v1/nodes/:id', (request, reply) => {
    nodes.remove(request.params.id);
    locations.forget(request.params.id);
    return reply.code(204).send();
  });

  app.get<{ Querystring: { client?: string } }>('/v1/discovery', (request, reply) => {
    const { client } = request.query;
    if (client === undefined || client === '' || client.length > 256) {
      return problem(reply, 400, 'client must name the client: an address of record or an IP address');
    }
    const signaling = orderSignaling(nodes.available('signaling', now()), client);
    if (signaling.length === 0) return problem(reply, 503, 'no signaling node is up');
    return {
      ttlSeconds: 30,
      signaling: signaling.map(({ node, weight }) => ({ pop: node.pop, node: node.id, uri: node.uri, weight })),
      mediaCandidates: nodes
        .available('media', now())
        .filter((node) => node.probe !== undefined)
        .map((node) => ({ pop: node.pop, probe: node.probe })),
    };
  });

  app.post('/v1/placements', (request, reply) => {
    const body = placementBody.safeParse(request.body);
    if (!body.success) return problem(reply, 400, explain(body.error));
    const placed = placeMedia(nodes.available('media', now()), body.data.avoid);
    if (!placed) {
      // A registry that has just started has not heard of every node yet, and says so.
      if (now() - startedAt < options.downAfterSeconds * 1000) reply.header('retry-after', '1');
      return problem(reply, 503, 'no media node can take a call');
    }
    metrics.placements.inc({ media: placed.node.id });
    // Until its next heartbeat the node counts what was just sent there.
    nodes.beat({ ...placed.node, load: placed.node.load + 1 });
    const { id, pop, control } = placed.node;
    return reply.code(201).send({ id: options.uuid(), media: { node: id, pop, control }, reason: placed.reason });
  });

  app.post('/v1/locations', (request, reply) => {
    const body = locationsBody.safeParse(request.body);
    if (!body.success) return problem(reply, 400, explain(body.error));
    const latest = now() + MAX_LOCATION_MS;
    for (const { tenant, aor, expiresAt, kinds } of body.data.changes) {
      if (!locations.set(tenant, aor, body.data.node, Math.min(expiresAt, latest), kinds))
        return problem(reply, 507, 'the location table is full');
    }
    return reply.code(204).send();
  });
  app.get<{ Params: { tenant: string; aor: string } }>('/v1/locations/:tenant/:aor', (request) => {
    const { tenant, aor } = request.params;
    const live = locations.find(tenant, aor, now()).flatMap(({ node: id, kinds }) => {
      const node = nodes.get(id);
      return node?.sip !== undefined && nodes.isUp(node, now()) ? [{ node: id, sip: node.sip, kinds }] : [];
    });
    return { locations: live };
  });
  return app;
}

function shown(node: Node, up: boolean) {
  const { seenAt, ...rest } = node;
  return { ...rest, state: stateOf(node, up), seenAt: new Date(seenAt).toISOString() };
}

function stateOf(node: Node, up: boolean): 'up' | 'draining' | 'down' {
  if (!up) return 'down';
  return node.draining ? 'draining' : 'up';
}

function problem(reply: FastifyReply, status: number, detail: string) {
  const title = {
    400: 'Bad Request',
    404: 'Not Found',
    413: 'Too Large',
    503: 'Service Unavailable',
    507: 'Insufficient Storage',
  }[status];
  return reply
    .code(status)
    .type('application/problem+json')
    .send({ type: 'about:blank', title: title ?? 'Error', status, detail });
}

function explain(error: z.ZodError): string {
  return error.issues.map((issue) => `${issue.path.join('.') || 'body'}: ${issue.message}`).join('; ');
}

function createMetrics(options: ServiceOptions, nodes: NodeTable, locations: Locations) {
  const registers = [options.register];
  new Gauge({
    name: 'causeway_registry_nodes',
    help: 'Nodes by role and state.',
    labelNames: ['role', 'state'],
    registers,
    collect() {
      this.reset();
      for (const node of nodes.all())
        this.inc({ role: node.role, state: stateOf(node, nodes.isUp(node, options.now())) });
    },
  });
  new Gauge({
    name: 'causeway_registry_locations',
    help: 'Addresses of record with a known signaling node.',
    registers,
    collect() {
      this.set(locations.size);
    },
  });
  return {
    requests: new Counter({
      name: 'causeway_registry_requests_total',
      help: 'HTTP requests by route and status.',
      labelNames: ['route', 'status'],
      registers,
    }),
    placements: new Counter({
      name: 'causeway_registry_placements_total',
      help: 'Calls placed, by media node.',
      labelNames: ['media'],
      registers,
    }),
  };
}
