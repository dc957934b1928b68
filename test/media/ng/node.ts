import { createDataplane, type Dataplane } from '../../../media/dataplane/mod.ts';
import {
  NgHttpServer,
  NgService,
  NgTcpServer,
  NgUdpServer,
  type MediaEvent,
  type Operations,
  type ServiceOptions,
} from '../../../media/ng/mod.ts';
import { SessionManager, type NodeLoad } from '../../../media/session/mod.ts';
import type { DataplaneTotals } from '../../../media/dataplane/mod.ts';
import { until } from '../../support/until.ts';
import { PlaneDouble } from '../session/plane-double.ts';

export const NO_TOTALS: DataplaneTotals = {
  endpoints: 0,
  paths: 0,
  transcoders: 0,
  portsInUse: 0,
  portsTotal: 100,
  nativeBytes: 0,
  threads: 0,
  packetsReceived: 0,
  packetsSent: 0,
  bytesReceived: 0,
  bytesSent: 0,
  dropped: {},
  cpuMs: 0,
  threadCpuMs: [],
  dtlsHandshakes: { connected: 0, failed: 0 },
  ice: { checksSent: 0, checksAnswered: 0, checksHeld: 0, candidatesRefused: 0, failed: 0, consentLost: 0 },
  taps: 0,
  tappedPackets: 0,
  recordings: { open: 0, packets: 0, bytes: 0, lost: 0 },
  eventsLost: 0,
};

/** A clock that a test moves. */
export interface Time {
  /** Epoch ms; the other clock runs with it. */
  now: number;
}

/** An ng service over a packet path without packets, in virtual time. */
export function pureService(
  options: Partial<ServiceOptions> = {},
  maxSessions = 10,
  operations: (manager: SessionManager) => Operations = () => ({}),
  plane = new PlaneDouble(),
) {
  /** What a test says is too much. */
  const load: { exceeded: NodeLoad['exceeded'] } = { exceeded: undefined };
  const manager = new SessionManager({
    ...{ dataplane: plane, interfaces: ['default'], maxSessions, load, timeoutSeconds: 60 },
  });
  const time: Time = { now: 1_795_191_540_600.719 };
  let cookies = 0;
  const service = new NgService({
    manager,
    dataplane: { totals: () => NO_TOTALS },
    interfaces: [{ name: 'default', address: '127.0.0.1', min: 30_000, max: 40_000 }],
    now: () => time.now,
    clock: () => time.now,
    randomCookie: () => `push${++cookies}`,
    operations: operations(manager),
    ...options,
  });
  return { plane, manager, load, time, service };
}

/** The same over the real packet path, on `ports` from `base`. */
export function realService(
  base: number,
  options: Partial<ServiceOptions> = {},
  operations: (manager: SessionManager, plane: Dataplane, publish: NgService['publish']) => Operations = () => ({}),
  threads = 1,
) {
  const plane: Dataplane = createDataplane({
    interfaces: [{ name: 'default', address: '127.0.0.1', advertised: '127.0.0.1' }],
    portMin: base,
    portMax: base + 99,
    webrtcPort: base + 101,
    threads,
  });
  const manager = new SessionManager({
    dataplane: plane,
    interfaces: ['default'],
    maxSessions: 40,
    timeoutSeconds: 60,
  });
  let cookies = 0;
  const service: NgService = new NgService({
    manager,
    dataplane: plane,
    interfaces: [{ name: 'default', address: '127.0.0.1', min: base, max: base + 99 }],
    now: () => Date.now(),
    clock: () => performance.now(),
    randomCookie: () => `push${++cookies}`,
    operations: operations(manager, plane, (event) => service.publish(event)),
    ...options,
  });
  plane.onEvent((event) => service.dataplaneEvent(event));
  return { plane, manager, service };
}

/** Its ng servers on loopback; a test closes what is in the list, the last first. */
export async function serve(
  { service, plane, manager }: ReturnType<typeof realService>,
  ports: { readonly udp: number; readonly tcp: number; readonly http: number },
): Promise<{ readonly tcp: NgTcpServer; readonly closing: (() => unknown)[] }> {
  const udp = await NgUdpServer.open(`127.0.0.1:${ports.udp}`, service);
  const tcp = await NgTcpServer.open(`127.0.0.1:${ports.tcp}`, service);
  const http = await NgHttpServer.open(`127.0.0.1:${ports.http}`, service);
  const servers = [udp, tcp, http].map((server) => () => server.close());
  return { tcp, closing: [() => plane.close(), () => manager.close(), ...servers] };
}

export const DTMF: MediaEvent = {
  ...{ type: 'dtmf', callId: 'x', tag: 'f', tags: ['t', 'f'], sourceAddress: '127.0.1.1' },
  ...{ event: 5, durationMs: 80, volume: 10 },
};

export const OFFER = [
  'v=0',
  'o=alice 100 1 IN IP4 127.0.1.1',
  's=session',
  'c=IN IP4 127.0.1.1',
  't=0 0',
  'm=audio 6000 RTP/AVP 0 8 101',
  'a=rtpmap:0 PCMU/8000',
  'a=rtpmap:8 PCMA/8000',
  'a=rtpmap:101 telephone-event/8000',
  'a=fmtp:101 0-15',
  'a=sendrecv',
  'a=ptime:20',
  '',
].join('\r\n');

export const ANSWER = [
  'v=0',
  'o=bob 100 1 IN IP4 127.0.1.2',
  's=session',
  'c=IN IP4 127.0.1.2',
  't=0 0',
  'm=audio 7000 RTP/AVP 0 101',
  'a=rtpmap:0 PCMU/8000',
  'a=rtpmap:101 telephone-event/8000',
  'a=sendrecv',
  '',
].join('\r\n');

/** Waits until it is so; looks every 10 ms. */
export function soon(ask: () => boolean, timeoutMs = 5000): Promise<true> {
  return until(String(ask), ask as () => true | false, timeoutMs, 10) as Promise<true>;
}
