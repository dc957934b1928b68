import { isUtf8 } from 'node:buffer';
import { createServer as createHttpServer, type IncomingMessage, type Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Server as TlsServer } from 'node:tls';
import { WebSocketServer, type WebSocket } from 'ws';
import { LIMITS, Message, parseMessage } from '../message/mod.ts';
import { ConnectionFlow, type CloseCause } from './flow-handle.ts';
import { TransportError, type Listener } from './flow.ts';
import { guard } from './guard.ts';
import type { Hub } from './hub.ts';
import { bindError, connectError, listenerOf } from './options.ts';
import { answerStunBinding, isStun } from './stun.ts';
import { FrameProgress } from './frame-progress.ts';

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
  /** Pings that were not answered. */
  readonly #missed = new WeakMap<WebSocket, number>();
  readonly #flows = new WeakMap<WebSocket, ConnectionFlow>();

  private constructor(hub: Hub, server: Server, listener: Listener) {
    this.#hub = hub;
    this.#server = server;
    this.listener = listener;
    this.#sockets = new WebSocketServer({
      noServer: true,
      maxPayload: LIMITS.messageBytes,
      perMessageDeflate: false,
      autoPong: false,
      handleProtocols: (offered) => (offered.has('sip') ? 'sip' : false),
    });
    server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
    this.#pinger = setInterval(() => this.#ping(), hub.limits.wsPingMs);
  }

  static async open(hub: Hub, protocol: 'ws' | 'wss', address: string, port: number): Promise<WebSocketTransport> {
    const { tls } = hub.options;
    if (protocol === 'wss' && !tls)
      throw new TransportError('tls', `wss:${address}:${port} needs a certificate and a key`);
    const answer: Parameters<typeof createHttpServer>[1] = (request, response) => {
      if (hub.options.onHttpRequest) hub.options.onHttpRequest(request, response);
      else response.writeHead(404, { 'content-type': 'text/plain' }).end('SIP over WebSocket only\n');
    };
    const { handshakeMs } = hub.limits;
    const http = {
      headersTimeout: handshakeMs,
      requestTimeout: handshakeMs,
      connectionsCheckingInterval: Math.min(1000, handshakeMs),
      keepAliveTimeout: handshakeMs,
      noDelay: true,
    };
    const server =
      protocol === 'ws'
        ? createHttpServer(http, answer)
        : (createHttpsServer(
            { ...http, cert: tls?.cert, key: tls?.key, minVersion: 'TLSv1.2' },
            answer,
          ) as unknown as Server);
    if (protocol === 'wss') {
      for (const { domain, ...own } of tls?.domains ?? [])
        (server as unknown as TlsServer).addContext(domain, { ...own, minVersion: 'TLSv1.2' });
    }
    const guarded = guard(server, hub, protocol === 'wss');
    server.on('secureConnection', (socket: Socket) => guarded.secured(socket));
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
      this.#hub.refused.subprotocol++;
      refuse(socket, '400 Bad Request', 'The WebSocket subprotocol "sip" is required (RFC 7118 section 5)');
      return;
    }
    this.#sockets.handleUpgrade(request, socket, head, (webSocket) => this.#adopt(webSocket, request));
  }

  #adopt(webSocket: WebSocket, request: IncomingMessage): void {
    const hub = this.#hub;
    const remote = { address: request.socket.remoteAddress ?? '0.0.0.0', port: request.socket.remotePort ?? 0 };
    let reason = 'the peer closed the WebSocket';
    const flow: ConnectionFlow = new ConnectionFlow({
      listener: this.listener,
      local: { address: request.socket.localAddress ?? this.listener.bound.address, port: this.listener.bound.port },
      remote,
      outgoing: false,
      write: (bytes) => this.#write(webSocket, flow, bytes),
      destroy: (why: CloseCause, text: string) => {
        if (webSocket.readyState >= webSocket.CLOSING) return;
        reason = text;
        hub.gaveUp[why]++;
        // A peer that does not read, or has begun a frame that it does not end, would not see a close frame.
        if (why === 'backlog' || why === 'slow-message' || why === 'dead') webSocket.terminate();
        else {
          hub.closing.start(request.socket);
          webSocket.close(1001, text.slice(0, 120));
        }
      },
    });
    this.#flows.set(webSocket, flow);
    this.#missed.set(webSocket, 0);
    const progress = new FrameProgress(webSocket, request.socket, {
      began: () => hub.incomplete.start(flow),
      ended: () => hub.incomplete.clear(flow),
    });
    webSocket.on('ping', (data) => {
      if (webSocket.bufferedAmount > hub.limits.queueBytes) hub.overflow(flow);
      else if (webSocket.readyState === webSocket.OPEN) webSocket.pong(data);
    });
    webSocket.on('pong', () => this.#missed.set(webSocket, 0));
    webSocket.on('message', (data) => this.#received(webSocket, flow, data as Buffer));
    webSocket.on('error', (error: Error & { code?: string }) => {
      if (error.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH') hub.tooLong();
      else if (error.code?.startsWith('WS_ERR_')) hub.gaveUp.unreadable++;
      reason = error.message;
      hub.closing.start(request.socket);
    });
    webSocket.on('close', () => {
      progress.end();
      hub.closing.clear(request.socket);
      hub.closed(flow, reason);
    });
    hub.opened(flow);
    hub.silent.start(flow);
  }

  #received(webSocket: WebSocket, flow: ConnectionFlow, data: Buffer): void {
    this.#missed.set(webSocket, 0);
    if (data.length === 4 && data.toString('latin1') === '\r\n\r\n') {
      this.#answer(webSocket, flow, '\r\n');
      return;
    }
    if (data.length <= 2) return;
    if (isStun(data)) {
      const answer = answerStunBinding(data, flow.remote.address, flow.remote.port);
      if (answer) this.#answer(webSocket, flow, answer);
      return;
    }
    const parsed = parseMessage(data, 'framed');
    if (parsed instanceof Message) {
      this.#hub.silent.clear(flow);
      this.#hub.message(parsed, flow);
    } else this.#hub.malformed(parsed, flow);
  }

  #answer(webSocket: WebSocket, flow: ConnectionFlow, data: string | Buffer): void {
    if (webSocket.bufferedAmount > this.#hub.limits.queueBytes) this.#hub.overflow(flow);
    else if (webSocket.readyState === webSocket.OPEN) webSocket.send(data);
  }

  #write(webSocket: WebSocket, flow: ConnectionFlow, bytes: Uint8Array): Promise<void> {
    if (flow.closed || webSocket.readyState !== webSocket.OPEN) {
      return Promise.reject(new TransportError('closed', 'the WebSocket is closed'));
    }
    if (webSocket.bufferedAmount > this.#hub.limits.queueBytes) return Promise.reject(this.#hub.overflow(flow));
    return new Promise((resolve, reject) => {
      // Text frames: browsers' SIP stacks read nothing else reliably. What is not UTF-8 would end their connection.
      webSocket.send(bytes, { binary: !isUtf8(bytes) }, (error) => {
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
      const missed = this.#missed.get(webSocket) ?? 0;
      if (missed >= 2) {
        this.#flows.get(webSocket)?.destroy('dead', 'it does not answer pings');
        continue;
      }
      this.#missed.set(webSocket, missed + 1);
      webSocket.ping();
    }
  }
}

function refuse(socket: Duplex, status: string, text: string): void {
  socket.end(
    `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: ${text.length}\r\n\r\n${text}`,
  );
}
