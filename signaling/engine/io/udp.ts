import { createSocket, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { Message, parseMessage } from '../message/mod.ts';
import { FlowHandle } from './flow-handle.ts';
import { TransportError, type Listener } from './flow.ts';
import type { Hub } from './hub.ts';
import { bindError, connectError, listenerOf } from './options.ts';
import { answerStunBinding, isStun } from './stun.ts';

/** A peer that has been silent for longer than any transaction lasts (RFC 3261 timers F, H and J: 32 s) is forgotten. */
const IDLE_MS = 40_000;

/**
 * One UDP socket. It owns its flows: one for each peer address, found again by that address; the least recently
 * used are forgotten, after a while or when there are too many. A UDP flow has no end of its own: who still holds
 * a forgotten one can send on it.
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
    const flow: FlowHandle = new FlowHandle({
      listener: this.listener,
      protocol: 'udp',
      local: this.listener.bound,
      remote: { address, port },
      write: (bytes) => this.#send(bytes, address, port),
      destroy: () => this.#forget(key),
    });
    this.#flows.set(key, { flow, usedAt });
    this.#hub.flows.set(flow.id, flow);
    if (this.#flows.size > this.#hub.limits.udpFlows) {
      const oldest = this.#flows.keys().next().value;
      if (oldest !== undefined) this.#forget(oldest);
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

  #forget(key: string): void {
    const known = this.#flows.get(key);
    if (!known) return;
    this.#flows.delete(key);
    this.#hub.flows.delete(known.flow.id);
  }

  #received(bytes: Buffer, address: string, port: number): void {
    if (port === 0) return;
    if (isStun(bytes)) {
      const answer = answerStunBinding(bytes, address, port);
      if (answer) this.#socket.send(answer, port, address);
      return;
    }
    if (isKeepAlive(bytes)) return;
    const flow = this.flowTo(address, port);
    const parsed = parseMessage(bytes, 'datagram');
    if (parsed instanceof Message) this.#hub.message(parsed, flow);
    else this.#hub.malformed(parsed, flow);
  }

  #send(bytes: Uint8Array, address: string, port: number): Promise<void> {
    return new Promise((resolve, reject) => {
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

/** Nothing but line ends, or one zero byte: phones send these to hold a NAT binding open. */
function isKeepAlive(bytes: Buffer): boolean {
  if (bytes.length > 4) return false;
  return bytes.every((byte) => byte === 0x0d || byte === 0x0a || byte === 0);
}
