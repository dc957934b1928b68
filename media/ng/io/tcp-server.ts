import { createServer, type Server, type Socket } from 'node:net';
import type { Connection } from '../events/subscriptions.ts';
import type { NgService } from '../service.ts';
import { StreamCutter } from '../stream.ts';
import { listenOn, plainAddress } from './listen.ts';

/** Replies and events that a peer has not read yet; one that has more is cut off. */
const MAX_UNREAD = 1 << 20;
/** Requests of one connection that are at work or wait for a reply. */
const MAX_AT_WORK = 1024;

export interface ConnectionCounters {
  /** Above the bound. */
  refused: number;
  /** Those that did not read. */
  slow: number;
  /** Those that sent what makes no sense. */
  broken: number;
}

/** Messages back to back, both ways. It owns its listening socket and every connection. */
export class NgTcpServer {
  readonly counters: ConnectionCounters = { refused: 0, slow: 0, broken: 0 };
  readonly #server: Server;
  readonly #service: NgService;
  readonly #open = new Map<Socket, Connection>();

  private constructor(service: NgService, maxConnections: number) {
    this.#service = service;
    this.#server = createServer({ keepAlive: true, keepAliveInitialDelay: 30_000, noDelay: true }, (socket) =>
      this.#accept(socket),
    );
    this.#server.maxConnections = maxConnections;
    this.#server.on('drop', () => void this.counters.refused++);
  }

  /** @throws Error in words when the port cannot be had. */
  static async open(listen: string, service: NgService, maxConnections = 1000): Promise<NgTcpServer> {
    const server = new NgTcpServer(service, maxConnections);
    await listenOn(server.#server, 'tcp', listen);
    return server;
  }

  get connections(): number {
    return this.#open.size;
  }

  /** To every connection but those that `except` names. */
  pushAll(bytes: Buffer, except: (connection: Connection) => boolean): void {
    for (const connection of this.#open.values()) if (!except(connection)) connection.push(bytes);
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#open.keys()) socket.destroy();
    await closed;
  }

  #accept(socket: Socket): void {
    const cutter = new StreamCutter();
    const push = (bytes: Buffer): void => {
      if (socket.destroyed) return;
      if (socket.writableLength + bytes.length > MAX_UNREAD) {
        this.counters.slow++;
        socket.destroy();
      } else socket.write(bytes);
    };
    const connection: Connection = { plain: false, push };
    this.#open.set(socket, connection);
    const caller = { address: plainAddress(socket.remoteAddress), transport: 'tcp', connection } as const;
    let atWork = 0;
    socket.on('data', (chunk: Buffer) => {
      const { messages, broken } = cutter.push(chunk);
      for (const message of messages) {
        if (atWork >= MAX_AT_WORK || socket.destroyed) break;
        atWork++;
        const replies = this.#service.handle(message, caller, (reply) => {
          atWork--;
          push(reply);
        });
        if (!replies) atWork--;
      }
      if (!broken) return;
      this.counters.broken++;
      socket.destroy();
    });
    // Whoever has said all still gets its replies: the socket ends once they are written.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#service.subscriptions.unsubscribe(connection);
      this.#open.delete(socket);
    });
  }
}
