import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { WebSocketServer, type WebSocket } from 'ws';
import { parseHostPort } from '../../../vocabulary/mod.ts';
import type { Connection } from '../events/subscriptions.ts';
import { MAX_MESSAGE } from '../message.ts';
import type { Caller, NgService } from '../service.ts';
import { cannotListen, plainAddress } from './listen.ts';
import type { ConnectionCounters } from './tcp-server.ts';

const NG_TYPE = 'application/x-rtpengine-ng';
const PROTOCOL = 'ng.rtpengine.com';
const PLAIN_PROTOCOL = 'ng-plain.rtpengine.com';
const MAX_UNREAD = 1 << 20;
const MAX_AT_WORK = 1024;

/**
 * POST /ng, POST /ng-plain, GET /ping, and WebSocket by subprotocol. Requests that carry an Origin come from a web page:
 * they are refused, or any page that is opened on this machine could command the node.
 */
export class NgHttpServer {
  readonly counters: ConnectionCounters = { refused: 0, slow: 0, broken: 0 };
  readonly #app: FastifyInstance;
  readonly #service: NgService;
  readonly #webSockets: WebSocketServer;

  private constructor(service: NgService, maxConnections: number) {
    this.#service = service;
    this.#app = Fastify({
      logger: false,
      bodyLimit: MAX_MESSAGE,
      requestTimeout: 10_000,
      keepAliveTimeout: 60_000,
      forceCloseConnections: true,
    });
    this.#app.server.maxConnections = maxConnections;
    this.#app.server.on('drop', () => void this.counters.refused++);
    this.#webSockets = new WebSocketServer({
      noServer: true,
      maxPayload: MAX_MESSAGE,
      perMessageDeflate: false,
      handleProtocols: (offered) => [PROTOCOL, PLAIN_PROTOCOL].find((name) => offered.has(name)) ?? false,
    });
    this.#routes();
    this.#app.server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) =>
      this.#upgrade(request, socket, head),
    );
  }

  /** @throws Error in words when the port cannot be had. */
  static async open(listen: string, service: NgService, maxConnections = 1000): Promise<NgHttpServer> {
    const at = parseHostPort(listen);
    if (!at) throw new Error(`ng address "${listen}" is not HOST:PORT`);
    const server = new NgHttpServer(service, maxConnections);
    try {
      await server.#app.listen({ host: at.address, port: at.port });
    } catch (error) {
      await server.close();
      throw cannotListen('http', listen, error as NodeJS.ErrnoException);
    }
    return server;
  }

  get webSockets(): number {
    return this.#webSockets.clients.size;
  }

  async close(): Promise<void> {
    for (const socket of this.#webSockets.clients) socket.terminate();
    this.#webSockets.close();
    await this.#app.close();
  }

  #routes(): void {
    const app = this.#app;
    // Whatever a client calls it: the first byte tells bencode from JSON.
    app.removeAllContentTypeParsers();
    app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
    app.addHook('onRequest', (request, reply, done) => {
      if (request.headers.origin === undefined) done();
      else void reply.code(403).type('text/plain').send('not for web pages\n');
    });
    app.setNotFoundHandler((_request, reply) => reply.code(404).type('text/plain').send('not found\n'));
    app.get('/ping', (_request, reply) => reply.type('text/plain').send('pong\n'));
    app.post('/ng', (request, reply) => {
      const answer = (bytes: Buffer) => void reply.type(NG_TYPE).send(bytes);
      if (!this.#service.handle(bodyOf(request), callerOf(request), answer))
        void reply.code(400).type('text/plain').send('no cookie\n');
      return reply;
    });
    app.post('/ng-plain', (request, reply): FastifyReply => {
      this.#service.handlePlain(bodyOf(request), callerOf(request), (bytes, encoding) => {
        void reply.type(encoding === 'json' ? 'application/json' : NG_TYPE).send(bytes);
      });
      return reply;
    });
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
    const refused =
      request.headers.origin !== undefined
        ? '403 Forbidden'
        : offered.includes(PROTOCOL) || offered.includes(PLAIN_PROTOCOL)
          ? undefined
          : '400 Bad Request';
    if (refused !== undefined) {
      socket.on('error', () => undefined);
      socket.end(`HTTP/1.1 ${refused}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
      return;
    }
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      this.#serve(webSocket, plainAddress(request.socket.remoteAddress));
    });
  }

  /** A reply is text when its request was, or binary; events are as the last request was. */
  #serve(webSocket: WebSocket, address: string): void {
    const plain = webSocket.protocol === PLAIN_PROTOCOL;
    let atWork = 0;
    let binaryLast = true;
    const push = (bytes: Buffer, binary = binaryLast): void => {
      if (webSocket.readyState !== webSocket.OPEN) return;
      if (webSocket.bufferedAmount + bytes.length > MAX_UNREAD) {
        this.counters.slow++;
        webSocket.terminate();
      } else webSocket.send(bytes, { binary }, () => undefined);
    };
    const connection: Connection = { plain, push: (bytes) => push(bytes) };
    const caller: Caller = { address, transport: 'ws', connection };
    webSocket.on('message', (data: Buffer, binary) => {
      binaryLast = binary;
      if (atWork >= MAX_AT_WORK) return;
      atWork++;
      const answer = (reply: Buffer): void => {
        atWork--;
        push(reply, binary);
      };
      if (plain) this.#service.handlePlain(data, caller, answer);
      else if (!this.#service.handle(data, caller, answer)) atWork--;
    });
    webSocket.on('error', () => void this.counters.broken++);
    webSocket.on('close', () => this.#service.subscriptions.unsubscribe(connection));
  }
}

function bodyOf(request: FastifyRequest): Buffer {
  return Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
}

function callerOf(request: FastifyRequest): Caller {
  return { address: plainAddress(request.socket.remoteAddress), transport: 'http' };
}
