import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Srf from 'drachtio-srf';
import { bracketed, isLoopback } from '../vocabulary/mod.ts';
import { createConsole } from '../console/http.ts';
import { Accounts, Tenants } from '../signaling/directory/mod.ts';
import { Engine } from '../signaling/engine/mod.ts';
import { B2bua, CallTable } from '../signaling/invite/mod.ts';
import { FixedNodes, MediaNg } from '../signaling/media-ng/mod.ts';
import { Bindings, createRegistrar, FIRST_CSEQ, Gruus, Guard, NonceCounts, Nonces } from '../signaling/register/mod.ts';
import { asSipApp, type Req, type Res } from '../signaling/srf.ts';
import { Trunks } from '../signaling/trunk/mod.ts';
import type { SignalingConfig } from './config/schema.ts';
import type { RoleDeps } from './deps.ts';
import { admissionOf, bearerOf, moveClients, wakeupsOf } from './registrar-parts.ts';
import { startMetricsServer } from './metrics-server.ts';
import { RegistryClient } from './registry-client.ts';
import type { Role } from './role.ts';
import { nonceSecret, secretFromFile } from './secrets.ts';
import { registerSignalingMetrics } from './signaling-metrics.ts';
import { ensureCertificate, type NodeCertificate } from './tls.ts';
import { transportOptions } from './transport-options.ts';

const PAGE = new URL('../console/dist', import.meta.url).pathname;

/** A signaling node: SIP in, calls through the B2BUA, the softphone page beside it. */
export async function startSignaling(config: SignalingConfig, deps: RoleDeps): Promise<Role> {
  const log = deps.log.child({ role: 'signaling', node: config.id });
  const closers: (() => Promise<void>)[] = [];
  const closeAll = async () => {
    for (const close of closers.splice(0).toReversed()) await close();
  };
  try {
    return await start(config, deps, log, closers, closeAll);
  } catch (error) {
    await closeAll();
    throw error;
  }
}

async function start(
  config: SignalingConfig,
  deps: RoleDeps,
  log: RoleDeps['log'],
  closers: (() => Promise<void>)[],
  closeAll: () => Promise<void>,
): Promise<Role> {
  const publicAddress = config.publicAddress ?? deps.publicAddress;
  const bound = config.sip.map((text) => /^[a-z]+:\[?([0-9a-fA-F:.]+?)\]?:\d+$/.exec(text)?.[1] ?? '');
  const allLoopback = bound.every((address) => isLoopback(address));
  const external = allLoopback ? undefined : publicAddress;
  const hosts = [...new Set([external, ...bound, 'localhost'])].filter(
    (host): host is string => host !== undefined && host !== '0.0.0.0' && host !== '::',
  );
  const tls = await certificate(config, deps, hosts);
  const metrics = await startMetricsServer(config.metrics, 'signaling', config.id);
  closers.push(() => metrics.close());

  const tenants = new Tenants(config.domains, hosts);
  const accounts = new Accounts(
    config.accounts.map((account, index) => ({
      tenant: account.tenant,
      user: account.user,
      displayName: account.displayName,
      number: account.number,
      password: account.password ?? passwordFrom(account.passwordFile, index),
      profile: account.profile,
      maxBindings: account.maxBindings,
    })),
  );
  const trunks = new Trunks(config.trunks.map((trunk) => ({ ...trunk, match: pattern(trunk.match, trunk.name) })));
  const secret = nonceSecret(config.nonceSecretFile);
  const state = { draining: false };
  const { admission, close: closeAdmission } = admissionOf(config.limits);
  closers.push(() => Promise.resolve(closeAdmission()));
  const guard = new Guard({
    tenants,
    accounts,
    nonces: new Nonces(secret, config.registration.nonceSeconds),
    counts: new NonceCounts(),
    algorithms: config.registration.algorithms,
    trusted: ({ address, port }) => trunks.bySource(address, port) !== undefined,
    peerSecret: secret,
    admission,
    bearer: bearerOf(config.registration.bearer),
    draining: () => state.draining,
    random: Math.random,
  });
  const gruus = new Gruus(secret);
  const calls = new CallTable();
  const bindings: Bindings = new Bindings(
    { bindings: config.limits.bindings, perAor: config.registration.maxBindingsPerAor },
    (tenant, aor, expiresAt, kinds) => void registry.publishLocations([{ tenant, aor, expiresAt, kinds }]),
  );
  const { push } = config.registration;
  const { wakeups, close: closeWakeups } = wakeupsOf(push, bindings);
  closers.push(() => Promise.resolve(closeWakeups()));
  const wss = config.sip.find((text) => text.startsWith('wss:')) ?? config.sip.find((text) => text.startsWith('ws:'));
  const udp = config.sip.find((text) => text.startsWith('udp:')) ?? config.sip.find((text) => text.startsWith('tcp:'));
  const uri = wss === undefined ? undefined : origin(wss, external).replace(/^http/, 'ws');
  const sip = udp === undefined ? undefined : sipUri(udp, external);
  const registry: RegistryClient = new RegistryClient({
    url: config.registry,
    id: config.id,
    log,
    publishAll: () => bindings.reportAll(),
    body: () => ({
      role: 'signaling',
      pop: config.pop,
      draining: state.draining,
      capacity: config.limits.bindings,
      load: bindings.size,
      ...(uri === undefined ? {} : { uri }),
      ...(sip === undefined ? {} : { sip }),
    }),
  });
  closers.push(() => registry.leave());
  const console = await createConsole({
    folder: PAGE,
    discover: (client) => registry.discover(client),
    self: { pop: config.pop, node: config.id, uri: uri ?? '' },
    domain: tenants.domain('default'),
    ca: tls?.ca,
  });
  closers.push(() => console.close());
  const fixed = config.mediaNodes.length > 0 ? new FixedNodes(config.mediaNodes, config.pop) : undefined;
  const media = new MediaNg({
    registry: fixed ?? registry,
    watch: fixed?.nodes ?? [],
    everySecond: (work) => {
      const timer = setInterval(work, 1000);
      return () => clearInterval(timer);
    },
  });
  closers.push(() => media.close());

  const { transactions, connections } = config.limits;
  const engine = await Engine.open({
    listen: config.sip,
    publicAddress: external,
    ...transportOptions(config.transport, { transactions, connections }, tls),
    ...(config.control ? { control: { listen: config.control.listen, secret: controlSecret(config.control) } } : {}),
    challenge: (request, source, now) => guard.challenge(request, source, now),
    orphanRequests: 'deliver',
    appRoutes: true,
    firstCSeq: FIRST_CSEQ,
    onHttpRequest: console.handle,
    onFlowClosed: (flow) => {
      const dropped = bindings.flowClosed(flow);
      if (dropped > 0) log.debug({ ...flow, dropped }, 'connection closed: its bindings are gone');
    },
    onError: (error) => log.error({ err: error }, 'a message could not be handled'),
  });
  closers.push(() => engine.close());
  const sweeper = setInterval(() => bindings.sweep(Date.now()), 1000);
  closers.push(() => Promise.resolve(clearInterval(sweeper)));

  const measured = registerSignalingMetrics(metrics.register, { engine, bindings, calls, media, admission, wakeups });
  const srf = new Srf();
  const app = asSipApp(srf);
  const registrar = createRegistrar({
    guard,
    accounts,
    tenants,
    bindings,
    options: { ...config.registration, wantedExtensions: config.registration.requireExtensions },
    answer: {
      gruus,
      serviceRoute: config.registration.serviceRoute.map((hop) => `<${hop}>`),
      flowTimerSeconds: config.registration.flowTimerSeconds,
      providers: push.hooks.map(({ provider }) => provider),
      pushRefreshSeconds: push.refreshSeconds,
    },
    now: () => Date.now(),
    onResult: (result, { user, status, reason }) => {
      measured.registrations.inc({ result });
      if (result === 'refused') measured.refusals.inc({ status: String(status), reason });
      log.debug({ user, status }, `REGISTER ${result}`);
    },
  });
  app.use('register', registrar);
  app.use('options', (_req: Req, res: Res) => {
    res.send(200, {
      headers: {
        Allow: 'INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, MESSAGE, UPDATE, REGISTER',
        Accept: 'application/sdp',
      },
    });
  });
  const b2bua = new B2bua({
    app,
    guard,
    accounts,
    tenants,
    bindings,
    gruus,
    wakeups,
    trunks,
    media,
    registry,
    calls,
    maxCalls: config.limits.calls,
    now: () => Date.now(),
    later: (ms, work) => {
      const timer = setTimeout(work, ms);
      return () => clearTimeout(timer);
    },
    uuid: randomUUID,
    log,
    onSetup: (ms) => measured.setup.observe(ms / 1000),
    onEnded: (call) => {
      const { cdr } = call;
      measured.calls.inc({ direction: cdr.direction, status: String(cdr.status ?? 0) });
      log.info({ call: call.id, tenant: call.tenant, media: call.media?.node, cdr }, 'call ended');
    },
  });
  const checker = setInterval(() => void b2bua.checkMedia(), 1000);
  closers.push(() => Promise.resolve(clearInterval(checker)));
  await engine.attach(srf);
  await registry.heartbeat();

  return {
    listen: {
      ...Object.fromEntries(engine.listening.map((text) => [text.split(':')[0] ?? '', text])),
      ...(wss === undefined ? {} : { page: `${origin(wss, external)}/` }),
      metrics: `http://${config.metrics}/metrics`,
    },
    async drain(graceMs) {
      state.draining = true;
      await registry.heartbeat();
      const moved = moveClients(engine, bindings, calls, graceMs);
      await Promise.all([engine.drain(graceMs), moved.done]);
      moved.stop();
      b2bua.endAll('SIP;cause=503;text="node stopping"');
      if (calls.size > 0) await engine.drain(Math.min(500, graceMs));
    },
    close: closeAll,
  };
}

async function certificate(
  config: SignalingConfig,
  deps: RoleDeps,
  hosts: readonly string[],
): Promise<(NodeCertificate & { ca: string }) | undefined> {
  if (!config.sip.some((text) => /^(tls|wss):/.test(text))) return undefined;
  if (config.tls) {
    const read = (key: string, file: string) => secretFromFile(`tls.${key}`, file).reveal();
    const cert = read('certFile', config.tls.certFile);
    return { cert, key: read('keyFile', config.tls.keyFile), ca: cert };
  }
  return ensureCertificate(deps.dataDir ?? join(tmpdir(), 'causeway'), config.id, hosts);
}

function passwordFrom(file: string | undefined, index: number) {
  const key = `accounts.${index}.passwordFile`;
  if (file === undefined)
    throw new Error(`accounts.${index}: found neither password nor passwordFile, wanted one of them`);
  return secretFromFile(key, file);
}

function controlSecret(control: NonNullable<SignalingConfig['control']>) {
  if (control.secret) return control.secret;
  if (control.secretFile === undefined)
    throw new Error('control: found neither secret nor secretFile, wanted one of them');
  return secretFromFile('control.secretFile', control.secretFile);
}

function pattern(text: string, trunk: string): RegExp {
  try {
    return new RegExp(text);
  } catch (error) {
    throw new Error(`trunks: match of "${trunk}": found "${text}", wanted a regular expression`, { cause: error });
  }
}

/** `wss:0.0.0.0:8443` → `https://192.0.2.1:8443`. */
function origin(listen: string, external: string | undefined): string {
  const match = /^(wss?):(\[?[0-9a-fA-F:.]+?\]?):(\d+)$/.exec(listen);
  const host = external === undefined ? (match?.[2] ?? '') : bracketed(external);
  return `${match?.[1] === 'ws' ? 'http' : 'https'}://${host}:${match?.[3]}`;
}

function sipUri(listen: string, external: string | undefined): string {
  const match = /^(udp|tcp):(\[?[0-9a-fA-F:.]+?\]?):(\d+)$/.exec(listen);
  const host = external === undefined ? (match?.[2] ?? '') : bracketed(external);
  return `sip:${host}:${match?.[3]};transport=${match?.[1]}`;
}
