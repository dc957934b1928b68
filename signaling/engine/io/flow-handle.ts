import type { HostPort } from '../../../vocabulary/mod.ts';
import type { Flow, Listener, Protocol } from './flow.ts';

let nextId = 0;

/** A flow with the means to use it; only the transport that made it calls `write` and `destroy`. */
export class FlowHandle implements Flow {
  readonly id = `f${(++nextId).toString(36)}`;
  readonly protocol: Protocol;
  readonly listener: Listener;
  readonly local: HostPort;
  readonly remote: HostPort;
  closed = false;
  readonly write: (bytes: Uint8Array) => Promise<void>;
  readonly destroy: (reason: string) => void;

  constructor(parts: {
    listener: Listener;
    protocol: Protocol;
    local: HostPort;
    remote: HostPort;
    write: (bytes: Uint8Array) => Promise<void>;
    destroy: (reason: string) => void;
  }) {
    this.protocol = parts.protocol;
    this.listener = parts.listener;
    this.local = parts.local;
    this.remote = parts.remote;
    this.write = parts.write;
    this.destroy = parts.destroy;
  }

  get reliable(): boolean {
    return this.protocol !== 'udp';
  }
}
