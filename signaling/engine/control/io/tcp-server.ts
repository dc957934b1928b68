import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { bracketed, parseHostPort } from '../../../../vocabulary/mod.ts';
import { serveLink, type LinkHost } from './link.ts';

const MAX_APPS = 64;
const HANDSHAKE_MS = 5000;

/** The control port, plain or TLS: applications connect, authenticate, and only then say anything else. It owns their sockets. */
export class ControlServer {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Where it really listens. */
  readonly address: string;

  private constructor(server: Server, address: string) {
    this.#server = server;
    this.address = address;
  }

  /** `tls`: PEM. @throws Error when the address cannot be had. */
  static async open(
    listen: string,
    host: LinkHost,
    tls?: { readonly cert: string; readonly key: string },
  ): Promise<ControlServer> {
    const at = parseHostPort(listen);
    if (!at) throw new Error(`control address "${listen}" is not HOST:PORT`);
    const made: { control?: ControlServer } = {};
    const onSocket = (socket: Socket) => serveLink(socket, host, { ended: () => undefined });
    const server = tls
      ? createTlsServer({ ...tls, minVersion: 'TLSv1.2', handshakeTimeout: HANDSHAKE_MS, noDelay: true }, onSocket)
      : createServer({ noDelay: true });
    server.on('tlsClientError', () => undefined);
    // Handshakes count too, and end with the server.
    server.on('connection', (socket: Socket) => {
      const { control } = made;
      if (control && control.#hold(socket) && !tls) onSocket(socket);
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) =>
        reject(
          new Error(
            `cannot listen on control ${listen}: ${error.code === 'EADDRINUSE' ? 'the port is taken by another process' : error.message}`,
            { cause: error },
          ),
        ),
      );
      server.listen(at.port, at.address, () => resolve());
    });
    const { port } = server.address() as AddressInfo;
    made.control = new ControlServer(server, `${bracketed(at.address)}:${port}`);
    return made.control;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  /** @returns false when there are too many. */
  #hold(socket: Socket): boolean {
    socket.on('error', () => undefined);
    if (this.#sockets.size >= MAX_APPS) {
      socket.destroy();
      return false;
    }
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    return true;
  }
}
