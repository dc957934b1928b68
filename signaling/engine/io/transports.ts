import { isIPv6 } from 'node:net';
import { FlowHandle } from './flow-handle.ts';
import { TransportError, type Flow, type Listener, type Target, type Transports } from './flow.ts';
import { Hub } from './hub.ts';
import { DEFAULT_LIMITS, parseListen, type TransportOptions } from './options.ts';
import { StreamTransport } from './stream.ts';
import { UdpTransport } from './udp.ts';
import { WebSocketTransport } from './websocket.ts';

export interface TransportStats {
  readonly flows: Readonly<Record<string, number>>;
  readonly received: number;
  readonly sent: number;
  readonly malformed: number;
  readonly malformedOf: Readonly<Record<string, number>>;
  readonly oversized: Readonly<Record<string, number>>;
  readonly overflow: number;
  readonly refusedConnections: number;
}

/** All sockets of one engine. Made by {@link createTransports}; `close` ends every one of them. */
export class TransportSet implements Transports {
  readonly #hub: Hub;
  readonly #udp: UdpTransport[] = [];
  readonly #streams: StreamTransport[] = [];
  readonly #webSockets: WebSocketTransport[] = [];
  readonly #connecting = new Map<string, Promise<FlowHandle>>();

  constructor(hub: Hub) {
    this.#hub = hub;
  }

  async open(listen: readonly string[]): Promise<void> {
    for (const text of listen) {
      const { protocol, address, port } = parseListen(text);
      if (protocol === 'udp') this.#udp.push(await UdpTransport.open(this.#hub, address, port));
      else if (protocol === 'tcp' || protocol === 'tls') {
        this.#streams.push(await StreamTransport.open(this.#hub, protocol, address, port));
      } else this.#webSockets.push(await WebSocketTransport.open(this.#hub, protocol, address, port));
    }
  }

  get listeners(): readonly Listener[] {
    return [...this.#udp, ...this.#streams, ...this.#webSockets].map((transport) => transport.listener);
  }

  async connect(target: Target): Promise<Flow> {
    if (target.protocol === 'udp') return this.#udpFor(target).flowTo(target.address, target.port);
    const existing = this.#hub.existing(target);
    if (existing && !existing.closed) return existing;
    if (target.protocol === 'ws' || target.protocol === 'wss') {
      throw new TransportError('closed', 'a WebSocket client can only be reached by the connection it opened');
    }
    const key = `${target.protocol} ${target.address} ${target.port} ${target.serverName ?? ''}`;
    let pending = this.#connecting.get(key);
    if (!pending) {
      const stream = this.#streams.find((transport) => transport.listener.protocol === target.protocol);
      if (!stream) throw new TransportError('no-transport', `this node has no ${target.protocol} transport`);
      pending = stream.connect(target).finally(() => this.#connecting.delete(key));
      this.#connecting.set(key, pending);
    }
    return pending;
  }

  flow(id: string): Flow | undefined {
    return this.#hub.flows.get(id);
  }

  async send(flow: Flow, bytes: Uint8Array): Promise<void> {
    if (!(flow instanceof FlowHandle)) throw new TransportError('closed', 'not a flow of these transports');
    await flow.write(bytes);
  }

  closeFlow(flow: Flow, reason: string): void {
    if (flow instanceof FlowHandle && flow.protocol !== 'udp') flow.destroy(reason);
  }

  stats(): TransportStats {
    const flows: Record<string, number> = { udp: 0, tcp: 0, tls: 0, ws: 0, wss: 0 };
    for (const flow of this.#hub.flows.values()) flows[flow.protocol] = (flows[flow.protocol] ?? 0) + 1;
    const { counters, malformedOf, oversized } = this.#hub;
    return { flows, ...counters, malformedOf: { ...malformedOf }, oversized: { ...oversized } };
  }

  async close(): Promise<void> {
    await Promise.all([...this.#udp, ...this.#streams, ...this.#webSockets].map((transport) => transport.close()));
  }

  #udpFor(target: Target): UdpTransport {
    const family = isIPv6(target.address) ? 6 : 4;
    const fitting = this.#udp.filter((transport) => transport.family === family);
    // A loopback target is answered from a loopback socket where there is one.
    const chosen =
      fitting.find((transport) => sameScope(transport.listener.bound.address, target.address)) ?? fitting[0];
    if (!chosen) throw new TransportError('no-transport', `this node has no udp transport for IPv${family}`);
    return chosen;
  }
}

function sameScope(bound: string, target: string): boolean {
  return bound.startsWith('127.') === target.startsWith('127.');
}

/** Opens every listener, or none: when one fails the others are closed again. */
export async function createTransports(options: TransportOptions): Promise<TransportSet> {
  const transports = new TransportSet(new Hub(options, { ...DEFAULT_LIMITS, ...options.limits }));
  try {
    await transports.open(options.listen);
    return transports;
  } catch (error) {
    await transports.close();
    throw error;
  }
}
