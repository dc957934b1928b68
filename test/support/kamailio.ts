import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ended } from './media-peers.ts';
import { until } from './until.ts';

const CONFIG = new URL('../peers/kamailio.cfg', import.meta.url);

export interface KamailioPorts {
  readonly sip: number;
  readonly webSocket: number;
  readonly gateway: number;
  /** Rings too when the number begins with 2. */
  readonly secondGateway: number;
}

/** Debian's Kamailio on a configuration of ours; what changes between two runs is the socket of the media node alone. */
export class Kamailio implements AsyncDisposable {
  /** `127.0.0.1:PORT` of SIP over UDP. */
  readonly sip: string;
  readonly webSocket: string;
  readonly #child: ChildProcess;
  readonly #folder: string;
  #log = '';

  private constructor(ports: KamailioPorts, ng: string) {
    this.sip = `127.0.0.1:${ports.sip}`;
    this.webSocket = `ws://127.0.0.1:${ports.webSocket}`;
    this.#folder = mkdtempSync(join(tmpdir(), 'causeway-kamailio-'));
    const file = join(this.#folder, 'kamailio.cfg');
    const defines = [
      '#!KAMAILIO',
      `#!define NG_SOCKET "udp:${ng}"`,
      `#!define PROXY ${this.sip}`,
      `#!define WEBSOCKET 127.0.0.1:${ports.webSocket}`,
      `#!define GATEWAY "127.0.0.1:${ports.gateway}"`,
      `#!define SECOND_GATEWAY "127.0.0.1:${ports.secondGateway}"`,
    ];
    writeFileSync(file, `${defines.join('\n')}\n${readFileSync(CONFIG, 'utf8').replace('#!KAMAILIO\n', '')}`);
    // -DD: its main process is our child; it ends its workers itself.
    this.#child = spawn('kamailio', ['-DD', '-E', '-f', file, '-Y', this.#folder, '-m', '32', '-M', '4'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (chunk: Buffer) => (this.#log = (this.#log + chunk.toString()).slice(-20_000)));
    }
  }

  static async start(ports: KamailioPorts, ng: string): Promise<Kamailio> {
    const kamailio = new Kamailio(ports, ng);
    try {
      await until('Kamailio listens', () => {
        if (kamailio.#child.exitCode !== null) throw new Error('it has ended');
        return reachable(ports.webSocket);
      });
      return kamailio;
    } catch (error) {
      const log = kamailio.log;
      await kamailio[Symbol.asyncDispose]();
      throw new Error(`Kamailio has not started: ${log}`, { cause: error });
    }
  }

  get log(): string {
    return this.#log;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await ended(this.#child);
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function reachable(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
