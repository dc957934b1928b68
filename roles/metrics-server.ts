import { createServer } from 'node:http';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { parseHostPort } from '../vocabulary/mod.ts';

export interface MetricsServer {
  readonly register: Registry;
  readonly address: string;
  close(): Promise<void>;
}

/** `/metrics` and `/healthz` of a role. @throws Error in words when the port cannot be had. */
export async function startMetricsServer(listen: string, role: string, id: string): Promise<MetricsServer> {
  const at = parseHostPort(listen);
  if (!at) throw new Error(`metrics address "${listen}" is not HOST:PORT`);
  const register = new Registry();
  register.setDefaultLabels({ role, node: id });
  collectDefaultMetrics({ register });
  const server = createServer((request, response) => {
    const path = (request.url ?? '').split('?')[0];
    if (path === '/healthz') {
      response.writeHead(200, { 'content-type': 'text/plain' }).end('ok\n');
    } else if (path === '/metrics') {
      register.metrics().then(
        (text) => response.writeHead(200, { 'content-type': register.contentType }).end(text),
        () => response.writeHead(500).end(),
      );
    } else response.writeHead(404).end();
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why = error.code === 'EADDRINUSE' ? 'the port is taken by another process' : error.message;
      reject(new Error(`cannot listen on metrics ${listen}: ${why}`, { cause: error }));
    });
    server.listen(at.port, at.address, () => resolve());
  });
  return {
    register,
    address: listen,
    async close() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
