import { connect as connectTcp, createServer as createTcpServer, isIP, type Server, type Socket } from 'node:net';
import { connect as connectTls, createServer as createTlsServer, rootCertificates } from 'node:tls';
import { StreamFramer } from '../message/mod.ts';
import { FlowHandle } from './flow-handle.ts';
import { TransportError, type Listener, type Protocol, type Target } from './flow.ts';
import type { Hub } from './hub.ts';
import { bindError, connectError, listenerOf } from './options.ts';

/** TCP and TLS: one server, its connections, and the connections that we open. It owns all their sockets. */
export class StreamTransport {
  readonly listener: Listener;
  readonly #server: Server;
  readonly #hub: Hub;
  readonly #sockets = new Set<Socket>();

  private constructor(hub: Hub, server: Server, listener: Listener) {
    this.#hub = hub;
    this.#server = server;
    this.listener = listener;
  }

  static async open(hub: Hub, protocol: 'tcp' | 'tls', address: string, port: number): Promise<StreamTransport> {
    const accepted: { take?: (socket: Socket) => void } = {};
    const onConnection = (socket: Socket) => accepted.take?.(socket);
    const tls = hub.options.tls;
    if (protocol === 'tls' && !tls)
      throw new TransportError('tls', `tls:${address}:${port} needs a certificate and a key`);
    const server =
      protocol === 'tcp'
        ? createTcpServer({ noDelay: true }, onConnection)
        : createTlsServer({ ...tls, minVersion: 'TLSv1.2', handshakeTimeout: hub.limits.connectMs }, onConnection);
    server.on('tlsClientError', () => undefined);
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => reject(bindError(`${protocol}:${address}:${port}`, error)));
      server.listen({ host: address, port, exclusive: true, ipv6Only: true }, () => resolve());
    });
    server.removeAllListeners('error');
    server.on('error', () => undefined);
    const bound = (server.address() as { port: number }).port;
    const transport = new StreamTransport(hub, server, listenerOf(protocol, address, bound, hub.options.publicAddress));
    accepted.take = (socket) => transport.#accept(socket);
    return transport;
  }

  /** A new connection to the target, once it is open (for TLS: once the certificate fits the name, RFC 5922 §7). */
  async connect(target: Target): Promise<FlowHandle> {
    const socket =
      this.listener.protocol === 'tls'
        ? this.#connectTls(target)
        : connectTcp({ host: target.address, port: target.port, noDelay: true });
    this.#sockets.add(socket);
    try {
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(
          () =>
            reject(
              new TransportError(
                'timeout',
                `no connection to ${target.address}:${target.port} in ${this.#hub.limits.connectMs} ms`,
              ),
            ),
          this.#hub.limits.connectMs,
        );
        const done = (error?: Error) => {
          clearTimeout(timer);
          if (error) reject(connectError(error));
          else resolve();
        };
        socket.once(this.listener.protocol === 'tls' ? 'secureConnect' : 'connect', () => done());
        socket.once('error', done);
        socket.once('close', () => done(new TransportError('closed', 'closed while connecting')));
      });
    } catch (error) {
      this.#sockets.delete(socket);
      socket.on('error', () => undefined);
      socket.destroy();
      throw error;
    }
    return this.#adopt(socket, { address: target.address, port: target.port });
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #connectTls(target: Target): Socket {
    const name = target.serverName ?? target.address;
    const extra = this.#hub.options.ca;
    return connectTls({
      host: target.address,
      port: target.port,
      ...(isIP(name) === 0 && { servername: name }),
      ...(extra !== undefined && { ca: [...rootCertificates, extra] }),
      minVersion: 'TLSv1.2',
    });
  }

  #accept(socket: Socket): void {
    if (
      this.#hub.connections >= this.#hub.limits.connections + this.#hub.limits.udpFlows ||
      this.#sockets.size >= this.#hub.limits.connections
    ) {
      this.#hub.counters.refusedConnections++;
      socket.on('error', () => undefined);
      socket.destroy();
      return;
    }
    if (socket.remoteAddress === undefined || socket.remotePort === undefined) {
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    this.#adopt(socket, { address: socket.remoteAddress, port: socket.remotePort }, this.#hub.limits.firstMessageMs);
  }

  #adopt(socket: Socket, remote: { address: string; port: number }, firstMessageMs?: number): FlowHandle {
    const framer = new StreamFramer();
    let reason = 'the peer closed the connection';
    const flow: FlowHandle = new FlowHandle({
      listener: this.listener,
      protocol: this.listener.protocol as Protocol,
      local: {
        address: socket.localAddress ?? this.listener.bound.address,
        port: socket.localPort ?? this.listener.bound.port,
      },
      remote,
      write: (bytes) => this.#write(socket, flow, bytes),
      destroy: (why) => {
        reason = why;
        socket.destroy();
      },
    });
    const silent =
      firstMessageMs === undefined ? undefined : setTimeout(() => flow.destroy('it sent nothing'), firstMessageMs);
    socket.setKeepAlive(true, 30_000);
    socket.on('data', (chunk: Buffer) => {
      for (const frame of framer.push(chunk)) {
        if (frame.type === 'ping') socket.write('\r\n');
        else if (frame.type === 'message') {
          clearTimeout(silent);
          this.#hub.message(frame.message, flow);
        } else if (frame.type === 'failure') {
          this.#hub.malformed(frame.failure, flow);
          if (!frame.fatal) continue;
          reason = frame.failure.reason;
          // The refusal goes out first.
          socket.destroySoon();
        }
      }
    });
    socket.on('error', (error) => (reason = error.message));
    socket.once('close', () => {
      clearTimeout(silent);
      this.#sockets.delete(socket);
      this.#hub.closed(flow, reason);
    });
    this.#hub.opened(flow);
    return flow;
  }

  #write(socket: Socket, flow: FlowHandle, bytes: Uint8Array): Promise<void> {
    if (flow.closed || socket.destroyed)
      return Promise.reject(new TransportError('closed', 'the connection is closed'));
    if (socket.writableLength > this.#hub.limits.queueBytes) return Promise.reject(this.#hub.overflow(flow));
    return new Promise((resolve, reject) => {
      socket.write(bytes, (error) => {
        if (error) {
          reject(connectError(error));
          return;
        }
        this.#hub.counters.sent++;
        resolve();
      });
    });
  }
}
