import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { AppLink } from '../app-link.ts';
import { serveLink, type LinkHost } from './link.ts';

const CONNECT_MS = 2000;
const MAX_CONNECTIONS = 1000;

/**
 * Connections that the engine opens to applications, one for each request (control protocol §11). It owns the sockets; an
 * application ends its own when its dialog is over.
 */
export class OutboundApps {
  readonly #host: LinkHost;
  readonly #ca: string | undefined;
  readonly #sockets = new Set<Socket>();

  /** `ca`: PEM, trusted beside the system's. */
  constructor(host: LinkHost, ca: string | undefined) {
    this.#host = host;
    this.#ca = ca;
  }

  /** Rejects when the application cannot be reached, or does not authenticate, within two seconds. */
  connect(at: {
    readonly host: string;
    readonly port: number;
    readonly tls: boolean;
    readonly verify: boolean;
  }): Promise<AppLink> {
    if (this.#sockets.size >= MAX_CONNECTIONS)
      return Promise.reject(new Error(`more than ${MAX_CONNECTIONS} connections to applications`));
    const { host, port } = at;
    const socket = at.tls
      ? connectTls({
          host,
          port,
          // A name only: RFC 6066 §3 allows no address there.
          ...(isIP(host) === 0 ? { servername: host } : {}),
          rejectUnauthorized: at.verify,
          ...(this.#ca === undefined ? {} : { ca: this.#ca }),
        })
      : connect({ host, port, noDelay: true });
    this.#sockets.add(socket);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => socket.destroy(new Error(`${host}:${port} did not answer`)), CONNECT_MS);
      socket.once('error', reject);
      serveLink(socket, this.#host, {
        ready: (link) => {
          clearTimeout(timer);
          resolve(link);
        },
        ended: () => {
          clearTimeout(timer);
          this.#sockets.delete(socket);
          reject(new Error(`${host}:${port} has closed the connection`));
        },
      });
    });
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}
