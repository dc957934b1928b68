import type { HostPort } from '../../../vocabulary/mod.ts';
import type { Flow, Listener, Protocol } from './flow.ts';
import type { PeerIdentity } from './peer-identity.ts';

let nextId = 0;

/** A flow with the means to use it; only the transports call `write` and `destroy`. */
export abstract class FlowHandle implements Flow {
  readonly id = `f${(++nextId).toString(36)}`;
  readonly protocol: Protocol;
  readonly listener: Listener;
  readonly remote: HostPort;
  closed = false;

  constructor(listener: Listener, remote: HostPort) {
    this.protocol = listener.protocol;
    this.listener = listener;
    this.remote = remote;
  }

  abstract readonly local: HostPort;
  abstract write(bytes: Uint8Array): Promise<void>;
  abstract destroy(why: CloseCause, reason: string): void;

  get reliable(): boolean {
    return this.protocol !== 'udp';
  }
}

/** Why a connection was given up by us, as the metric names it. */
export type CloseCause =
  /** The application, or the engine, wanted it so. */
  | 'asked'
  /** What it sent is no SIP, and nobody knows where the next message would begin. */
  | 'unreadable'
  /** It does not read what it is sent. */
  | 'backlog'
  /** A message, or a WebSocket frame, was not complete in time. */
  | 'slow-message'
  | 'frame-size'
  /** It never sent a message. */
  | 'silent'
  /** It does not answer pings. */
  | 'dead';

/** A connection: what it is carried by hands in how it is written to and ended. */
export class ConnectionFlow extends FlowHandle {
  readonly local: HostPort;
  readonly outgoing: boolean;
  /** TLS: for whom the peer's certificate speaks, when one was asked for and was good. */
  readonly identity: PeerIdentity | undefined;
  /** The peer's listening port, when it lets us send requests by this connection (RFC 5923). */
  aliasPort: number | undefined;
  readonly write: (bytes: Uint8Array) => Promise<void>;
  readonly destroy: (why: CloseCause, reason: string) => void;

  constructor(parts: {
    listener: Listener;
    local: HostPort;
    remote: HostPort;
    outgoing: boolean;
    identity?: PeerIdentity | undefined;
    write: (bytes: Uint8Array) => Promise<void>;
    destroy: (why: CloseCause, reason: string) => void;
  }) {
    super(parts.listener, parts.remote);
    this.local = parts.local;
    this.outgoing = parts.outgoing;
    this.identity = parts.identity;
    this.write = parts.write;
    this.destroy = parts.destroy;
  }
}
