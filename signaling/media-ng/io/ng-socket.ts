import { createSocket, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { randomBytes } from 'node:crypto';
import { bencodeBytes, decodeBencode, parseHostPort, type Bencode } from '../../../vocabulary/mod.ts';
import { MediaError } from '../../media-port.ts';

export type NgReply = Readonly<Record<string, Bencode>>;

/** When a request is sent again, in ms after the first; the last is when it is given up. */
const SCHEDULE = [200, 600, 1400, 2400] as const;
const MAX_PENDING = 10_000;

interface Pending {
  readonly resolve: (reply: NgReply) => void;
  readonly reject: (error: MediaError) => void;
  readonly timers: NodeJS.Timeout[];
}

/** ng requests over UDP, with cookies and repetition. It owns two sockets and the timers of what is pending. */
export class NgSocket {
  readonly #pending = new Map<string, Pending>();
  readonly #sockets: Partial<Record<'udp4' | 'udp6', Socket>> = {};
  readonly #prefix = randomBytes(8).toString('hex');
  #next = 0;
  #closed = false;

  get pending(): number {
    return this.#pending.size;
  }

  /** `control`: `udp:HOST:PORT`. @throws MediaError `timeout` or `refused`. */
  request(
    control: string,
    command: Readonly<Record<string, Bencode>>,
    schedule: readonly number[] = SCHEDULE,
  ): Promise<NgReply> {
    const at = parseHostPort(control.replace(/^udp:/, ''));
    if (!at || this.#closed)
      return Promise.reject(new MediaError('refused', `ng address "${control}" is not udp:HOST:PORT`));
    if (this.#pending.size >= MAX_PENDING)
      return Promise.reject(new MediaError('timeout', 'too many ng requests are waiting'));
    const cookie = `${this.#prefix}${(this.#next++).toString(36)}`;
    const bytes = Buffer.concat([Buffer.from(`${cookie} `), bencodeBytes(command)]);
    const socket = this.#socket(isIPv6(at.address) ? 'udp6' : 'udp4');
    return new Promise((resolve, reject) => {
      const send = () => socket.send(bytes, at.port, at.address, () => undefined);
      const timers = schedule.slice(0, -1).map((ms) => setTimeout(send, ms));
      timers.push(
        setTimeout(() => {
          this.#settle(cookie);
          reject(new MediaError('timeout', `media node ${control} did not answer "${String(command['command'])}"`));
        }, schedule.at(-1)),
      );
      this.#pending.set(cookie, { resolve, reject, timers });
      send();
    });
  }

  /** Idempotent; whoever still waits is told. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const cookie of [...this.#pending.keys()])
      this.#settle(cookie)?.reject(new MediaError('timeout', 'the ng client was closed'));
    const open = Object.values(this.#sockets);
    await Promise.all(open.map((socket) => new Promise<void>((resolve) => socket.close(() => resolve()))));
  }

  #settle(cookie: string): Pending | undefined {
    const pending = this.#pending.get(cookie);
    if (!pending) return undefined;
    this.#pending.delete(cookie);
    for (const timer of pending.timers) clearTimeout(timer);
    return pending;
  }

  #socket(family: 'udp4' | 'udp6'): Socket {
    let socket = this.#sockets[family];
    if (!socket) {
      socket = createSocket({ type: family, recvBufferSize: 1 << 20 });
      socket.on('error', () => undefined);
      socket.on('message', (bytes) => {
        const space = bytes.indexOf(0x20);
        if (space <= 0) return;
        const reply = decodeBencode(bytes.subarray(space + 1));
        if (typeof reply !== 'object' || Array.isArray(reply)) return;
        this.#settle(bytes.toString('latin1', 0, space))?.resolve(reply as NgReply);
      });
      this.#sockets[family] = socket;
    }
    return socket;
  }
}
