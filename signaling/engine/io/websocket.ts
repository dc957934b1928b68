import { createServer as createHttpServer, type IncomingMessage, type Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type WebSocket } from 'ws';
import { LIMITS, Message, parseMessage } from '../message/mod.ts';
import { FlowHandle } from './flow-handle.ts';
import { TransportError, type Listener } from './flow.ts';
import type { Hub } from './hub.ts';
import { bindError, connectError, listenerOf } from './options.ts';

/**
 * SIP over WebSocket (RFC 7118), server side: one message a frame, subprotocol `sip`. The same origin serves
 * whatever `onHttpRequest` serves, so that a softphone's page, its API and its SIP share one certificate.
 * It owns the HTTP server and every WebSocket.
 */
export class WebSocketTransport {
  readonly listener: Listener;
  readonly #hub: Hub;
  readonly #server: Server;
  readonly #sockets: WebSocketServer;
  readonly #pinger: NodeJS.Timeout;
  readonly #alive = new WeakMap<WebSocket, number>();

  private constructor(hub: Hub, server: Server, listener: Listener) {
    this.#hub = hub;
    this.#server = server;
    this.listener = listener;
    this.#sockets = new WebSocketServer({
      noServer: true,
      maxPayload: LIMITS.messageBytes,
      perMessageDeflate: false,
      handleProtocols: (offered) => (offered.has('sip') ? 'sip' : false),
    });
    server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
    this.#pinger = setInterval(() => this.#ping(), hub.limits.wsPingMs);
  }

  static async open(hub: Hub, protocol: 'ws' | 'wss', address: string, port: number): Promise<WebSocketTransport> {
    const tls = hub.options.tls;
    if (protocol === 'wss' && !tls)
      throw new TransportError('tls', `wss:${address}:${port} needs a certificate and a key`);
    const answer: Parameters<typeof createHttpServer>[1] = (request, response) => {
      if (hub.options.onHttpRequest) hub.options.onHttpRequest(request, response);
      else response.writeHead(404, { 'content-type': 'text/plain' }).end('SIP over WebSocket only\n');
    };
    const server =
      protocol === 'ws'
        ? createHttpServer(answer)
        : (createHttpsServer({ ...tls, minVersion: 'TLSv1.2' }, answer) as unknown as Server);
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => reject(bindError(`${protocol}:${address}:${port}`, error)));
      server.listen({ host: address, port, exclusive: true, ipv6Only: true }, () => resolve());
    });
    server.removeAllListeners('error');
    server.on('error', () => undefined);
    const bound = (server.address() as { port: number }).port;
    return new WebSocketTransport(hub, server, listenerOf(protocol, address, bound, hub.options.publicAddress));
  }

  async close(): Promise<void> {
    clearInterval(this.#pinger);
    for (const socket of this.#sockets.clients) socket.terminate();
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => undefined);
    const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
    if (!offered.includes('sip')) {
      refuse(socket, '400 Bad Request', 'The WebSocket subprotocol "sip" is required (RFC 7118 section 5)');
      return;
    }
    if (this.#sockets.clients.size >= this.#hub.limits.connections) {
      this.#hub.counters.refusedConnections++;
      refuse(socket, '503 Service Unavailable', 'Too many connections');
      return;
    }
    this.#sockets.handleUpgrade(request, socket, head, (webSocket) => this.#adopt(webSocket, request));
  }

  #adopt(webSocket: WebSocket, request: IncomingMessage): void {
    const remote = { address: request.socket.remoteAddress ?? '0.0.0.0', port: request.socket.remotePort ?? 0 };
    let reason = 'the peer closed the WebSocket';
    const flow: FlowHandle = new FlowHandle({
      listener: this.listener,
      protocol: this.listener.protocol,
      local: { address: request.socket.localAddress ?? this.listener.bound.address, port: this.listener.bound.port },
      remote,
      write: (bytes) => this.#write(webSocket, flow, bytes),
      destroy: (why) => {
        reason = why;
        webSocket.close(1001, why.slice(0, 120));
        // A peer that does not answer the close frame must not hold the socket.
        setTimeout(() => webSocket.terminate(), 2000).unref();
      },
    });
    this.#alive.set(webSocket, 0);
    webSocket.on('pong', () => this.#alive.set(webSocket, 0));
    webSocket.on('message', (data, binary) => this.#received(webSocket, flow, data as Buffer, binary));
    webSocket.on('error', (error: NodeJS.ErrnoException) => {
      reason = error.message;
      if (error.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH') this.#hub.tooLong();
    });
    webSocket.on('close', () => this.#hub.closed(flow, reason));
    this.#hub.opened(flow);
  }

  #received(webSocket: WebSocket, flow: FlowHandle, data: Buffer, _binary: boolean): void {
    this.#alive.set(webSocket, 0);
    const text = data.length <= 4 ? data.toString('latin1') : '';
    if (text === '\r\n\r\n') {
      webSocket.send('\r\n');
      return;
    }
    if (data.length <= 2) return;
    const parsed = parseMessage(data, 'framed');
    if (parsed instanceof Message) this.#hub.message(parsed, flow);
    else this.#hub.malformed(parsed, flow);
  }

  #write(webSocket: WebSocket, flow: FlowHandle, bytes: Uint8Array): Promise<void> {
    if (flow.closed || webSocket.readyState !== webSocket.OPEN) {
      return Promise.reject(new TransportError('closed', 'the WebSocket is closed'));
    }
    if (webSocket.bufferedAmount > this.#hub.limits.queueBytes) return Promise.reject(this.#hub.overflow(flow));
    return new Promise((resolve, reject) => {
      // Text frames: browsers' SIP stacks read nothing else reliably.
      webSocket.send(bytes, { binary: false }, (error) => {
        if (error) {
          reject(connectError(error));
          return;
        }
        this.#hub.counters.sent++;
        resolve();
      });
    });
  }

  #ping(): void {
    for (const webSocket of this.#sockets.clients) {
      const missed = this.#alive.get(webSocket) ?? 0;
      if (missed >= 2) {
        webSocket.terminate();
        continue;
      }
      this.#alive.set(webSocket, missed + 1);
      webSocket.ping();
    }
  }
}

function refuse(socket: Duplex, status: string, text: string): void {
  socket.end(
    `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: ${text.length}\r\n\r\n${text}`,
  );
}
