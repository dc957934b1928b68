import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Engine } from '../signaling/engine/mod.ts';
import { parseHostPort, type Private } from '../vocabulary/mod.ts';
import type { EngineConfig } from './config/schema.ts';
import type { RoleDeps } from './deps.ts';
import type { Role } from './role.ts';
import { registerEngineMetrics } from './engine-metrics.ts';
import { startMetricsServer, type MetricsServer } from './metrics-server.ts';
import { keptKey, secretFromFile } from './secrets.ts';
import { transportOptions } from './transport-options.ts';
import { ensureCertificate, type NodeCertificate } from './tls.ts';

/** The SIP engine without an application of ours: drachtio applications connect to its control port. */
export async function startEngine(config: EngineConfig, deps: RoleDeps): Promise<Role> {
  const secret = secretOf(config);
  const publicAddress = config.publicAddress ?? deps.publicAddress;
  const tls = await certificate(config, deps, publicAddress);
  const { controlTls } = config;
  const engine = await Engine.open({
    listen: config.sip,
    publicAddress,
    ...transportOptions(config.transport, {}, tls),
    control: {
      listen: config.control,
      secret,
      tls: controlTls === undefined || !tls ? undefined : { listen: controlTls, cert: tls.cert, key: tls.key },
    },
    // Calls that were proxied go on after a restart: their Routes stay good.
    routeSecret: keptKey(deps.dataDir ?? join(tmpdir(), 'causeway'), 'engine-routes.key'),
    requestHandlers: config.requestHandlers,
    defaultRefresher: config.defaultRefresher,
    limits: config.limits,
    onError: (error) => deps.log.error({ err: error }, 'a message could not be handled'),
  });
  const metrics = await startMetrics(config, engine);
  return {
    listen: {
      ...Object.fromEntries(engine.listening.map((text) => [text.split(':')[0] ?? '', text])),
      control: `tcp:${engine.controlAddress}`,
      ...(metrics ? { metrics: `http://${config.metrics}/metrics` } : {}),
      ...(engine.controlTlsAddress === undefined ? {} : { controlTls: `tls:${engine.controlTlsAddress}` }),
    },
    drain: (graceMs) => engine.drain(graceMs),
    async close() {
      await metrics?.close();
      await engine.close();
    },
  };
}

async function startMetrics(config: EngineConfig, engine: Engine): Promise<MetricsServer | undefined> {
  if (config.metrics === undefined) return undefined;
  try {
    const metrics = await startMetricsServer(config.metrics, 'engine', 'engine');
    registerEngineMetrics(metrics.register, engine);
    return metrics;
  } catch (error) {
    await engine.close();
    throw error;
  }
}

function secretOf(config: EngineConfig): Private<string> {
  if (config.secretFile !== undefined) return secretFromFile('engine.secretFile', config.secretFile);
  if (config.secret) return config.secret;
  throw new Error('engine.secretFile: found nothing, wanted the file with the secret of the control port');
}

/** For SIP over TLS and the control port alike; none when neither wants one. */
async function certificate(
  config: EngineConfig,
  deps: RoleDeps,
  publicAddress: string | undefined,
): Promise<NodeCertificate | undefined> {
  const listens = config.sip.filter((text) => /^(tls|wss):/.test(text)).map((text) => text.replace(/^\w+:/, ''));
  if (config.controlTls !== undefined) listens.push(config.controlTls);
  if (listens.length === 0) return undefined;
  if (config.tls) {
    const cert = secretFromFile('engine.tls.certFile', config.tls.certFile).reveal();
    return { cert, key: secretFromFile('engine.tls.keyFile', config.tls.keyFile).reveal(), ca: cert };
  }
  const bound = listens.flatMap((text) => parseHostPort(text)?.address ?? []);
  const hosts = new Set([...(publicAddress === undefined ? [] : [publicAddress]), ...bound, 'localhost']);
  return ensureCertificate(deps.dataDir ?? join(tmpdir(), 'causeway'), 'engine', [...hosts]);
}
