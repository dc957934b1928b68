import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { RoleProcess } from '../roles/process.ts';
import { decodeBencode, encodeBencode, type Bencode } from '../../vocabulary/mod.ts';
import { scrape, total, type Scrape } from './metrics.ts';

export type NgReply = Readonly<Record<string, Bencode>>;

/** `causeway media` as a process of its own, asked over ng like any proxy asks it. */
export class MediaNode implements AsyncDisposable {
  readonly pid: number;
  readonly webrtcPort: number;
  readonly #process: RoleProcess;
  readonly #socket: Socket;
  readonly #ngPort: number;
  readonly #metrics: string;
  readonly #waiting = new Map<string, (reply: NgReply) => void>();
  #cookie = 0;

  private constructor(process: RoleProcess, socket: Socket, base: number) {
    this.pid = process.pid;
    this.webrtcPort = base + 1;
    this.#process = process;
    this.#socket = socket;
    this.#ngPort = base;
    this.#metrics = `127.0.0.1:${base + 2}`;
    socket.on('message', (bytes: Buffer) => {
      const space = bytes.indexOf(0x20);
      const cookie = bytes.toString('latin1', 0, space);
      this.#waiting.get(cookie)?.(decodeBencode(bytes.subarray(space + 1)) as NgReply);
      this.#waiting.delete(cookie);
    });
  }

  /** ng on `base`, then WebRTC and metrics; RTP from `base` + 10 to `last`. */
  static async start(
    base: number,
    last: number,
    more: readonly string[] = [],
    environment: NodeJS.ProcessEnv = {},
  ): Promise<MediaNode> {
    const args = [
      ...['media', '--id', 'node', '--listen-ng', `127.0.0.1:${base}`, '--interface', '127.0.0.1'],
      ...['--webrtc-port', String(base + 1), '--metrics', `127.0.0.1:${base + 2}`],
      ...['--port-min', String(base + 10), '--port-max', String(last), '--log-level', 'error', ...more],
    ];
    const process = new RoleProcess(args, environment);
    await process.ready('node');
    const socket = createSocket({ type: 'udp4', recvBufferSize: 1 << 20 });
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    return new MediaNode(process, socket, base);
  }

  /** What the node has written on stderr. */
  get log(): string {
    return this.#process.errors;
  }

  /** One command. Sent again after half a second without a reply, as proxies do. */
  ask(command: Readonly<Record<string, Bencode>>): Promise<NgReply> {
    const cookie = `c${++this.#cookie}`;
    const bytes = `${cookie} ${encodeBencode(command)}`;
    return new Promise((resolve, reject) => {
      let tries = 0;
      const send = (): void => {
        if (++tries > 10) {
          this.#waiting.delete(cookie);
          clearInterval(timer);
          reject(new Error(`no reply to ${String(command['command'])}: ${this.log.slice(-2000)}`));
        } else this.#socket.send(bytes, this.#ngPort, '127.0.0.1');
      };
      const timer = setInterval(send, 500);
      this.#waiting.set(cookie, (reply) => {
        clearInterval(timer);
        resolve(reply);
      });
      send();
    });
  }

  metrics(): Promise<Scrape> {
    return scrape(this.#metrics);
  }

  async total(name: string): Promise<number> {
    return total(await this.metrics(), `causeway_media_${name}`);
  }

  /** Datagrams dropped, by reason. */
  async dropped(): Promise<ReadonlyMap<string, number>> {
    const found = new Map<string, number>();
    for (const [key, value] of await this.metrics()) {
      const reason = /^causeway_media_dropped_total\{.*reason="([^"]+)"/.exec(key)?.[1];
      if (reason !== undefined) found.set(reason, value);
    }
    return found;
  }

  /** Of the process, as the kernel counts: resident bytes, threads, descriptors. */
  usage(): { readonly bytes: number; readonly threads: number; readonly descriptors: number } {
    const status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
    const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1]);
    return {
      bytes: field('VmRSS') * 1024,
      threads: field('Threads'),
      descriptors: readdirSync(`/proc/${this.pid}/fd`).length,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    await this.#process[Symbol.asyncDispose]();
  }
}
