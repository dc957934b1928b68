import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { parseHostPort } from '../../../vocabulary/mod.ts';
import { cutCookie, frameOf, readPayload, writePayload } from '../message.ts';
import type { NgService } from '../service.ts';
import { cannotListen, plainAddress } from './listen.ts';

/** RFC 768 and RFC 791: what fits one datagram. */
const MAX_DATAGRAM = 65_507;

/** One request a datagram, one datagram a reply. It owns its socket. */
export class NgUdpServer {
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** @throws Error in words when the port cannot be had. */
  static async open(listen: string, service: NgService): Promise<NgUdpServer> {
    const at = parseHostPort(listen);
    if (!at) throw new Error(`ng address "${listen}" is not HOST:PORT`);
    const socket = createSocket({ type: isIPv6(at.address) ? 'udp6' : 'udp4', recvBufferSize: 1 << 20 });
    await new Promise<void>((resolve, reject) => {
      socket.once('error', (error: NodeJS.ErrnoException) => reject(cannotListen('udp', listen, error)));
      socket.bind(at.port, at.address, () => resolve());
    });
    socket.removeAllListeners('error');
    socket.on('error', () => undefined);
    const server = new NgUdpServer(socket);
    socket.on('message', (bytes, from) => server.#receive(bytes, from, service));
    return server;
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => this.#socket.close(() => resolve()));
  }

  #receive(bytes: Buffer, from: RemoteInfo, service: NgService): void {
    // Without a port there is nobody to answer.
    if (from.port === 0) return;
    service.handle(bytes, { address: plainAddress(from.address), transport: 'udp' }, (reply) => {
      const fitting = reply.length <= MAX_DATAGRAM ? reply : tooLong(reply);
      try {
        this.#socket.send(fitting, from.port, from.address, () => undefined);
      } catch {
        // The socket was closed while the command was at work.
      }
    });
  }
}

function tooLong(reply: Buffer): Buffer {
  const cut = cutCookie(reply);
  const encoding = cut && readPayload(cut.payload).encoding;
  const reason = { result: 'error', 'error-reason': 'Reply does not fit one datagram: ask over TCP or HTTP' };
  return frameOf(cut?.cookie ?? '', writePayload(encoding ?? 'bencode', reason));
}
