import { createSocket, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { Message, parseMessage } from '../message/mod.ts';
import type { HostPort } from '../../../vocabulary/mod.ts';
import { FlowHandle } from './flow-handle.ts';
import { TransportError, type Listener } from './flow.ts';
import type { Hub } from './hub.ts';
import { bindError, connectError, listenerOf } from './options.ts';
import { answerStunBinding, isStun } from './stun.ts';

/** A peer that has been silent for longer than any transaction lasts (RFC 3261 timers F, H and J: 32 s) is forgotten. */
const IDLE_MS = 40_000;
const PING = Buffer.from('\r\n\r\n');
const PONG = Buffer.from('\r\n');

/**
 * One UDP socket. It owns its flows: one for each peer address, found again by that address; the least recently
 * used are forgotten, after a while or when there are too many.
 */
export class UdpTransport {
  readonly listener: Listener;
  readonly #socket: Socket;
  readonly #hub: Hub;
  /** The least recently used first. */
  readonly #flows = new Map<string, { readonly flow: FlowHandle; usedAt: number }>();
  readonly #sweeper: NodeJS.Timeout;

  private constructor(hub: Hub, socket: Socket, listener: Listener) {
    this.#hub = hub;
    this.#socket = socket;
    this.listener = listener;
    socket.on('message', (bytes, from) => this.#received(bytes, from.address, from.port));
    // ICMP errors of earlier sends surface here; the transaction's timer deals with the peer.
    socket.on('error', () => undefined);
    this.#sweeper = setInterval(() => this.#sweep(hub.options.now() - IDLE_MS), 5000);
  }

  static async open(hub: Hub, address: string, port: number): Promise<UdpTransport> {
    const socket = createSocket({ type: isIPv6(address) ? 'udp6' : 'udp4', ipv6Only: isIPv6(address) });
    await new Promise<void>((resolve, reject) => {
      socket.once('error', (error) => reject(bindError(`udp:${address}:${port}`, error)));
      socket.bind({ address, port, exclusive: true }, () => {
        socket.removeAllListeners('error');
        resolve();
      });
    });
    try {
      socket.setRecvBufferSize(4 << 20);
      socket.setSendBufferSize(4 << 20);
    } catch {
      // The kernel's default is smaller, and works.
    }
    return new UdpTransport(hub, socket, listenerOf('udp', address, socket.address().port, hub.options.publicAddress));
  }

  get flowCount(): number {
    return this.#flows.size;
  }

  get family(): 4 | 6 {
    return isIPv6(this.listener.bound.address) ? 6 : 4;
  }

  flowTo(address: string, port: number): FlowHandle {
    const key = `${address} ${port}`;
    const usedAt = this.#hub.options.now();
    const known = this.#flows.get(key);
    if (known) {
      known.usedAt = usedAt;
      this.#flows.delete(key);
      this.#flows.set(key, known);
      return known.flow;
    }
    const flow = new UdpFlow(this.listener, { address, port }, this);
    this.#flows.set(key, { flow, usedAt });
    this.#hub.flows.set(flow.id, flow);
    if (this.#flows.size > this.#hub.limits.udpFlows) {
      const oldest = this.#flows.keys().next().value;
      if (oldest !== undefined) {
        this.#hub.counters.udpForgotten++;
        this.#forget(oldest);
      }
    }
    return flow;
  }

  async close(): Promise<void> {
    clearInterval(this.#sweeper);
    for (const key of [...this.#flows.keys()]) this.#forget(key);
    await new Promise<void>((resolve) => this.#socket.close(() => resolve()));
  }

  #sweep(before: number): void {
    for (const [key, { usedAt }] of this.#flows) {
      if (usedAt > before) return;
      this.#forget(key);
    }
  }

  forget({ address, port }: HostPort): void {
    this.#forget(`${address} ${port}`);
  }

  #forget(key: string): void {
    const known = this.#flows.get(key);
    if (!known) return;
    this.#flows.delete(key);
    this.#hub.flows.delete(known.flow.id);
  }

  #received(bytes: Buffer, address: string, port: number): void {
    if (port === 0) return;
    const stun = isStun(bytes);
    if (stun || isKeepAlive(bytes)) {
      // Datagrams need no answer to CRLF (RFC 5626 §3.5.2), but some NATs count only what comes from inside out and back.
      const answer = stun ? answerStunBinding(bytes, address, port) : bytes.equals(PING) ? PONG : undefined;
      if (answer && this.#socket.getSendQueueSize() < this.#hub.limits.udpQueueBytes)
        this.#socket.send(answer, port, address);
      return;
    }
    const parsed = parseMessage(bytes, 'datagram');
    if (parsed instanceof Message) this.#hub.message(parsed, this.flowTo(address, port));
    // Noise that cannot be answered is not remembered.
    else
      this.#hub.malformed(
        parsed,
        parsed.partial ? this.flowTo(address, port) : new UdpFlow(this.listener, { address, port }, this),
      );
  }

  send(bytes: Uint8Array, { address, port }: HostPort): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#socket.getSendQueueSize() > this.#hub.limits.udpQueueBytes) {
        this.#hub.gaveUp.backlog++;
        reject(new TransportError('overflow', 'the send queue of the UDP socket is full'));
        return;
      }
      if (bytes.length > 65_507) {
        reject(new TransportError('overflow', `a message of ${bytes.length} bytes does not fit a datagram`));
        return;
      }
      try {
        this.#socket.send(bytes, port, address, (error) => {
          if (error) {
            reject(connectError(error));
            return;
          }
          this.#hub.counters.sent++;
          resolve();
        });
      } catch (error) {
        reject(connectError(error as NodeJS.ErrnoException));
      }
    });
  }
}

/** A pair of addresses. It has no end: who still holds a forgotten one can send on it. */
class UdpFlow extends FlowHandle {
  readonly #transport: UdpTransport;

  constructor(listener: Listener, remote: HostPort, transport: UdpTransport) {
    super(listener, remote);
    this.#transport = transport;
  }

  get local(): HostPort {
    return this.listener.bound;
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.#transport.send(bytes, this.remote);
  }

  destroy(): void {
    this.#transport.forget(this.remote);
  }
}

/** Nothing but line ends, or one zero byte: phones send these to hold a NAT binding open. */
function isKeepAlive(bytes: Buffer): boolean {
  if (bytes.length > 4) return false;
  return bytes.every((byte) => byte === 0x0d || byte === 0x0a || byte === 0);
}
