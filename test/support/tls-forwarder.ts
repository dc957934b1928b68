import { createServer, type Server, type Socket } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';

/** TCP in, TLS out: Debian's SIPp is built without TLS. */
export class TlsForwarder implements AsyncDisposable {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket | TLSSocket>();

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as { port: number }).port;
  }

  static async open(target: number, ca: string): Promise<TlsForwarder> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
    const forwarder = new TlsForwarder(server);
    server.on('connection', (plain) => {
      // The certificate is checked: it must be of the PoP's own authority and name the address.
      const secure = connect({ host: '127.0.0.1', port: target, ca });
      for (const socket of [plain, secure]) {
        forwarder.#sockets.add(socket);
        socket.on('error', () => undefined);
      }
      plain.pipe(secure).pipe(plain);
    });
    return forwarder;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}
