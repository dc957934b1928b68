import { Server, Socket } from 'node:net';
import type Srf from 'drachtio-srf';
import { encodeFrame, FrameReader } from '../frame.ts';
import type { AppLink } from '../app-link.ts';

let nextPort = 1;

/**
 * The connection between drachtio-srf and the engine without a socket: drachtio-srf sees a `net.Socket`, whose
 * bytes are handed over in memory. Delivery is always later than the write that caused it, because drachtio-srf
 * notes what it waits for only after `write` has returned.
 */
class EngineSocket extends Socket {
  readonly #onPayload: (payload: string) => void;
  readonly #reader = new FrameReader();
  #out: Buffer[] = [];
  #in: string[] = [];
  #scheduled = false;
  ended = false;

  constructor(onPayload: (payload: string) => void) {
    super();
    this.#onPayload = onPayload;
    // drachtio-srf tells its connections apart by these.
    const port = nextPort++;
    const fixed = (value: string | number) => ({ value, configurable: true });
    Object.defineProperties(this, {
      remoteAddress: fixed('127.0.0.1'),
      remotePort: fixed(port),
      localPort: fixed(port),
    });
  }

  override setKeepAlive(): this {
    return this;
  }

  override setNoDelay(): this {
    return this;
  }

  override write(data: unknown, encoding?: unknown, callback?: unknown): boolean {
    const { payloads } = this.#reader.push(Buffer.from(data as string));
    this.#in.push(...payloads);
    this.#schedule();
    const done = typeof encoding === 'function' ? encoding : callback;
    if (typeof done === 'function') setImmediate(done as () => void);
    return true;
  }

  override end(): this {
    if (!this.ended) {
      this.ended = true;
      setImmediate(() => this.emit('close', false));
    }
    return this;
  }

  deliver(payload: string): void {
    this.#out.push(encodeFrame(payload));
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#flush());
  }

  #flush(): void {
    this.#scheduled = false;
    const commands = this.#in;
    this.#in = [];
    for (const payload of commands) this.#onPayload(payload);
    const frames = this.#out;
    this.#out = [];
    if (this.ended) return;
    // One frame at a time: drachtio-srf is quicker on whole frames than on a long buffer of them.
    for (const frame of frames) this.emit('data', frame);
  }
}

/** Of drachtio-srf 5.0.29: the client of an application, and what reads frames for it (lib/proto.js, lib/wire-protocol.js). */
interface Client {
  readonly wp: { emit(event: string, ...args: unknown[]): boolean };
}

/**
 * drachtio-srf is told to listen, which alone takes a socket from us; but a server that has called an application is hung
 * up on when a request is done with for which it has no handler, and when a handler throws. Here there is one connection
 * for all requests and calls: it stays, and what is thrown is told.
 */
function stay({ client }: { readonly client: Client }, onError: (error: unknown) => void): void {
  Object.defineProperty(client, 'isListening', { value: false });
  const { wp } = client;
  const emit = wp.emit.bind(wp);
  wp.emit = (event, ...args) => {
    try {
      return emit(event, ...args);
    } catch (error) {
      onError(error);
      return true;
    }
  };
}

/** Connects an unmodified drachtio-srf instance; resolves when it has authenticated. */
export function attachInProcess(
  srf: Srf,
  accept: (link: AppLink) => (payload: string) => void,
  onError: (error: unknown) => void,
): { readonly ready: Promise<void>; readonly link: AppLink } {
  const server = new Server();
  let receive: (payload: string) => void = () => undefined;
  const socket = new EngineSocket((payload) => receive(payload));
  const link: AppLink = {
    id: 'embedded',
    embedded: true,
    verbs: new Set(),
    tags: [],
    get closed() {
      return socket.ended;
    },
    send: (payload) => socket.deliver(payload),
    close: () => void socket.end(),
  };
  receive = accept(link);
  const ready = new Promise<void>((resolve, reject) => {
    srf.on('connect', (error: Error | null) => (error ? reject(error) : resolve()));
  });
  (srf as unknown as { listen(options: object): void }).listen({ server, secret: 'in-process' });
  const { _app: app } = srf as unknown as { _app: { client: Client } };
  stay(app, onError);
  server.emit('connection', socket);
  return { ready, link };
}
