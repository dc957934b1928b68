import type { HostPort } from '../../vocabulary/mod.ts';
import { loadAddon } from './addon.ts';
import {
  DataplaneError,
  type Dataplane,
  type DataplaneEvent,
  type DataplaneOptions,
  type DataplaneTotals,
  type Endpoint,
  type EndpointSpec,
  type EndpointStats,
  type PathSpec,
  type RemoteSpec,
} from './port.ts';

/** What the add-on hands out (native/napi/addon.cc). */
interface Addon {
  create(options: DataplaneOptions, onEvent: (event: DataplaneEvent) => void): Native;
}

interface Native {
  readonly fingerprint: string;
  /** DER, in hex. */
  readonly certificate: string;
  openEndpoint(spec: EndpointSpec): { id: number; address: string; rtp: number; rtcp: number };
  configure(id: number, remote: RemoteSpec): void;
  setPath(from: number, to: number, path: PathSpec | undefined): void;
  stats(id: number): EndpointStats | undefined;
  closeEndpoint(id: number): void;
  idle(olderThanMs: number): number[];
  totals(): DataplaneTotals;
  close(): void;
}

/**
 * Starts the threads of the packet path and binds the WebRTC port.
 * @throws DataplaneError `bad-argument` with the reason when a port is taken or the add-on is not built.
 */
export function createDataplane(options: DataplaneOptions): Dataplane {
  const listeners: ((event: DataplaneEvent) => void)[] = [];
  const native = translated(() =>
    loadAddon<Addon>().create(options, (event) => {
      for (const listener of listeners) listener(event);
    }),
  );
  const endpoints = new Map<number, Endpoint>();
  return {
    dtls: {
      algorithm: 'sha-256',
      fingerprint: native.fingerprint,
      certificate: Buffer.from(native.certificate, 'hex'),
    },
    openEndpoint(spec) {
      const { id, address, rtp, rtcp } = translated(() => native.openEndpoint(spec));
      const endpoint = endpointOf(
        native,
        id,
        { address, port: rtp },
        rtcp === 0 ? undefined : { address, port: rtcp },
        () => endpoints.delete(id),
      );
      endpoints.set(id, endpoint);
      return endpoint;
    },
    setPath: (from, to, path) => translated(() => native.setPath(from.id, to.id, path)),
    idleEndpoints: (olderThanMs) => native.idle(olderThanMs),
    totals: () => native.totals(),
    onEvent: (listener) => void listeners.push(listener),
    close() {
      endpoints.clear();
      native.close();
      return Promise.resolve();
    },
  };
}

function endpointOf(
  native: Native,
  id: number,
  rtp: HostPort,
  rtcp: HostPort | undefined,
  closed: () => void,
): Endpoint {
  let open = true;
  return {
    id,
    rtp,
    rtcp,
    configure(remote) {
      translated(() => native.configure(id, remote));
    },
    stats() {
      const stats = translated(() => native.stats(id));
      if (!stats) throw new DataplaneError('closed', `endpoint ${id} is closed`);
      return stats;
    },
    close() {
      if (!open) return;
      open = false;
      closed();
      native.closeEndpoint(id);
    },
  };
}

const CODES = new Set(['no-ports', 'no-interface', 'bad-argument', 'closed']);

function translated<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    if (code === undefined || !CODES.has(code)) throw error;
    throw new DataplaneError(code as DataplaneError['code'], message, { cause: error });
  }
}
