import { randomBytes } from 'node:crypto';
import { Counter, Gauge, type Registry } from 'prom-client';
import type { Logger } from 'pino';
import {
  copyOperations,
  openRecordingFolder,
  recordingOperations,
  Recordings,
  type Dataplane,
  type MediaEvent,
  type Operations,
  type SessionManager,
} from '../media/mod.ts';

/** A disk that hangs does not keep the process. */
const CLOSE_MS = 5000;

export interface MediaCopies {
  readonly operations: Operations;
  /** Behind the sessions, before the packet path: resolves when every file is whole. */
  close(): Promise<void>;
}

export interface MediaCopiesParts {
  /** Undefined: nothing is recorded. */
  readonly recordingDir: string | undefined;
  readonly manager: SessionManager;
  readonly dataplane: Dataplane;
  readonly log: Logger;
  readonly register: Registry;
  readonly publish: (event: MediaEvent) => void;
}

/** Subscriptions and recordings. @throws Error in words when the folder cannot be made. */
export function startMediaCopies(parts: MediaCopiesParts): MediaCopies {
  const { recordingDir, manager, dataplane, log, publish } = parts;
  const recordings =
    recordingDir === undefined
      ? undefined
      : new Recordings({
          dataplane,
          folder: openRecordingFolder(recordingDir),
          now: () => Date.now(),
          unique: () => randomBytes(8).toString('hex'),
          closed({ callId, file, durationMs, error }) {
            if (error === undefined) log.info({ call: callId.slice(0, 128), file }, 'recording closed');
            else log.error({ call: callId.slice(0, 128), file, error }, 'recording ended too early');
            publish({ type: 'recording-closed', callId, tag: '', file, durationMs });
          },
        });
  registerMetrics(parts.register, dataplane);
  return {
    operations: { ...copyOperations(manager), ...recordingOperations(recordings) },
    async close() {
      const late = Promise.withResolvers<void>();
      const timer = setTimeout(() => {
        log.error('recordings are not whole: the disk does not answer');
        late.resolve();
      }, CLOSE_MS);
      await Promise.race([recordings?.close(), late.promise]);
      clearTimeout(timer);
    },
  };
}

function registerMetrics(register: Registry, dataplane: Dataplane): void {
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name: `causeway_media_${name}`,
      help,
      registers: [register],
      collect() {
        this.set(read());
      },
    });
  const counter = (name: string, help: string, labelNames: string[], read: () => [Record<string, string>, number][]) =>
    new Counter({
      name: `causeway_media_${name}`,
      help,
      labelNames,
      registers: [register],
      collect() {
        this.reset();
        for (const [labels, count] of read()) this.inc(labels, count);
      },
    });
  gauge('taps', 'Copies of streams to subscribers.', () => dataplane.totals().taps);
  gauge('recordings', 'Recordings that are open.', () => dataplane.totals().recordings.open);
  counter('tapped_packets_total', 'Packets that were copied to subscribers.', [], () => [
    [{}, dataplane.totals().tappedPackets],
  ]);
  counter('recorded_packets_total', 'Packets of recorded calls, by what became of them.', ['result'], () => {
    const { packets, lost } = dataplane.totals().recordings;
    return [
      [{ result: 'written' }, packets],
      [{ result: 'lost' }, lost],
    ];
  });
  counter('recorded_bytes_total', 'Bytes of recordings.', [], () => [[{}, dataplane.totals().recordings.bytes]]);
}
