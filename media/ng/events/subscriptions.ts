import { NgError, REASONS } from '../errors.ts';
import { frameOf, writePayload, type Dictionary, type Encoding } from '../message.ts';
import { eventNameOf, type EventFrame, type EventName } from './event.ts';
import type { EventHub, EventSink } from './hub.ts';

/** A control connection that lasts: ng over TCP or WebSocket. */
export interface Connection {
  /** Without cookies: `ng-plain` over WebSocket. */
  readonly plain: boolean;
  /** Sends or queues; a peer that does not read is cut off by the connection itself. */
  push(bytes: Buffer): void;
}

/** The last frame in both languages, so that many subscribers cost one encoding. */
interface Encoded {
  frame: EventFrame | undefined;
  cookie: string;
  readonly payloads: Map<Encoding, Buffer>;
}

/** Who wants which events on which connection. One subscription a connection; it ends with it. */
export class Subscriptions {
  readonly #hub: EventHub;
  readonly #cookie: () => string;
  readonly #sinks = new Map<Connection, EventSink>();
  readonly #encoded: Encoded = { frame: undefined, cookie: '', payloads: new Map() };

  constructor(hub: EventHub, cookie: () => string) {
    this.#hub = hub;
    this.#cookie = cookie;
  }

  get size(): number {
    return this.#sinks.size;
  }

  has(connection: Connection): boolean {
    return this.#sinks.has(connection);
  }

  /** `events`: a list of names, one name, or nothing for all. Subscribing again replaces. @throws NgError */
  subscribe(connection: Connection | undefined, encoding: Encoding, message: Dictionary): Dictionary {
    if (!connection) throw new NgError(REASONS.noConnection);
    const wanted = namesOf(message);
    this.unsubscribe(connection);
    const sink: EventSink = { take: (frame) => connection.push(this.#bytes(frame, encoding, connection.plain)) };
    this.#sinks.set(connection, sink);
    this.#hub.add(sink, wanted);
    return wanted ? { events: [...wanted] } : {};
  }

  unsubscribe(connection: Connection | undefined): void {
    const sink = connection && this.#sinks.get(connection);
    if (!sink) return;
    this.#hub.remove(sink);
    this.#sinks.delete(connection);
  }

  #bytes(frame: EventFrame, encoding: Encoding, plain: boolean): Buffer {
    const encoded = this.#encoded;
    if (encoded.frame !== frame) {
      encoded.frame = frame;
      encoded.cookie = this.#cookie();
      encoded.payloads.clear();
    }
    let payload = encoded.payloads.get(encoding);
    if (!payload) {
      payload = writePayload(encoding, { notify: frame.notify, data: frame.data });
      encoded.payloads.set(encoding, payload);
    }
    return plain ? payload : frameOf(encoded.cookie, payload);
  }
}

/** @throws NgError when one is not known. */
function namesOf(message: Dictionary): ReadonlySet<EventName> | undefined {
  const given = message['events'] ?? message['names'];
  if (given === undefined || given === '' || given === 'all') return undefined;
  const list = Array.isArray(given) ? given : [given];
  if (list.length === 0) return undefined;
  return new Set(
    list.map((text) => {
      const name = typeof text === 'string' ? eventNameOf(text) : undefined;
      if (!name) throw new NgError(`${REASONS.badEvents}: ${String(text).slice(0, 64)}`);
      return name;
    }),
  );
}

/** The push that needs no subscription, `--dtmf-log-ng-tcp`: to connections that have not subscribed themselves. */
export type PushAll = (bytes: Buffer, except: (connection: Connection) => boolean) => void;
