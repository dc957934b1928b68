import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from './until.ts';

export interface SippResult {
  readonly status: number | null;
  readonly successful: number;
  readonly failed: number;
  /** The error log, for the message of a failing test. */
  readonly errors: string;
}

/** A running SIPp. Whoever started it awaits `finished` or disposes of it; both leave no process and no file behind. */
export class Sipp implements AsyncDisposable {
  readonly finished: Promise<SippResult>;
  readonly #child: ChildProcess;
  readonly #folder: string;

  constructor(args: readonly string[]) {
    const folder = mkdtempSync(join(tmpdir(), 'causeway-sipp-'));
    this.#folder = folder;
    // -bg would fork away from our pid; -trace_stat gives the figures in a file that can be read by column name.
    this.#child = spawn(
      'sipp',
      [
        ...args,
        '-nostdin',
        '-trace_stat',
        '-fd',
        '1',
        '-stf',
        join(folder, 'stat.csv'),
        '-trace_err',
        '-error_file',
        join(folder, 'errors.log'),
        '-trace_logs',
        '-log_file',
        join(folder, 'scenario.log'),
      ],
      { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] },
    );
    let stderr = '';
    this.#child.stderr?.on('data', (chunk: Buffer) => (stderr = (stderr + chunk.toString()).slice(-20_000)));
    this.finished = new Promise((resolve, reject) => {
      this.#child.once('error', reject);
      this.#child.once('close', (status) => {
        const result = { status, ...figures(folder), errors: errorLog(folder) + stderr };
        rmSync(folder, { recursive: true, force: true });
        resolve(result);
      });
    });
  }

  /** What the scenario has written with `<log>`, as soon as a line matches. */
  async logged(pattern: RegExp): Promise<RegExpExecArray> {
    const file = join(this.#folder, 'scenario.log');
    return until(
      `SIPp logs ${pattern}`,
      () => (existsSync(file) && pattern.exec(readFileSync(file, 'utf8'))) || undefined,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill('SIGKILL');
    await this.finished.catch(() => undefined);
  }
}

function figures(folder: string): { successful: number; failed: number } {
  try {
    const lines = readFileSync(join(folder, 'stat.csv'), 'utf8').trim().split('\n');
    const names = (lines[0] ?? '').split(';');
    const values = (lines.at(-1) ?? '').split(';');
    const value = (name: string) => Number(values[names.indexOf(name)] ?? Number.NaN);
    return { successful: value('SuccessfulCall(C)'), failed: value('FailedCall(C)') };
  } catch {
    return { successful: Number.NaN, failed: Number.NaN };
  }
}

function errorLog(folder: string): string {
  return readdirSync(folder)
    .filter((name) => name.startsWith('errors'))
    .map((name) => readFileSync(join(folder, name), 'utf8').slice(-4000))
    .join('\n');
}
