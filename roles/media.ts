import { isIPv6 } from 'node:net';
import { loadavg } from 'node:os';
import { Counter } from 'prom-client';
import { parseHostPort } from '../vocabulary/mod.ts';
import { createDataplane, NodeLoad, SessionManager, type LimitName } from '../media/mod.ts';
import type { MediaConfig } from './config/schema.ts';
import type { RoleDeps } from './deps.ts';
import { gaugesOf } from './gauges.ts';
import { startHeartbeat } from './heartbeat.ts';
import { startMediaNg } from './media-ng.ts';
import { startMetricsServer } from './metrics-server.ts';
import type { Role } from './role.ts';

const SWEEP_MS = 1000;

/** media/dataplane/native/net/types.h */
const DROP_REASONS = [
  'malformed',
  'unknown-source',
  'authentication',
  'replay',
  'no-keys',
  'no-path',
  'no-remote',
  'send',
  'ice',
  'gated',
] as const;

/** `address`, `name/address` or `name/address!advertised`. */
function parseInterface(text: string, index: number, publicAddress: string | undefined) {
  const match = /^(?:([^/]+)\/)?([^!]+)(?:!(.+))?$/.exec(text);
  const address = match?.[2] ?? text;
  const loopback = address.startsWith('127.') || address === '::1';
  return {
    name: match?.[1] ?? (index === 0 ? 'default' : address),
    address,
    advertised: match?.[3] ?? (loopback ? address : (publicAddress ?? address)),
  };
}

/** One logical interface may have an address of each family: the second is `name/IP6` to the sessions. @throws Error */
export function parseInterfaces(texts: readonly string[], publicAddress: string | undefined) {
  const parsed = texts.map((text, index) => parseInterface(text, index, publicAddress));
  const taken = new Set<string>();
  return parsed.map((own) => {
    const name = taken.has(own.name) && isIPv6(own.address) ? `${own.name}/IP6` : own.name;
    if (taken.has(name))
      throw new Error(`media.interfaces: found "${own.name}" twice, wanted one address of each family`);
    taken.add(name);
    return { ...own, name };
  });
}

/** A media node: ng in, packets through the native path, metrics and heartbeats out. */
export async function startMedia(config: MediaConfig, deps: RoleDeps): Promise<Role> {
  if (config.floor === 'kernel')
    throw new Error('media.floor: found "kernel", wanted auto or native: the kernel floor is not part of this version');
  const log = deps.log.child({ role: 'media', node: config.id });
  const interfaces = parseInterfaces(config.interfaces, deps.publicAddress);
  const metrics = await startMetricsServer(config.metrics, 'media', config.id);
  const dataplane = await orClose(metrics, () =>
    Promise.resolve(
      createDataplane({
        interfaces,
        portMin: config.portMin,
        portMax: config.portMax,
        webrtcPort: config.webrtcPort,
        threads: config.threads,
        tos: config.tos,
      }),
    ),
  );
  const load = new NodeLoad(config);
  const manager = new SessionManager({
    dataplane,
    load,
    interfaces: interfaces.map(({ name }) => name),
    maxSessions: config.maxSessions,
    timeoutSeconds: config.timeoutSeconds,
    dialect: config.ngDialect,
  });
  const counters = registerMetrics(metrics.register, manager, dataplane, load);
  const ng = await orClose(metrics, () =>
    startMediaNg({ config, manager, dataplane, interfaces, log, register: metrics.register }),
  ).catch(async (error: unknown) => {
    await dataplane.close();
    throw error;
  });
  let limited: LimitName | undefined;
  const sweep = setInterval(() => {
    load.sample(loadSample(dataplane));
    if (load.exceeded !== limited) {
      limited = load.exceeded;
      if (limited) log.warn({ limit: limited, figures: load.figures }, 'too busy: new calls are refused');
      else log.info({ figures: load.figures }, 'new calls are taken again');
    }
    for (const session of ng.service.sweep()) {
      counters.timeouts.inc();
      log.warn({ call: session.callId }, 'media time-out: no RTP on any stream');
    }
    ng.service.tick();
  }, SWEEP_MS);
  const at = parseHostPort(config.listenNg);
  const control = `udp:${config.listenNg}`;
  const heartbeat =
    config.registry === undefined
      ? undefined
      : startHeartbeat({
          registry: config.registry,
          id: config.id,
          log,
          body: () => ({
            role: 'media',
            pop: config.pop,
            draining: manager.draining,
            control,
            probe: `stun:${interfaces[0]?.advertised ?? at?.address}:${config.webrtcPort}`,
            capacity: config.maxSessions,
            // Too busy for another call: the registry is to choose another node.
            load: load.exceeded ? Math.max(manager.size, config.maxSessions) : manager.size,
          }),
        });
  let closed = false;
  return {
    listen: {
      ...ng.listen,
      webrtc: `udp:${interfaces[0]?.advertised}:${config.webrtcPort}`,
      rtp: `udp:${interfaces[0]?.advertised}:${config.portMin}-${config.portMax}`,
      metrics: `http://${config.metrics}/metrics`,
    },
    async drain(graceMs) {
      manager.draining = true;
      await heartbeat?.now();
      const until = performance.now() + graceMs;
      while (manager.size > 0 && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 50));
    },
    async close() {
      if (closed) return;
      closed = true;
      clearInterval(sweep);
      await heartbeat?.stop();
      await ng.close();
      manager.close();
      await ng.copies.close();
      await dataplane.close();
      await metrics.close();
    },
  };
}

/** JavaScript's own thread is one of those that may be busiest. */
function loadSample(dataplane: ReturnType<typeof createDataplane>) {
  const { threadCpuMs, bytesReceived, bytesSent } = dataplane.totals();
  const own = process.threadCpuUsage();
  return {
    nowMs: performance.now(),
    loadAverage: loadavg()[0] ?? 0,
    threadCpuMs: [(own.user + own.system) / 1000, ...threadCpuMs],
    bytes: bytesReceived + bytesSent,
  };
}

async function orClose<T>(metrics: { close(): Promise<void> }, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    await metrics.close();
    throw error;
  }
}

function registerMetrics(
  register: import('prom-client').Registry,
  manager: SessionManager,
  dataplane: ReturnType<typeof createDataplane>,
  load: NodeLoad,
) {
  const gauge = gaugesOf(register, 'causeway_media_');
  gauge('sessions', 'Calls on this node.', () => manager.size);
  gauge('endpoints', 'Media ends towards parties.', () => dataplane.totals().endpoints);
  gauge('ports_in_use', 'UDP ports of the range that are bound.', () => dataplane.totals().portsInUse);
  gauge('ports_total', 'UDP ports of the range.', () => dataplane.totals().portsTotal);
  gauge('paths', 'Directions of media that are connected.', () => dataplane.totals().paths);
  gauge('transcoders', 'Paths that decode and encode.', () => dataplane.totals().transcoders);
  gauge('native_bytes', 'Bytes that the objects of the packet path hold.', () => dataplane.totals().nativeBytes);
  gauge('threads', 'Threads of the packet path.', () => dataplane.totals().threads);
  gauge('load_average', 'Load average of the machine, as the limit sees it.', () => load.figures.load);
  gauge('busiest_thread_percent', 'CPU of the busiest thread over 3 s, of a core.', () => load.figures.cpu);
  gauge('bandwidth_mbit', 'Megabits of UDP payload a second over 3 s, both directions.', () => load.figures.bandwidth);
  const counter = (
    name: string,
    help: string,
    labels: readonly string[],
    read: () => [Record<string, string>, number][],
  ) =>
    new Counter({
      name: `causeway_media_${name}`,
      help,
      labelNames: labels,
      registers: [register],
      collect() {
        this.reset();
        for (const [values, value] of read()) this.inc(values, value);
      },
    });
  counter('packets_total', 'Datagrams handled.', ['direction'], () => {
    const totals = dataplane.totals();
    return [
      [{ direction: 'in' }, totals.packetsReceived],
      [{ direction: 'out' }, totals.packetsSent],
    ];
  });
  counter('bytes_total', 'Bytes of datagrams handled.', ['direction'], () => {
    const totals = dataplane.totals();
    return [
      [{ direction: 'in' }, totals.bytesReceived],
      [{ direction: 'out' }, totals.bytesSent],
    ];
  });
  counter('dropped_total', 'Datagrams not passed on, by reason.', ['reason'], () =>
    DROP_REASONS.map((reason) => [{ reason }, dataplane.totals().dropped[reason] ?? 0]),
  );
  counter('refused_total', 'Offers, answers and publications that were refused, by the limit.', ['limit'], () =>
    Object.entries(manager.refused).map(([limit, count]) => [{ limit }, count]),
  );
  counter('plane_events_lost_total', 'Events of the packet path that were not told: too many waited.', [], () => [
    [{}, dataplane.totals().eventsLost],
  ]);
  counter('cpu_seconds_total', 'CPU time of the packet path.', [], () => [[{}, dataplane.totals().cpuMs / 1000]]);
  counter('dtls_handshakes_total', 'DTLS handshakes that ended.', ['result'], () => {
    const { connected, failed } = dataplane.totals().dtlsHandshakes;
    return [
      [{ result: 'connected' }, connected],
      [{ result: 'failed' }, failed],
    ];
  });
  counter('ice_checks_total', 'Checks of ICE that we send, consent among them.', ['result'], () => {
    const { checksSent, checksAnswered, checksHeld } = dataplane.totals().ice;
    return [
      [{ result: 'sent' }, checksSent],
      [{ result: 'answered' }, checksAnswered],
      [{ result: 'held' }, checksHeld],
    ];
  });
  counter('ice_candidates_refused_total', 'Candidates of parties above the 20 that are checked.', [], () => [
    [{}, dataplane.totals().ice.candidatesRefused],
  ]);
  counter('ice_failed_total', 'ICE that found no pair, or lost the consent of the peer.', ['reason'], () => {
    const { failed, consentLost } = dataplane.totals().ice;
    return [
      [{ reason: 'checks' }, failed],
      [{ reason: 'consent' }, consentLost],
    ];
  });
  gauge('ice_fragments_waiting', 'Fragments of ICE whose party has not spoken.', () => manager.fragmentsWaiting);
  return {
    timeouts: new Counter({
      name: 'causeway_media_timeouts_total',
      help: 'Calls ended because nothing was heard.',
      registers: [register],
    }),
  };
}
