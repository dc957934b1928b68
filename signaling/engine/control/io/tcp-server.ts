import { timingSafeEqual, createHash } from 'node:crypto';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { bracketed, parseHostPort, type Private } from '../../../../vocabulary/mod.ts';
import type { AppLink } from '../app-link.ts';
import { encodeFrame, FrameReader, parseCommand } from '../frame.ts';

/** Bytes that may wait for an application that does not read. */
const MAX_QUEUE = 8 << 20;
const MAX_APPS = 64;
const AUTHENTICATE_MS = 5000;

/** The control port: applications connect, authenticate, and only then say anything else. It owns their sockets. */
export class ControlServer {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Where it really listens. */
  readonly address: string;
  #nextId = 1;

  private constructor(server: Server, address: string) {
    this.#server = server;
    this.address = address;
  }

  static async open(
    listen: string,
    secret: Private<string>,
    accept: (link: AppLink) => (payload: string) => void,
    closed: (link: AppLink) => void,
    identity: () => string,
  ): Promise<ControlServer> {
    const at = parseHostPort(listen);
    if (!at) throw new Error(`control address "${listen}" is not HOST:PORT`);
    const taken: { take?: (socket: Socket) => void } = {};
    const server = createServer({ noDelay: true }, (socket) => taken.take?.(socket));
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
    const control = new ControlServer(server, `${bracketed(at.address)}:${port}`);
    taken.take = (socket) => control.#accept(socket, secret, accept, closed, identity);
    return control;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #accept(
    socket: Socket,
    secret: Private<string>,
    accept: (link: AppLink) => (payload: string) => void,
    closed: (link: AppLink) => void,
    identity: () => string,
  ): void {
    socket.on('error', () => undefined);
    if (this.#sockets.size >= MAX_APPS) {
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    const reader = new FrameReader();
    const send = (payload: string) => {
      if (socket.writableLength > MAX_QUEUE) socket.destroy();
      else socket.write(encodeFrame(payload));
    };
    let tags: readonly string[] = [];
    const link: AppLink = {
      id: `app-${this.#nextId++}`,
      embedded: false,
      verbs: new Set(),
      get tags() {
        return tags;
      },
      get closed() {
        return socket.destroyed;
      },
      send,
      close: () => socket.destroy(),
    };
    let receive: ((payload: string) => void) | undefined;
    const timer = setTimeout(() => socket.destroy(), AUTHENTICATE_MS);
    socket.on('data', (chunk) => {
      const { payloads, error } = reader.push(chunk);
      for (const payload of payloads) {
        if (receive) {
          receive(payload);
          continue;
        }
        const command = parseCommand(payload);
        if (command?.type !== 'authenticate' || !sameSecret(command.fields[0] ?? '', secret.reveal())) {
          const text = command?.type === 'authenticate' ? 'incorrect secret' : 'not authenticated';
          send(`${crypto.randomUUID()}|response|${command?.id ?? ''}|NO|${text}`);
          socket.end();
          return;
        }
        clearTimeout(timer);
        tags = (command.fields[1] ?? '').split(',').filter((tag) => tag !== '');
        send(`${crypto.randomUUID()}|response|${command.id}|OK|${identity()}`);
        receive = accept(link);
      }
      if (error !== undefined) socket.destroy();
    });
    socket.on('close', () => {
      clearTimeout(timer);
      this.#sockets.delete(socket);
      if (receive) closed(link);
    });
  }
}

function sameSecret(given: string, wanted: string): boolean {
  const hash = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(hash(given), hash(wanted));
}
