import { randomBytes } from 'node:crypto';
import { Counter, type Registry } from 'prom-client';
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
import { gaugesOf } from './gauges.ts';

/** A disk that hangs does not keep the process. */
const CLOSE_MS = 5000;
const QUOTA_MS = 1000;
/** Between two looks at the folder; what is written meanwhile is counted. */
const MEASURE_MS = 30_000;

export interface MediaCopies {
  readonly operations: Operations;
  /** Behind the sessions, before the packet path: resolves when every file is whole. */
  close(): Promise<void>;
}

export interface MediaCopiesParts {
  /** Undefined: nothing is recorded. */
  readonly recordingDir: string | undefined;
  /** Of all that lies there. Undefined: no limit. */
  readonly recordingMaxBytes: number | undefined;
  readonly manager: SessionManager;
  readonly dataplane: Dataplane;
  readonly log: Logger;
  readonly register: Registry;
  readonly publish: (event: MediaEvent) => void;
}

/** Subscriptions and recordings. @throws Error in words when the folder cannot be made. */
export function startMediaCopies(parts: MediaCopiesParts): MediaCopies {
  const { recordingDir, recordingMaxBytes, manager, dataplane, log, publish } = parts;
  const recordings =
    recordingDir === undefined
      ? undefined
      : new Recordings({
          dataplane,
          folder: openRecordingFolder(recordingDir),
          now: () => Date.now(),
          unique: () => randomBytes(8).toString('hex'),
          ...(recordingMaxBytes === undefined
            ? {}
            : {
                quota: { limitBytes: recordingMaxBytes, written: () => dataplane.totals().recordings.bytes },
              }),
          closed({ callId, file, durationMs, reason, error }) {
            if (reason === 'quota')
              log.error({ call: callId.slice(0, 128), file }, 'recording ended: the quota is used up');
            else if (error === undefined) log.info({ call: callId.slice(0, 128), file }, 'recording closed');
            else log.error({ call: callId.slice(0, 128), file, error }, 'recording ended too early');
            publish({ type: 'recording-closed', callId, tag: '', file, durationMs, reason });
          },
        });
  registerMetrics(parts.register, dataplane, recordings);
  const endQuota = recordings && recordingMaxBytes !== undefined ? startQuota(recordings, log) : () => undefined;
  return {
    operations: { ...copyOperations(manager), ...recordingOperations(recordings) },
    async close() {
      endQuota();
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

/** @returns what ends it */
function startQuota(recordings: Recordings, log: Logger): () => void {
  let looking = false;
  const look = (): void => {
    if (looking) return;
    looking = true;
    recordings
      .measure()
      .catch((error: unknown) => log.error({ error: String(error) }, 'the recordings on the disk cannot be counted'))
      .finally(() => (looking = false));
  };
  look();
  const timers = [setInterval(() => recordings.enforceQuota(), QUOTA_MS), setInterval(look, MEASURE_MS)];
  return () => timers.forEach((timer) => clearInterval(timer));
}

function registerMetrics(register: Registry, dataplane: Dataplane, recordings: Recordings | undefined): void {
  const gauge = gaugesOf(register, 'causeway_media_');
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
  gauge('recording_disk_bytes', 'Bytes that recordings take, with a quota.', () => recordings?.usedBytes ?? 0);
  counter('recordings_refused_total', 'Recordings for which the quota had no room.', [], () => [
    [{}, recordings?.refused ?? 0],
  ]);
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
