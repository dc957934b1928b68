/** Why a node takes no call; the texts are rtpengine's, but for the last. */
export const LIMIT_TEXTS = {
  sessions: 'Parallel session limit reached',
  load: 'Load limit exceeded',
  cpu: 'CPU usage limit exceeded',
  bandwidth: 'Bandwidth limit exceeded',
  ports: 'Ran out of ports',
  draining: 'This node is draining',
} as const;

export type LimitName = keyof typeof LIMIT_TEXTS;

/** How busy a node may be and still take calls. Absent: as busy as it likes. */
export interface LoadLimits {
  /** The machine's load average over the last minute. */
  readonly maxLoad?: number | undefined;
  /** Of a core, by the busiest thread: a call stays on one thread. */
  readonly maxCpuPercent?: number | undefined;
  /** Of UDP payloads, both directions together. */
  readonly maxBandwidthMbit?: number | undefined;
}

/** What was read at one time; the counters only grow. */
export interface LoadSample {
  /** Of a clock that never jumps. */
  readonly nowMs: number;
  readonly loadAverage: number;
  /** CPU time since start, of each thread in the same order every time. */
  readonly threadCpuMs: readonly number[];
  /** Received and sent since start. */
  readonly bytes: number;
}

type Measured = 'load' | 'cpu' | 'bandwidth';

const WINDOW_MS = 3000;
/** A node that refused takes calls again below this part of the limit: at the limit itself it would take every other one. */
const RELIEF = 0.9;
/** Samples in the window; at one a second there are four. */
const MAX_SAMPLES = 32;

/** How busy a node is, as the mean of the last seconds, and whether that is too much for another call. */
export class NodeLoad {
  readonly #limits: Readonly<Record<Measured, number | undefined>>;
  readonly #samples: LoadSample[] = [];
  readonly #over = new Set<Measured>();
  #figures: Readonly<Record<Measured, number>> = { load: 0, cpu: 0, bandwidth: 0 };

  constructor({ maxLoad, maxCpuPercent, maxBandwidthMbit }: LoadLimits) {
    this.#limits = { load: maxLoad, cpu: maxCpuPercent, bandwidth: maxBandwidthMbit };
  }

  /** Load average, percent of a core of the busiest thread, megabits a second. */
  get figures(): Readonly<Record<Measured, number>> {
    return this.#figures;
  }

  /** The limit that is exceeded; of several the first, as rtpengine asks them. */
  get exceeded(): Measured | undefined {
    return (['load', 'cpu', 'bandwidth'] as const).find((name) => this.#over.has(name));
  }

  /** About once a second. */
  sample(latest: LoadSample): void {
    const samples = this.#samples;
    const before = samples.at(-1);
    if (before && latest.nowMs <= before.nowMs) return;
    samples.push(latest);
    // The window begins with the last sample that is as old as it is long.
    while (samples.length > MAX_SAMPLES || (samples[1] && latest.nowMs - samples[1].nowMs >= WINDOW_MS))
      samples.shift();
    const [oldest] = samples;
    if (!oldest || oldest === latest) return;
    this.#figures = measured(oldest, latest);
    for (const name of Object.keys(this.#limits) as Measured[]) {
      const limit = this.#limits[name];
      if (limit === undefined) continue;
      const figure = this.#figures[name];
      if (figure >= limit) this.#over.add(name);
      else if (figure < limit * RELIEF) this.#over.delete(name);
    }
  }
}

function measured(from: LoadSample, to: LoadSample): Readonly<Record<Measured, number>> {
  const elapsedMs = to.nowMs - from.nowMs;
  const busiestMs = Math.max(0, ...to.threadCpuMs.map((ms, thread) => ms - (from.threadCpuMs[thread] ?? 0)));
  return {
    load: to.loadAverage,
    cpu: (busiestMs * 100) / elapsedMs,
    bandwidth: ((to.bytes - from.bytes) * 8) / elapsedMs / 1000,
  };
}
