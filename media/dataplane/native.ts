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
  return {
    dtls: {
      algorithm: 'sha-256',
      fingerprint: native.fingerprint,
      certificate: Buffer.from(native.certificate, 'hex'),
    },
    openEndpoint(spec) {
      const { id, address, rtp, rtcp } = translated(() => native.openEndpoint(spec));
      const other = rtcp === 0 ? undefined : { address, port: rtcp };
      return new NativeEndpoint(native, id, { address, port: rtp }, other);
    },
    setPath: (from, to, path) => translated(() => native.setPath(from.id, to.id, path)),
    idleEndpoints: (olderThanMs) => native.idle(olderThanMs),
    totals: () => native.totals(),
    onEvent: (listener) => void listeners.push(listener),
    close() {
      native.close();
      return Promise.resolve();
    },
  };
}

class NativeEndpoint implements Endpoint {
  readonly id: number;
  readonly rtp: HostPort;
  readonly rtcp: HostPort | undefined;
  readonly #native: Native;
  #open = true;

  constructor(native: Native, id: number, rtp: HostPort, rtcp: HostPort | undefined) {
    this.#native = native;
    this.id = id;
    this.rtp = rtp;
    this.rtcp = rtcp;
  }

  configure(remote: RemoteSpec): void {
    translated(() => this.#native.configure(this.id, remote));
  }

  stats(): EndpointStats {
    const stats = translated(() => this.#native.stats(this.id));
    if (!stats) throw new DataplaneError('closed', `endpoint ${this.id} is closed`);
    return stats;
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#native.closeEndpoint(this.id);
  }
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
