import { topVia, type Limit, type Message, type ParseFailure } from '../message/mod.ts';
import { targetKey } from '../targets/mod.ts';
import { Admission, type Refusal } from './admission.ts';
import { Deadlines } from './deadlines.ts';
import { ConnectionFlow, type CloseCause, type FlowHandle } from './flow-handle.ts';
import { TransportError, type Target } from './flow.ts';
import type { TransportLimits, TransportOptions } from './options.ts';
import { speaksFor } from './peer-identity.ts';

/** What the transports share: the flow table, who may come in, the deadlines, the counters, the way up. */
export class Hub {
  readonly options: TransportOptions;
  readonly limits: TransportLimits;
  readonly admission: Admission;
  readonly flows = new Map<string, FlowHandle>();
  /** Connections by where they lead, for reuse (RFC 3261 §18.1.1) and by alias (RFC 5923 §8). */
  readonly #byPeer = new Map<string, ConnectionFlow>();
  /** From the connection to the end of the TLS handshake. */
  readonly handshakes: Deadlines<{ destroy(): unknown }>;
  /** From the connection to the first message. */
  readonly silent: Deadlines<ConnectionFlow>;
  /** From the first byte of a message to its last. */
  readonly incomplete: Deadlines<ConnectionFlow>;
  /** From the last byte of a peer that sends keep-alives (RFC 5626 §5.4). */
  readonly quiet: Deadlines<ConnectionFlow>;
  /** From the wish to close to the end, for what is still to be sent. */
  readonly closing: Deadlines<{ destroy(): unknown }>;
  readonly counters = { received: 0, sent: 0, malformed: 0, udpForgotten: 0 };
  /** Of what was malformed: what it seems to have been, and the limit that it went beyond. */
  readonly malformedOf: Record<ParseFailure['of'], number> = { request: 0, response: 0, unknown: 0 };
  readonly oversized: Record<Limit, number> = { message: 0, headers: 0, line: 0, uri: 0, body: 0 };
  /** Open connections, ours to others among them. */
  readonly open = { tcp: 0, tls: 0, ws: 0, wss: 0 };
  readonly refused: Record<Refusal | 'subprotocol', number> = {
    connections: 0,
    'per-address': 0,
    handshakes: 0,
    'handshakes-per-address': 0,
    subprotocol: 0,
  };
  readonly gaveUp: Record<CloseCause | 'slow-handshake', number> = {
    asked: 0,
    unreadable: 0,
    backlog: 0,
    'slow-message': 0,
    'frame-size': 0,
    silent: 0,
    dead: 0,
    'slow-handshake': 0,
  };

  constructor(options: TransportOptions, limits: TransportLimits) {
    this.options = options;
    this.limits = limits;
    this.admission = new Admission(limits, options.exempt);
    const { now } = options;
    this.handshakes = new Deadlines(limits.handshakeMs, now, (socket) => {
      this.gaveUp['slow-handshake']++;
      socket.destroy();
    });
    this.silent = new Deadlines(limits.firstMessageMs, now, (flow) => flow.destroy('silent', 'it sent nothing'));
    this.incomplete = new Deadlines(limits.messageMs, now, (flow) =>
      flow.destroy('slow-message', 'a message was not complete in time'),
    );
    this.quiet = new Deadlines(limits.keepAliveMs, now, (flow) => flow.destroy('dead', 'its keep-alives have ended'));
    this.closing = new Deadlines(limits.closeMs, now, (socket) => socket.destroy());
  }

  opened(flow: ConnectionFlow): void {
    this.flows.set(flow.id, flow);
    if (flow.protocol !== 'udp') this.open[flow.protocol]++;
    this.#byPeer.set(targetKey({ protocol: flow.protocol, ...flow.remote }), flow);
  }

  closed(flow: ConnectionFlow, reason: string): void {
    if (flow.closed) return;
    flow.closed = true;
    this.silent.clear(flow);
    this.incomplete.clear(flow);
    this.quiet.clear(flow);
    this.flows.delete(flow.id);
    if (flow.protocol !== 'udp') this.open[flow.protocol]--;
    this.#forget(flow, flow.remote.port);
    if (flow.aliasPort !== undefined) this.#forget(flow, flow.aliasPort);
    this.options.events.closed(flow, reason);
  }

  /**
   * An open connection that leads there. For TLS it must be to a peer that has shown itself to be who is called (RFC 5922
   * §7, RFC 5923 §9), unless that is an address: then it is what has come from there.
   */
  existing(target: Target): ConnectionFlow | undefined {
    const flow = this.#byPeer.get(targetKey(target));
    if (!flow || flow.closed) return undefined;
    if (flow.protocol !== 'tls') return flow;
    const { serverName = target.address } = target;
    if (flow.identity && speaksFor(flow.identity, serverName)) return flow;
    return !flow.outgoing && serverName === flow.remote.address ? flow : undefined;
  }

  message(message: Message, flow: FlowHandle): void {
    this.counters.received++;
    if (flow instanceof ConnectionFlow && flow.identity && !flow.outgoing && flow.aliasPort === undefined)
      this.#alias(message, flow);
    this.options.events.message(message, flow, this.options.now());
  }

  malformed(failure: ParseFailure, flow: FlowHandle): void {
    this.counters.malformed++;
    this.malformedOf[failure.of]++;
    if (failure.limit !== undefined) this.oversized[failure.limit]++;
    this.options.events.malformed(failure, flow);
  }

  /** A frame beyond the limit of a message, of which nothing was read. */
  tooLong(): void {
    this.counters.malformed++;
    this.malformedOf.unknown++;
    this.oversized.message++;
    this.gaveUp['frame-size']++;
  }

  /** A peer that does not read is not worth our memory. */
  overflow(flow: FlowHandle): TransportError {
    flow.destroy('backlog', 'it does not read');
    return new TransportError('overflow', `the send queue to ${flow.remote.address}:${flow.remote.port} is full`);
  }

  close(): void {
    for (const deadlines of [this.handshakes, this.silent, this.incomplete, this.quiet, this.closing])
      deadlines.close();
  }

  /**
   * RFC 5923 §8.2: who has proved its domain may have requests sent back by its own connection, as if it led to the
   * port of its Via. Without the proof anybody could take over the calls of a host by naming its port.
   */
  #alias(message: Message, flow: ConnectionFlow): void {
    if (message.type !== 'request') return;
    const { via } = topVia(message.get('via') ?? '');
    if (!via?.params.has('alias') || !flow.identity || !speaksFor(flow.identity, via.host)) return;
    flow.aliasPort = via.port ?? 5061;
    this.#byPeer.set(targetKey({ protocol: flow.protocol, address: flow.remote.address, port: flow.aliasPort }), flow);
  }

  #forget(flow: ConnectionFlow, port: number): void {
    const key = targetKey({ protocol: flow.protocol, address: flow.remote.address, port });
    if (this.#byPeer.get(key) === flow) this.#byPeer.delete(key);
  }
}
