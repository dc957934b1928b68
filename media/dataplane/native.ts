import type { HostPort } from '../../vocabulary/mod.ts';
import { loadAddon } from './addon.ts';
import type { DataplaneTotals, EndpointStats } from './figures.ts';
import {
  DataplaneError,
  type BundleSpec,
  type Dataplane,
  type DataplaneEvent,
  type DataplaneOptions,
  type Endpoint,
  type EndpointSpec,
  type RecordingResult,
  type RemoteSpec,
} from './port.ts';
import type { PathSpec, TapCoding } from './path.ts';
import type { Clip, KeyPress, Playback } from './sound.ts';

/** A recording is whole; told to whoever closed it. */
interface RecordingEnded {
  readonly type: 'recording';
  readonly recording: number;
  readonly packets: number;
  readonly bytes: number;
  readonly reason?: string;
}

/** What the add-on hands out (native/napi/addon.cc). */
interface Addon {
  create(options: DataplaneOptions, onEvent: (event: DataplaneEvent | RecordingEnded) => void): Native;
}

interface Native {
  readonly fingerprint: string;
  /** DER, in hex. */
  readonly certificate: string;
  openEndpoint(spec: EndpointSpec): { id: number; address: string; rtp: number; rtcp: number };
  configure(id: number, remote: RemoteSpec): void;
  setPath(from: number, to: number, path: PathSpec | undefined): void;
  setBundle(carrier: number, bundle: BundleSpec): void;
  tap(from: number, to: number, on: boolean, coding: TapCoding | undefined): void;
  move(id: number, to: { readonly affinity: string }): void;
  mark(id: number, tos: number): void;
  openRecording(spec: { readonly file: string }): number;
  record(recording: number, endpoint: number, on: boolean): void;
  closeRecording(recording: number): void;
  stats(id: number): EndpointStats | undefined;
  closeEndpoint(id: number): void;
  clip(samples: Int16Array, rate: number): unknown;
  play(to: number, clip: unknown, playback: Required<Playback>): void;
  stopPlaying(to: number): { playback: number; positionMs: number } | undefined;
  press(to: number, key: KeyPress): void;
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
  const recordings = new Map<number, (result: RecordingResult) => void>();
  const ended = (id: number, result: RecordingResult): void => {
    recordings.get(id)?.(result);
    recordings.delete(id);
  };
  const native = translated(() =>
    loadAddon<Addon>().create(options, (event) => {
      if (event.type === 'recording') {
        const { packets, bytes, reason } = event;
        ended(event.recording, { packets, bytes, error: reason });
        return;
      }
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
    setBundle: (carrier, bundle) => translated(() => native.setBundle(carrier.id, bundle)),
    clip(samples, rate): Clip {
      const held = translated(() => native.clip(samples, rate));
      return { native: held, durationMs: Math.round((samples.length * 1000) / rate), bytes: samples.byteLength };
    },
    play: (to, clip, playback) => translated(() => native.play(to.id, clip.native, { ...ONCE, ...playback })),
    stopPlaying: (to) => translated(() => native.stopPlaying(to.id)),
    press: (to, key) => translated(() => native.press(to.id, key)),
    tap: (from, to, on, coding) => translated(() => native.tap(from.id, to.id, on, coding)),
    openRecording(file) {
      const id = translated(() => native.openRecording({ file }));
      let tell: (result: RecordingResult) => void = () => undefined;
      const result = new Promise<RecordingResult>((resolve) => (tell = resolve));
      recordings.set(id, tell);
      return {
        record: (endpoint, on) => translated(() => native.record(id, endpoint.id, on)),
        close() {
          native.closeRecording(id);
          return result;
        },
      };
    },
    idleEndpoints: (olderThanMs) => native.idle(olderThanMs),
    totals: () => native.totals(),
    onEvent: (listener) => void listeners.push(listener),
    close() {
      native.close();
      // They are whole on the disk, but nobody will be told how much that is.
      for (const id of [...recordings.keys()]) ended(id, { packets: 0, bytes: 0, error: 'the packet path is closed' });
      return Promise.resolve();
    },
  };
}

const ONCE = { times: 1, startMs: 0, limitMs: 0, mutePeer: false, behind: false } as const;

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

  move(affinity: string): void {
    translated(() => this.#native.move(this.id, { affinity }));
  }

  mark(tos: number | undefined): void {
    translated(() => this.#native.mark(this.id, tos ?? -1));
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
