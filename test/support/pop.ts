import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';

const EXECUTABLE = new URL('../../bin/causeway', import.meta.url).pathname;

/** The ports of one PoP under test: everything stands at fixed distances from `base`, so that test files never meet. */
export interface PopPorts {
  readonly registry: number;
  readonly gateway: number;
  readonly signaling: readonly {
    readonly sip: number;
    readonly tls: number;
    readonly https: number;
    readonly metrics: number;
  }[];
  readonly media: readonly {
    readonly ng: number;
    readonly webrtc: number;
    readonly min: number;
    readonly max: number;
    readonly metrics: number;
  }[];
}

export interface PopOptions {
  /** First of the 100 control and SIP ports that this PoP uses; below the ephemeral range. */
  readonly base: number;
  /** First of its 2,000 media ports. */
  readonly mediaBase: number;
  /** `simulator`: our own PSTN simulator; `external`: the test runs a gateway at `ports.gateway`. */
  readonly gateway: 'simulator' | 'external';
  /** ng addresses that signaling takes instead of asking the registry; the PoP then has no media nodes of its own. */
  readonly mediaNodes?: readonly string[];
  readonly accounts?: readonly { user: string; password: string; number?: string }[];
}

export const ACCOUNTS = [
  { user: 'alice', password: 'wire-test-a', number: '1001' },
  { user: 'bob', password: 'wire-test-b', number: '1002' },
  { user: 'carol', password: 'wire-test-c', number: '1003' },
] as const;

/** A whole PoP as a user starts it: `causeway up --config FILE`, every role a process. Disposing of it ends it and checks how it ended. */
export class Pop implements AsyncDisposable {
  readonly ports: PopPorts;
  readonly ready = new Map<string, { role: string; pid?: number; listen: Record<string, string> }>();
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #ended: Promise<number | null>;
  #log = '';

  private constructor(options: PopOptions) {
    this.ports = portsOf(options);
    this.#folder = mkdtempSync(join(tmpdir(), 'causeway-pop-'));
    const config = join(this.#folder, 'pop.yaml');
    writeFileSync(config, stringify(configOf(options, this.ports)));
    this.#child = spawn(EXECUTABLE, ['up', '--config', config, '--data-dir', join(this.#folder, 'data')], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child.stderr?.on('data', (chunk: Buffer) => (this.#log = (this.#log + chunk.toString()).slice(-400_000)));
    this.#ended = new Promise((resolve) => this.#child.once('close', resolve));
  }

  static async start(options: PopOptions): Promise<Pop> {
    const pop = new Pop(options);
    try {
      await pop.#untilReady(20_000);
      return pop;
    } catch (error) {
      await pop[Symbol.asyncDispose]().catch(() => undefined);
      throw error;
    }
  }

  /** Everything that the roles logged, newest last. */
  get log(): string {
    return this.#log;
  }

  /** The https origin of signaling node `index`: page, API and WSS. */
  origin(index: number): string {
    return `https://127.0.0.1:${this.ports.signaling[index]?.https}`;
  }

  /** The metrics pages of all nodes of one kind. */
  metrics(kind: 'signaling' | 'media'): readonly string[] {
    return this.ports[kind].map(({ metrics }) => `127.0.0.1:${metrics}`);
  }

  /** PEM of the certificate authority that `up` has made. */
  ca(): string {
    return readFileSync(join(this.#folder, 'data', 'tls', 'ca.pem'), 'utf8');
  }

  /** The pid of a role's process now, e.g. `media-1`. */
  pid(id: string): number {
    const pid = this.ready.get(id)?.pid;
    if (pid === undefined) throw new Error(`no pid known for ${id}: ${[...this.ready.keys()].join(', ')}`);
    return pid;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null) this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 5000);
    const status = await this.#ended;
    clearTimeout(timer);
    rmSync(this.#folder, { recursive: true, force: true });
    if (status !== 0) throw new Error(`causeway up ended with ${status}:\n${this.#log.slice(-3000)}`);
  }

  async #untilReady(timeoutMs: number): Promise<void> {
    let buffer = '';
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`the PoP was not ready in ${timeoutMs} ms:\n${this.#log.slice(-3000)}`)),
        timeoutMs,
      );
      void this.#ended.then((status) => {
        clearTimeout(timer);
        reject(new Error(`causeway up ended with ${status} before it was ready:\n${this.#log.slice(-3000)}`));
      });
      this.#child.stdout?.on('data', (chunk: Buffer) => {
        buffer += chunk.toString();
        const lines = buffer.split('\n');
        buffer = lines.pop() ?? '';
        for (const line of lines) {
          if (!line.startsWith('{')) continue;
          const parsed = JSON.parse(line) as {
            ready?: boolean;
            role: string;
            id?: string;
            pid?: number;
            listen: Record<string, string>;
          };
          if (!parsed.ready) continue;
          this.ready.set(parsed.id ?? parsed.role, parsed);
          if (parsed.role === 'up') {
            clearTimeout(timer);
            resolve();
          }
        }
      });
    });
  }
}

function portsOf({ base, mediaBase }: PopOptions): PopPorts {
  return {
    registry: base,
    gateway: base + 1,
    signaling: [0, 1].map((i) => ({
      sip: base + 10 + i * 10,
      tls: base + 11 + i * 10,
      https: base + 12 + i * 10,
      metrics: base + 13 + i * 10,
    })),
    media: [0, 1].map((i) => ({
      ng: base + 40 + i * 10,
      webrtc: base + 41 + i * 10,
      metrics: base + 43 + i * 10,
      min: mediaBase + i * 1000,
      max: mediaBase + i * 1000 + 799,
    })),
  };
}

function configOf(options: PopOptions, ports: PopPorts): unknown {
  const registry = `http://127.0.0.1:${ports.registry}`;
  return {
    publicAddress: '127.0.0.1',
    log: { level: 'info' },
    registry: { listen: `127.0.0.1:${ports.registry}` },
    signaling: ports.signaling.map((port, i) => ({
      id: `signaling-${i + 1}`,
      sip: [
        `udp:127.0.0.1:${port.sip}`,
        `tcp:127.0.0.1:${port.sip}`,
        `tls:127.0.0.1:${port.tls}`,
        `wss:127.0.0.1:${port.https}`,
      ],
      metrics: `127.0.0.1:${port.metrics}`,
      registry,
      ...(options.mediaNodes && { mediaNodes: options.mediaNodes }),
      accounts: options.accounts ?? ACCOUNTS,
      trunks: [
        {
          name: 'pstn',
          uri: `sip:127.0.0.1:${ports.gateway};transport=udp`,
          sources: [`127.0.0.1:${ports.gateway}`],
          match: '^\\+?[0-9]+$',
        },
      ],
    })),
    media: (options.mediaNodes ? [] : ports.media).map((port, i) => ({
      id: `media-${i + 1}`,
      listenNg: `127.0.0.1:${port.ng}`,
      interfaces: ['127.0.0.1'],
      portMin: port.min,
      portMax: port.max,
      webrtcPort: port.webrtc,
      metrics: `127.0.0.1:${port.metrics}`,
      registry,
    })),
    ...(options.gateway === 'simulator' && {
      gatewaySim: {
        sip: `127.0.0.1:${ports.gateway}`,
        portMin: options.mediaBase + 1800,
        portMax: options.mediaBase + 1999,
        proxy: `sip:127.0.0.1:${ports.signaling[0]?.sip}`,
      },
    }),
  };
}

/** A SIPp scenario of this folder with its `__NAMES__` filled in, as text. */
export function scenario(name: string, values: Readonly<Record<string, string>> = {}): string {
  const text = readFileSync(new URL(`../wire/scenarios/${name}.xml`, import.meta.url), 'utf8');
  return text.replace(/__([A-Z_]+)__/g, (whole, key: string) => values[key] ?? whole);
}
