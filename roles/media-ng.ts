import { randomBytes } from 'node:crypto';
import { Counter, Gauge, type Registry } from 'prom-client';
import type { Logger } from 'pino';
import {
  connectOperations,
  DtmfLog,
  EVENT_NAMES,
  gateOperations,
  NgHttpServer,
  NgService,
  NgTcpServer,
  NgUdpServer,
  playOperations,
  setUpCaches,
  SoundFiles,
  transformOperations,
  Webhook,
  type Caller,
  type CommandResult,
  type ConnectionCounters,
  type Dataplane,
  type MediaEvent,
  type SessionManager,
} from '../media/mod.ts';
import type { MediaConfig } from './config/schema.ts';
import { startMediaCopies, type MediaCopies } from './media-copies.ts';

export interface MediaNgParts {
  readonly config: MediaConfig;
  readonly manager: SessionManager;
  readonly dataplane: Dataplane;
  readonly interfaces: readonly { readonly name: string; readonly address: string }[];
  readonly log: Logger;
  readonly register: Registry;
}

export interface MediaNg {
  readonly service: NgService;
  /** For the ready line. */
  readonly listen: Readonly<Record<string, string>>;
  /** To be closed behind the sessions and before the packet path. */
  readonly copies: MediaCopies;
  close(): Promise<void>;
}

/** ng with all its transports, and where events go. @throws Error in words; nothing is left open then. */
export async function startMediaNg(parts: MediaNgParts): Promise<MediaNg> {
  const { config, manager, dataplane, log, register } = parts;
  const requests = new Counter({
    name: 'causeway_media_ng_requests_total',
    help: 'ng requests by command and result.',
    labelNames: ['command', 'result'],
    registers: [register],
  });
  let udp: NgUdpServer | undefined;
  let tcp: NgTcpServer | undefined;
  const sounds = new SoundFiles(dataplane);
  let closed = false;
  const copies = startMediaCopies({
    ...{ recordingDir: config.recordingDir, recordingMaxBytes: config.recordingMaxBytes },
    ...{ manager, dataplane, log, register },
    // What is recorded ends behind ng, when nobody can be told any more.
    publish: (event) => (closed ? undefined : service.publish(event)),
  });
  const service: NgService = new NgService({
    manager,
    dataplane,
    interfaces: parts.interfaces.map(({ name, address }) => ({
      name,
      address,
      min: config.portMin,
      max: config.portMax,
    })),
    now: () => Date.now(),
    clock: () => performance.now(),
    randomCookie: () => randomBytes(8).toString('hex'),
    deleteDelaySeconds: config.deleteDelaySeconds,
    operations: {
      ...copies.operations,
      ...connectOperations(manager),
      ...transformOperations(manager),
      ...gateOperations(manager),
      ...playOperations({
        ...{ manager, dataplane, readSound: (path) => sounds.read(path), publish: (event) => service.publish(event) },
      }),
    },
    alarmMos: config.events.qualityAlarmMos,
    onResult(result, caller) {
      requests.inc({ command: result.command, result: result.failed ?? 'ok' });
      logResult(log, result, caller);
    },
    onUnknownKey: (key) => log.warn({ key }, 'ng: a key that is not known is ignored'),
    ...(config.dtmfLogNgTcp ? { pushDtmf: (frame, except) => tcp?.pushAll(frame, except) } : {}),
  });
  dataplane.onEvent((event) => {
    if (event.type === 'dtls' && event.state === 'failed')
      log.warn({ endpoint: event.endpoint, reason: event.reason }, 'DTLS failed');
    service.dataplaneEvent(event);
  });
  const webhooks = config.events.webhooks.map((url) => new Webhook(url));
  for (const webhook of webhooks) service.hub.add(webhook);
  const open: { close(): Promise<void> }[] = [...webhooks];
  const listen: Record<string, string> = {};
  let http: NgHttpServer | undefined;
  const close = async () => {
    closed = true;
    for (const one of open.toReversed()) await one.close();
  };
  try {
    if (config.dtmfLogDest !== undefined) {
      const dtmfLog = new DtmfLog(config.dtmfLogDest);
      open.push(dtmfLog);
      service.hub.add(dtmfLog, new Set([EVENT_NAMES.dtmf]));
    }
    udp = await NgUdpServer.open(config.listenNg, service);
    open.push(udp);
    listen['ng'] = `udp:${config.listenNg}`;
    if (config.listenTcpNg !== undefined) {
      tcp = await NgTcpServer.open(config.listenTcpNg, service, config.maxNgConnections);
      open.push(tcp);
      listen['ngTcp'] = `tcp:${config.listenTcpNg}`;
    }
    if (config.listenHttpNg !== undefined) {
      http = await NgHttpServer.open(config.listenHttpNg, service, config.maxNgConnections);
      open.push(http);
      listen['ngHttp'] = `http://${config.listenHttpNg}`;
    }
  } catch (error) {
    await close();
    throw error;
  }
  registerMetrics(register, service, webhooks, { udp, tcp, http });
  registerSounds(register, sounds);
  return { service, listen, copies, close };
}

function logResult(log: Logger, result: CommandResult, caller: Caller): void {
  const about = { call: result.callId?.slice(0, 128), command: result.command };
  const reason = result.reply['error-reason'] ?? result.reply['message'];
  if (result.failed) log.warn({ ...about, from: caller.address, reason }, 'ng request refused');
  else if (result.command === 'delete') log.info({ ...about, totals: result.reply['totals'] }, 'media ended');
  else if (result.command !== 'ping') log.debug(about, 'ng request done');
}

function registerSounds(register: Registry, sounds: SoundFiles): void {
  new Gauge({
    name: 'causeway_media_sound_bytes',
    help: 'Samples of sound files that are kept for the next time they are played.',
    registers: [register],
    collect() {
      this.set(sounds.bytes);
    },
  });
}

function registerMetrics(
  register: Registry,
  service: NgService,
  webhooks: readonly Webhook[],
  servers: {
    readonly udp: NgUdpServer;
    readonly tcp: NgTcpServer | undefined;
    readonly http: NgHttpServer | undefined;
  },
): void {
  const gauge = (name: string, help: string, label: string, read: () => readonly (readonly [string, number])[]) =>
    new Gauge({
      name: `causeway_media_${name}`,
      help,
      labelNames: label === '' ? [] : [label],
      registers: [register],
      collect() {
        for (const [value, count] of read()) this.set(label === '' ? {} : { [label]: value }, count);
      },
    });
  const counter = (name: string, help: string, label: string, read: () => readonly (readonly [string, number])[]) =>
    new Counter({
      name: `causeway_media_${name}`,
      help,
      labelNames: [label],
      registers: [register],
      collect() {
        this.reset();
        for (const [value, count] of read()) this.inc({ [label]: value }, count);
      },
    });
  const { replies, hub, subscriptions, calls } = service;
  gauge('ng_connections', 'ng connections that stand.', 'transport', () => [
    ['tcp', servers.tcp?.connections ?? 0],
    ['ws', servers.http?.webSockets ?? 0],
  ]);
  gauge('ng_replies_kept', 'Replies that are kept for requests sent again.', '', () => [['', replies.size]]);
  gauge('ng_replies_bytes', 'Bytes of the replies that are kept.', '', () => [['', replies.bytes]]);
  gauge('ng_calls_noted', 'Calls that ng has notes of.', '', () => [['', calls.size]]);
  gauge('event_subscribers', 'Connections that have subscribed to events.', '', () => [['', subscriptions.size]]);
  gauge('webhook_waiting', 'Events that wait for a webhook to take them.', '', () => [
    ['', webhooks.reduce((sum, { outbox }) => sum + outbox.size, 0)],
  ]);
  counter('ng_repeated_total', 'Requests that came again, and replies forgotten for want of room.', 'what', () => [
    ['answered', replies.counters.duplicates],
    ['waited', replies.counters.waited],
    ['forgotten', replies.counters.forgotten],
  ]);
  counter('ng_datagrams_total', 'Of ng over UDP; refused: replies that the kernel did not take.', 'what', () => {
    const counters = servers.udp.counters;
    return [
      ['request', counters.requests],
      ['reply', counters.replies],
      ['refused', counters.refused],
    ];
  });
  gauge('setup_cache_entries', 'SDP lines and sets of flags that are not read again.', 'cache', () =>
    Object.entries(setUpCaches()).map(([cache, { size }]) => [cache, size]),
  );
  counter('setup_cache_hits_total', 'Of them, those that were there.', 'cache', () =>
    Object.entries(setUpCaches()).map(([cache, { hits }]) => [cache, hits]),
  );
  counter('setup_cache_misses_total', 'Of them, those that had to be read.', 'cache', () =>
    Object.entries(setUpCaches()).map(([cache, { misses }]) => [cache, misses]),
  );
  counter('ng_connections_cut_total', 'ng connections that were refused or cut off, by reason.', 'reason', () => {
    const all = [servers.tcp?.counters, servers.http?.counters].filter(
      (one): one is ConnectionCounters => one !== undefined,
    );
    const sum = (what: keyof ConnectionCounters) => all.reduce((total, counters) => total + counters[what], 0);
    return [
      ['limit', sum('refused')],
      ['slow', sum('slow')],
      ['nonsense', sum('broken')],
    ];
  });
  counter('events_total', 'Media events, by name.', 'name', () =>
    (Object.entries(EVENT_NAMES) as [MediaEvent['type'], string][]).map(([type, name]) => [
      name,
      hub.counts.get(type) ?? 0,
    ]),
  );
  counter('webhook_events_total', 'Events for webhooks, by what became of them.', 'result', () => {
    const sum = (what: 'delivered' | 'retried' | 'dropped') =>
      webhooks.reduce((total, { outbox }) => total + outbox.counters[what], 0);
    return [
      ['delivered', sum('delivered')],
      ['retried', sum('retried')],
      ['dropped', sum('dropped')],
    ];
  });
}
