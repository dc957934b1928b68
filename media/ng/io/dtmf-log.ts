import { createSocket, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { parseHostPort, type HostPort } from '../../../vocabulary/mod.ts';
import { dtmfLog, type EventFrame, type MediaEvent } from '../events/event.ts';
import type { EventSink } from '../events/hub.ts';

/** DTMF as JSON datagrams to one address, as rtpengine's `--dtmf-log-dest`. It owns its socket. */
export class DtmfLog implements EventSink {
  readonly #socket: Socket;
  readonly #to: HostPort;

  /** `destination`: HOST:PORT. @throws Error in words when it is not. */
  constructor(destination: string) {
    const to = parseHostPort(destination);
    if (!to) throw new Error(`DTMF log address "${destination}" is not HOST:PORT`);
    this.#to = to;
    this.#socket = createSocket(isIPv6(to.address) ? 'udp6' : 'udp4');
    this.#socket.on('error', () => undefined);
    this.#socket.unref();
  }

  take(_frame: EventFrame, event: MediaEvent, now: number): void {
    if (event.type !== 'dtmf') return;
    this.#socket.send(dtmfLog(event, now), this.#to.port, this.#to.address, () => undefined);
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => this.#socket.close(() => resolve()));
  }
}
