import { connect as connectTcp, createServer as createTcpServer, isIP, type Server, type Socket } from 'node:net';
import {
  connect as connectTls,
  createSecureContext,
  createServer as createTlsServer,
  rootCertificates,
  type SecureContext,
  type TLSSocket,
} from 'node:tls';
import type { HostPort } from '../../../vocabulary/mod.ts';
import { ConnectionFlow, type CloseCause } from './flow-handle.ts';
import { TransportError, type Listener, type Target } from './flow.ts';
import { guard } from './guard.ts';
import type { Hub } from './hub.ts';
import { bindError, connectError, listenerOf, type TransportOptions } from './options.ts';
import { identityOf, speaksFor } from './peer-identity.ts';
import { StreamReader } from './stream-reader.ts';

/** TCP and TLS: one server, its connections, and the connections that we open. It owns all their sockets. */
export class StreamTransport {
  readonly listener: Listener;
  readonly #server: Server;
  readonly #hub: Hub;
  readonly #sockets = new Set<Socket>();
  #clientContext: SecureContext | undefined;

  private constructor(hub: Hub, server: Server, listener: Listener) {
    this.#hub = hub;
    this.#server = server;
    this.listener = listener;
  }

  static async open(hub: Hub, protocol: 'tcp' | 'tls', address: string, port: number): Promise<StreamTransport> {
    const accepted: { take?: (socket: Socket) => void } = {};
    const onConnection = (socket: Socket) => accepted.take?.(socket);
    const server =
      protocol === 'tcp' ? createTcpServer({ noDelay: true }, onConnection) : tlsServer(hub, address, port);
    const guarded = guard(server, hub, protocol === 'tls');
    server.on('secureConnection', (socket: TLSSocket) => {
      guarded.secured(socket);
      onConnection(socket);
    });
    server.on('tlsClientError', (_error: Error, socket: TLSSocket) => socket.destroy());
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

  /** A new connection to the target, once it is open (for TLS: once the certificate speaks for the name, RFC 5922 §7). */
  async connect(target: Target): Promise<ConnectionFlow> {
    const { connectMs } = this.#hub.limits;
    const secure = this.listener.protocol === 'tls';
    const socket = secure
      ? this.#connectTls(target)
      : connectTcp({ host: target.address, port: target.port, noDelay: true });
    this.#sockets.add(socket);
    try {
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => {
          const where = `${target.address}:${target.port}`;
          reject(new TransportError('timeout', `no connection to ${where} in ${connectMs} ms`));
        }, connectMs);
        const done = (error?: Error) => {
          clearTimeout(timer);
          if (error) reject(connectError(error));
          else resolve();
        };
        socket.once(secure ? 'secureConnect' : 'connect', () => done());
        socket.once('error', done);
        socket.once('close', () => done(new TransportError('closed', 'closed while connecting')));
      });
    } catch (error) {
      this.#sockets.delete(socket);
      socket.on('error', () => undefined);
      socket.destroy();
      throw error;
    }
    return this.#adopt(socket, { address: target.address, port: target.port }, true);
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #connectTls(target: Target): Socket {
    const name = target.serverName ?? target.address;
    this.#clientContext ??= createSecureContext({
      ca: trusted(this.#hub.options),
      ...(this.#hub.options.tls && { cert: this.#hub.options.tls.cert, key: this.#hub.options.tls.key }),
      minVersion: 'TLSv1.2',
    });
    return connectTls({
      host: target.address,
      port: target.port,
      ...(isIP(name) === 0 && { servername: name }),
      secureContext: this.#clientContext,
      checkServerIdentity: (_host, certificate) => {
        if (speaksFor(identityOf(certificate), name)) return undefined;
        return new TransportError('tls', `the certificate of ${target.address} does not speak for ${name}`);
      },
    });
  }

  #accept(socket: Socket): void {
    if (socket.remoteAddress === undefined || socket.remotePort === undefined) {
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    const flow = this.#adopt(socket, { address: socket.remoteAddress, port: socket.remotePort }, false);
    this.#hub.silent.start(flow);
  }

  #adopt(socket: Socket, remote: HostPort, outgoing: boolean): ConnectionFlow {
    const hub = this.#hub;
    let reason = 'the peer closed the connection';
    const flow: ConnectionFlow = new ConnectionFlow({
      listener: this.listener,
      local: {
        address: socket.localAddress ?? this.listener.bound.address,
        port: socket.localPort ?? this.listener.bound.port,
      },
      remote,
      outgoing,
      identity: this.#identity(socket),
      write: (bytes) => this.#write(socket, flow, bytes),
      destroy: (why: CloseCause, text: string) => {
        if (socket.destroyed) return;
        reason = text;
        hub.gaveUp[why]++;
        if (why === 'backlog') socket.destroy();
        else {
          // What has been said already still gets out: the answer that tells why.
          hub.closing.start(socket);
          socket.destroySoon();
        }
      },
    });
    const reader = new StreamReader(hub, flow, (bytes) => {
      if (socket.writableLength > hub.limits.queueBytes) hub.overflow(flow);
      else if (socket.writable) socket.write(bytes);
    });
    socket.setKeepAlive(true, 30_000);
    socket.on('data', (chunk: Buffer) => reader.push(chunk));
    socket.on('error', (error) => (reason = error.message));
    socket.once('close', () => {
      hub.closing.clear(socket);
      this.#sockets.delete(socket);
      hub.closed(flow, reason);
    });
    hub.opened(flow);
    return flow;
  }

  /** Of the peer's certificate, when there is a good one. */
  #identity(socket: Socket) {
    if (this.listener.protocol !== 'tls') return undefined;
    const { authorized } = socket as TLSSocket;
    return authorized ? identityOf((socket as TLSSocket).getPeerCertificate()) : undefined;
  }

  #write(socket: Socket, flow: ConnectionFlow, bytes: Uint8Array): Promise<void> {
    if (flow.closed || !socket.writable)
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

function tlsServer(hub: Hub, address: string, port: number): Server {
  const { tls } = hub.options;
  if (!tls) throw new TransportError('tls', `tls:${address}:${port} needs a certificate and a key`);
  const { cert, key } = tls;
  // A client without a certificate, or with a bad one, is served all the same: phones have none. It only gets no alias.
  const clients = tls.askClients === true && { requestCert: true, rejectUnauthorized: false, ca: trusted(hub.options) };
  const server = createTlsServer({ cert, key, minVersion: 'TLSv1.2', noDelay: true, ...clients });
  for (const { domain, ...own } of tls.domains ?? []) server.addContext(domain, { ...own, minVersion: 'TLSv1.2' });
  return server;
}

function trusted({ ca, tls }: TransportOptions): string[] {
  return [...(tls?.ownCaOnly === true ? [] : rootCertificates), ...(ca === undefined ? [] : [ca])];
}
