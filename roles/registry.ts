import { randomUUID } from 'node:crypto';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { createService } from '../pop-registry/mod.ts';
import { parseHostPort } from '../vocabulary/mod.ts';
import type { RegistryConfig } from './config/schema.ts';
import type { RoleDeps } from './deps.ts';
import type { Role } from './role.ts';

/** The PoP registry, with its metrics on the same port. */
export async function startRegistry(config: RegistryConfig, deps: RoleDeps): Promise<Role> {
  const register = new Registry();
  register.setDefaultLabels({ role: 'registry' });
  collectDefaultMetrics({ register });
  const service = createService({
    downAfterSeconds: config.downAfterSeconds,
    now: () => Date.now(),
    uuid: randomUUID,
    register,
  });
  const at = parseHostPort(config.listen);
  try {
    await service.listen({ host: at?.address ?? '127.0.0.1', port: at?.port ?? 0 });
  } catch (error) {
    const taken = (error as { code?: string }).code === 'EADDRINUSE';
    throw new Error(
      `cannot listen on registry ${config.listen}: ${taken ? 'the port is taken by another process' : String(error)}`,
      { cause: error },
    );
  }
  deps.log.debug({ listen: config.listen }, 'registry serves');
  return {
    listen: { http: `http://${config.listen}`, metrics: `http://${config.listen}/metrics` },
    drain: () => Promise.resolve(),
    close: () => service.close(),
  };
}
