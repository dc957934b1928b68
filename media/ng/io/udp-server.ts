import { lookup } from 'node:dns/promises';
import { parseHostPort } from '../../../vocabulary/mod.ts';
import { openRequestSocket, type RequestCounters, type RequestSocket } from '../../dataplane/mod.ts';
import { cutCookie, frameOf, readPayload, writePayload } from '../message.ts';
import type { NgService } from '../service.ts';
import { cannotListen, plainAddress } from './listen.ts';

/** RFC 768 and RFC 791: what fits one datagram. */
const MAX_DATAGRAM = 65_507;

/** One request a datagram, one datagram a reply. It owns its socket. */
export class NgUdpServer {
  readonly #socket: RequestSocket;

  private constructor(socket: RequestSocket) {
    this.#socket = socket;
  }

  /** @throws Error in words when the port cannot be had. */
  static async open(listen: string, service: NgService): Promise<NgUdpServer> {
    const at = parseHostPort(listen);
    if (!at) throw new Error(`ng address "${listen}" is not HOST:PORT`);
    try {
      const { address } = await lookup(at.address);
      const socket = openRequestSocket({ address, port: at.port }, (bytes, from, port) => {
        // Without a port there is nobody to answer.
        if (port === 0) return;
        service.handle(bytes, { address: plainAddress(from), transport: 'udp' }, (reply) =>
          socket.reply(reply.length <= MAX_DATAGRAM ? reply : tooLong(reply), from, port),
        );
      });
      return new NgUdpServer(socket);
    } catch (error) {
      throw cannotListen('udp', listen, error as NodeJS.ErrnoException);
    }
  }

  get counters(): RequestCounters {
    return this.#socket.counters();
  }

  close(): Promise<void> {
    this.#socket.close();
    return Promise.resolve();
  }
}

function tooLong(reply: Buffer): Buffer {
  const cut = cutCookie(reply);
  const encoding = cut && readPayload(cut.payload).encoding;
  const reason = { result: 'error', 'error-reason': 'Reply does not fit one datagram: ask over TCP or HTTP' };
  return frameOf(cut?.cookie ?? '', writePayload(encoding ?? 'bencode', reason));
}
