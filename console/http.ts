import { existsSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import fastifyStatic from '@fastify/static';
import Fastify from 'fastify';

export interface ConsoleParts {
  /** The built page; when it is missing a text says how to build it. */
  readonly folder: string;
  /** Signaling nodes for a client, primary first. Rejects while the registry is away. */
  readonly discover: (client: string) => Promise<{
    readonly signaling: readonly { readonly pop: string; readonly uri: string; readonly weight: number }[];
  }>;
  /** This node, for when the registry is away. */
  readonly self: { readonly pop: string; readonly node: string; readonly uri: string };
  readonly domain: string;
  /** PEM of the local CA; undefined when the operator brought a certificate. */
  readonly ca: string | undefined;
}

export interface Console {
  readonly handle: (request: IncomingMessage, response: ServerResponse) => void;
  close(): Promise<void>;
}

const SECURITY = {
  'content-security-policy':
    "default-src 'self'; connect-src 'self' wss: https:; style-src 'self'; img-src 'self' data:; media-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'permissions-policy': 'microphone=(self), camera=(), geolocation=()',
};

/** The softphone page and its API, behind the same HTTPS origin as SIP over WebSocket. */
export async function createConsole(parts: ConsoleParts): Promise<Console> {
  const app = Fastify({ logger: false, bodyLimit: 16_384 });
  app.addHook('onSend', (_request, reply, _payload, done) => {
    for (const [name, value] of Object.entries(SECURITY)) reply.header(name, value);
    done();
  });
  app.get('/api/config', () => ({ domain: parts.domain, node: parts.self.node, pop: parts.self.pop }));
  app.get<{ Querystring: { client?: string } }>('/api/discovery', async (request, reply) => {
    const client = (request.query.client ?? request.ip).slice(0, 256);
    const own = { ...parts.self, weight: 1 };
    try {
      const found = await parts.discover(client);
      return { ttlSeconds: 30, signaling: found.signaling };
    } catch {
      reply.header('x-causeway-registry', 'away');
      return { ttlSeconds: 5, signaling: [own] };
    }
  });
  app.get('/ca.pem', (_request, reply) => {
    if (parts.ca === undefined)
      return reply.code(404).type('text/plain').send('this node has a certificate of its own\n');
    return reply
      .type('application/x-pem-file')
      .header('content-disposition', 'attachment; filename="causeway-ca.pem"')
      .send(parts.ca);
  });
  app.get('/healthz', () => ({ status: 'ok' }));
  if (existsSync(`${parts.folder}/index.html`)) {
    await app.register(fastifyStatic, { root: parts.folder, cacheControl: true, maxAge: '5m', index: ['index.html'] });
  } else {
    app.get('/', (_request, reply) =>
      reply.code(503).type('text/plain').send('the page is not built; run: npm run build\n'),
    );
  }
  app.setNotFoundHandler((_request, reply) => reply.code(404).type('text/plain').send('not here\n'));
  await app.ready();
  return { handle: (request, response) => app.routing(request, response), close: () => app.close() };
}
