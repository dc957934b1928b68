import { spawn, type ChildProcess } from 'node:child_process';

export interface ReadyLine {
  readonly ready: true;
  readonly role: string;
  readonly id: string;
  readonly pid: number;
  readonly listen: Readonly<Record<string, string>>;
}

const EXECUTABLE = new URL('../../bin/causeway', import.meta.url).pathname;
const MAX_WAIT_MS = 5000;
const STEADY_MS = 30_000;

export interface ChildEvents {
  ready(line: ReadyLine): void;
  /** It died by itself; it comes back after `againInMs`. */
  died(id: string, how: string, againInMs: number): void;
}

/** One role as a process of its own, started again when it dies. `stop` ends it for good. */
export class Child {
  readonly id: string;
  readonly #arguments: readonly string[];
  readonly #events: ChildEvents;
  #process: ChildProcess | undefined;
  #timer: NodeJS.Timeout | undefined;
  #waitMs = 200;
  #stopping = false;

  constructor(id: string, args: readonly string[], events: ChildEvents) {
    this.id = id;
    this.#arguments = args;
    this.#events = events;
  }

  /** Resolves when it serves for the first time; rejects when it ends before that. */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#stopping) {
        reject(new Error(`${this.id} was stopped`));
        return;
      }
      const startedAt = performance.now();
      let serves = false;
      // Its stdin is ours to hold: when this process ends in any way, the role sees the end and stops too.
      const child = spawn(EXECUTABLE, [...this.#arguments], {
        stdio: ['pipe', 'pipe', 'inherit'],
        env: { ...process.env, CAUSEWAY_STOP_WITH_STDIN: '1' },
      });
      this.#process = child;
      let pending = '';
      child.stdout?.on('data', (chunk: Buffer) => {
        pending += chunk.toString();
        const lines = pending.split('\n');
        pending = (lines.pop() ?? '').slice(-65_536);
        for (const line of lines) {
          const ready = readyLine(line);
          if (!ready) continue;
          serves = true;
          this.#events.ready(ready);
          resolve();
        }
      });
      child.once('error', (error) => reject(error));
      child.once('close', (status, signal) => {
        this.#process = undefined;
        const how = signal === null ? `ended with status ${status}` : `was ended by ${signal}`;
        if (!serves) reject(new Error(`${this.id} ${how} before it served`));
        if (this.#stopping || (!serves && this.#timer === undefined && this.#waitMs === 200)) return;
        if (performance.now() - startedAt > STEADY_MS) this.#waitMs = 200;
        this.#events.died(this.id, how, this.#waitMs);
        this.#timer = setTimeout(() => void this.start().catch(() => undefined), this.#waitMs);
        this.#waitMs = Math.min(this.#waitMs * 2, MAX_WAIT_MS);
      });
    });
  }

  /** SIGTERM, and SIGKILL when that was not enough. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#timer);
    const child = this.#process;
    if (!child) return;
    const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
    await ended;
    clearTimeout(timer);
  }
}

function readyLine(line: string): ReadyLine | undefined {
  if (!line.startsWith('{"ready":true')) return undefined;
  try {
    return JSON.parse(line) as ReadyLine;
  } catch {
    return undefined;
  }
}
