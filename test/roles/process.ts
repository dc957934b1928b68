import { spawn, type ChildProcess } from 'node:child_process';

const EXECUTABLE = new URL('../../bin/causeway', import.meta.url).pathname;

interface Ready {
  readonly ready: true;
  readonly role: string;
  readonly id: string;
  readonly pid: number;
  readonly listen: Readonly<Record<string, string>>;
}

/** One process of `bin/causeway`. Disposing of it kills what has not ended. */
export class RoleProcess implements AsyncDisposable {
  readonly pid: number;
  readonly lines: Ready[] = [];
  /** Exit status and signal. */
  readonly ended: Promise<{ readonly status: number | null; readonly signal: NodeJS.Signals | null }>;
  readonly #child: ChildProcess;
  #errors = '';
  #output = '';
  readonly #waiting = new Set<() => void>();

  constructor(args: readonly string[], environment: NodeJS.ProcessEnv = {}) {
    this.#child = spawn(EXECUTABLE, [...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...environment },
    });
    this.pid = this.#child.pid ?? 0;
    this.ended = new Promise((resolve) =>
      this.#child.once('close', (status, signal) => {
        resolve({ status, signal });
        this.#wake();
      }),
    );
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      this.#errors += chunk.toString();
      this.#wake();
    });
    let rest = '';
    this.#child.stdout?.on('data', (chunk: Buffer) => {
      this.#output += chunk.toString();
      const lines = (rest + chunk.toString()).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) if (line.startsWith('{"ready":true')) this.lines.push(JSON.parse(line) as Ready);
      this.#wake();
    });
  }

  get errors(): string {
    return this.#errors;
  }

  get output(): string {
    return this.#output;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** The ready line of a role or node, now or later; `turn` 2 is the one after its restart. */
  async ready(id: string, turn = 1): Promise<Ready> {
    let over = false;
    void this.ended.then(() => (over = true));
    for (;;) {
      const line = this.lines.filter((ready) => ready.id === id)[turn - 1];
      if (line) return line;
      if (over) throw new Error(`it ended before ${id} was ready: ${this.#errors}`);
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.ended;
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }
}
