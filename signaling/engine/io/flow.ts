import type { HostPort } from '../../../vocabulary/mod.ts';
import type { ParseFailure, SipMessage } from '../message/mod.ts';
import type { Protocol, Target } from '../targets/mod.ts';

export type { Protocol, Target } from '../targets/mod.ts';

/** One listening address, as in `--sip udp:0.0.0.0:5060,wss:[::]:8443`. `external` is what Via, Contact and Record-Route carry. */
export interface Listener {
  readonly protocol: Protocol;
  readonly bound: HostPort;
  readonly external: HostPort;
}

/**
 * A way to one peer (RFC 5626 §1): a connection, or for UDP a pair of addresses on one of our sockets.
 * Answers and requests to a registered client go back by the flow they came from. The transports own it;
 * everybody else holds it only as a handle.
 */
export interface Flow {
  /** Unique within the process, never reused. */
  readonly id: string;
  readonly protocol: Protocol;
  readonly reliable: boolean;
  readonly listener: Listener;
  readonly local: HostPort;
  readonly remote: HostPort;
  readonly closed: boolean;
  /** We have opened the connection, so that it can be opened again. */
  readonly outgoing?: boolean;
}

export interface TransportEvents {
  /** `receivedAt` is the engine clock's monotonic time, in ms. */
  message(message: SipMessage, flow: Flow, receivedAt: number): void;
  /** The peer sent something that is not SIP; `failure.partial` has what is needed to answer 400, when that much could be read. */
  malformed(failure: ParseFailure, flow: Flow): void;
  /** The connection is gone; a UDP flow never closes by itself. */
  closed(flow: Flow, reason: string): void;
}

/** Every socket of the engine. The composition root makes one and closes it. */
export interface Transports {
  readonly listeners: readonly Listener[];
  /** A flow to the target: an open connection to the same place, or a new one. Rejects with a TransportError. */
  connect(target: Target): Promise<Flow>;
  /** The flow with this id, while it is open (or, for UDP, known). */
  flow(id: string): Flow | undefined;
  /** The flow as the user part of a URI of ours, for Path and Record-Route (RFC 5626 §5.1). */
  token(flow: Flow): string;
  /** `gone`: there was such a flow (430, RFC 5626 §5.3.1). `forged`: we have never given this token out (403). */
  byToken(token: string): Flow | 'gone' | 'forged';
  /** Resolves when the bytes have been handed to the kernel; rejects with a TransportError when the flow is gone or its send queue is full. */
  send(flow: Flow, bytes: Uint8Array): Promise<void>;
  closeFlow(flow: Flow, reason: string): void;
  close(): Promise<void>;
}

export class TransportError extends Error {
  readonly code: 'refused' | 'unreachable' | 'timeout' | 'closed' | 'no-transport' | 'overflow' | 'tls';

  constructor(code: TransportError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'TransportError';
    this.code = code;
  }
}
