import type { Limit, Message, ParseFailure } from '../message/mod.ts';
import { FlowHandle } from './flow-handle.ts';
import { TransportError, type Target } from './flow.ts';
import type { TransportLimits, TransportOptions } from './options.ts';

/** What the transports share: the flow table, the counters, the way up. */
export class Hub {
  readonly options: TransportOptions;
  readonly limits: TransportLimits;
  readonly flows = new Map<string, FlowHandle>();
  /** Connections by `protocol address port`, for reuse (RFC 3261 §18.1.1, RFC 5923). */
  readonly #byPeer = new Map<string, FlowHandle>();
  readonly counters = { received: 0, sent: 0, malformed: 0, overflow: 0, refusedConnections: 0 };
  /** Of what was malformed: what it seems to have been, and the limit that it went beyond. */
  readonly malformedOf: Record<ParseFailure['of'], number> = { request: 0, response: 0, unknown: 0 };
  readonly oversized: Record<Limit, number> = { message: 0, headers: 0, line: 0, uri: 0, body: 0 };

  constructor(options: TransportOptions, limits: TransportLimits) {
    this.options = options;
    this.limits = limits;
  }

  get connections(): number {
    return this.flows.size;
  }

  opened(flow: FlowHandle): void {
    this.flows.set(flow.id, flow);
    this.#byPeer.set(peerKey(flow.protocol, flow.remote.address, flow.remote.port), flow);
  }

  closed(flow: FlowHandle, reason: string): void {
    if (flow.closed) return;
    flow.closed = true;
    this.flows.delete(flow.id);
    const key = peerKey(flow.protocol, flow.remote.address, flow.remote.port);
    if (this.#byPeer.get(key) === flow) this.#byPeer.delete(key);
    this.options.events.closed(flow, reason);
  }

  existing(target: Target): FlowHandle | undefined {
    return this.#byPeer.get(peerKey(target.protocol, target.address, target.port));
  }

  message(message: Message, flow: FlowHandle): void {
    this.counters.received++;
    this.options.events.message(message, flow, this.options.now());
  }

  malformed(failure: ParseFailure, flow: FlowHandle): void {
    this.counters.malformed++;
    this.malformedOf[failure.of]++;
    if (failure.limit !== undefined) this.oversized[failure.limit]++;
    this.options.events.malformed(failure, flow);
  }

  /** A frame beyond {@link LIMITS} of which nothing was read. */
  tooLong(): void {
    this.counters.malformed++;
    this.malformedOf.unknown++;
    this.oversized.message++;
  }

  /** Sends on a stream, but not past the bound of its queue: a peer that does not read is not worth our memory. */
  overflow(flow: FlowHandle): TransportError {
    this.counters.overflow++;
    flow.destroy('its send queue is full');
    return new TransportError('overflow', `the send queue to ${flow.remote.address}:${flow.remote.port} is full`);
  }
}

function peerKey(protocol: string, address: string, port: number): string {
  return `${protocol} ${address} ${port}`;
}
