import { randomBytes } from 'node:crypto';
import { isIPv6 } from 'node:net';
import type { Refusal } from './admission.ts';
import { FlowHandle, type CloseCause, type ConnectionFlow } from './flow-handle.ts';
import { readToken, tokenOf } from './flow-token.ts';
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
  /** Open sockets that peers have opened, and how many addresses hold them. */
  readonly connections: number;
  readonly addresses: number;
  /** TLS handshakes under way. */
  readonly handshaking: number;
  /** Connections that were not taken, by why. */
  readonly refused: Readonly<Record<Refusal | 'subprotocol', number>>;
  /** Connections that were given up, by why. */
  readonly gaveUp: Readonly<Record<CloseCause | 'slow-handshake', number>>;
  /** UDP peers that were forgotten because there were too many. */
  readonly udpForgotten: number;
}

/** All sockets of one engine. Made by {@link createTransports}; `close` ends every one of them. */
export class TransportSet implements Transports {
  readonly #hub: Hub;
  readonly #udp: UdpTransport[] = [];
  readonly #streams: StreamTransport[] = [];
  readonly #webSockets: WebSocketTransport[] = [];
  readonly #connecting = new Map<string, Promise<ConnectionFlow>>();
  readonly #tokenKey: Uint8Array;

  constructor(hub: Hub) {
    this.#hub = hub;
    this.#tokenKey = hub.options.flowTokenKey ?? randomBytes(32);
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
    if (existing) return existing;
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

  token(flow: Flow): string {
    return tokenOf(flow, this.#tokenKey);
  }

  byToken(token: string): Flow | 'gone' | 'forged' {
    const name = readToken(token, this.#tokenKey);
    if (!name) return 'forged';
    const { id, protocol, localPort, address, port } = name;
    if (protocol === 'udp') {
      const socket = this.#udp.find(
        (transport) => transport.listener.bound.port === localPort && transport.family === (isIPv6(address) ? 6 : 4),
      );
      return socket?.flowTo(address, port) ?? 'gone';
    }
    // An id is unique in this process alone; another's of the same name had another peer.
    const flow = this.#hub.flows.get(id);
    return flow && flow.remote.address === address && flow.remote.port === port ? flow : 'gone';
  }

  async send(flow: Flow, bytes: Uint8Array): Promise<void> {
    if (!(flow instanceof FlowHandle)) throw new TransportError('closed', 'not a flow of these transports');
    await flow.write(bytes);
  }

  closeFlow(flow: Flow, reason: string): void {
    if (flow instanceof FlowHandle && flow.protocol !== 'udp') flow.destroy('asked', reason);
  }

  /** Ends the connection with this peer, if there is one. */
  closePeer(peer: { readonly protocol: Target['protocol']; readonly address: string; readonly port: number }): void {
    const flow = this.#hub.existing(peer);
    if (flow) this.closeFlow(flow, 'moved');
  }

  stats(): TransportStats {
    const udp = this.#udp.reduce((sum, { flowCount }) => sum + flowCount, 0);
    const flows: Record<string, number> = { udp, ...this.#hub.open };
    const { counters, admission, handshakes, refused, gaveUp, malformedOf, oversized } = this.#hub;
    const { connections, addresses } = admission;
    return {
      flows,
      ...counters,
      malformedOf: { ...malformedOf },
      oversized: { ...oversized },
      connections,
      addresses,
      handshaking: handshakes.size,
      refused: { ...refused },
      gaveUp: { ...gaveUp },
    };
  }

  async close(): Promise<void> {
    await Promise.all([...this.#udp, ...this.#streams, ...this.#webSockets].map((transport) => transport.close()));
    this.#hub.close();
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
