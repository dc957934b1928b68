import { createSocket, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { decodeBencode, encodeBencode, parseHostPort, type Bencode } from '../../../vocabulary/mod.ts';
import type { CommandResult } from '../commands.ts';
import { RecentReplies } from '../replies.ts';

/** `<cookie> <bencode>` in, `<cookie> <bencode>` out. It owns its socket. */
export class NgUdpServer {
  readonly #socket: Socket;
  readonly #replies = new RecentReplies();

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** `run` never throws. @throws Error in words when the port cannot be had. */
  static async open(
    listen: string,
    run: (message: Bencode | undefined, from: string) => CommandResult,
    now: () => number,
  ): Promise<NgUdpServer> {
    const at = parseHostPort(listen);
    if (!at) throw new Error(`ng address "${listen}" is not HOST:PORT`);
    const socket = createSocket({ type: isIPv6(at.address) ? 'udp6' : 'udp4', recvBufferSize: 1 << 20 });
    await new Promise<void>((resolve, reject) => {
      socket.once('error', (error: NodeJS.ErrnoException) => {
        const why = error.code === 'EADDRINUSE' ? 'the port is taken by another process' : error.message;
        reject(new Error(`cannot listen on ng udp ${listen}: ${why}`, { cause: error }));
      });
      socket.bind(at.port, at.address, () => resolve());
    });
    socket.removeAllListeners('error');
    socket.on('error', () => undefined);
    const server = new NgUdpServer(socket);
    socket.on('message', (bytes, from) => server.#receive(bytes, from, run, now()));
    return server;
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => this.#socket.close(() => resolve()));
  }

  #receive(
    bytes: Buffer,
    from: { address: string; port: number },
    run: (message: Bencode | undefined, from: string) => CommandResult,
    now: number,
  ): void {
    const space = bytes.indexOf(0x20);
    // Without a cookie or a port there is nobody to answer.
    if (space <= 0 || space > 255 || from.port === 0) return;
    const cookie = bytes.toString('latin1', 0, space);
    const sender = `${from.address}:${from.port}`;
    const key = `${sender} ${cookie}`;
    let reply = this.#replies.find(key, now);
    if (!reply) {
      const result = run(decodeBencode(bytes.subarray(space + 1)), sender);
      reply = Buffer.from(`${cookie} ${encodeBencode(result.reply)}`, 'utf8');
      this.#replies.keep(key, reply, now);
    }
    this.#socket.send(reply, from.port, from.address, () => undefined);
  }
}
