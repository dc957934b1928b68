import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type Srf from 'drachtio-srf';
import type { Private } from '../../vocabulary/mod.ts';
import {
  askHandler,
  attachInProcess,
  ControlServer,
  handlerFor,
  OutboundApps,
  type AppLink,
  type LinkHost,
  type RequestHandler,
} from './control/mod.ts';
import { appGone, createCore, randomIds, receive, receiveCommand, receiveMalformed, type Core } from './core/mod.ts';
import type { CorePolicy, Routed } from './core/mod.ts';
import {
  createTransports,
  Resolver,
  type Flow,
  type ResolverOptions,
  type TlsOptions,
  type TransportLimits,
  type TransportSet,
} from './io/mod.ts';
import type { Message, SipMessage } from './message/mod.ts';

/** What version drachtio-srf is told; it reads the numbers to see what the server can do. */
const SPOKEN_VERSION = 'v0.9.10';

export interface EngineOptions {
  /** `udp:127.0.0.1:5060`, and tcp, tls, ws, wss. */
  readonly listen: readonly string[];
  readonly publicAddress?: string | undefined;
  readonly tls?: TlsOptions | undefined;
  /** PEM of CAs that are trusted beside the system's when the engine connects by TLS. */
  readonly ca?: string | undefined;
  /** The control port for applications that connect from outside; it always wants the secret. */
  readonly control?:
    | {
        readonly listen: string;
        readonly secret: Private<string>;
        /** A second port for the same, with TLS; PEM. */
        readonly tls?: { readonly listen: string; readonly cert: string; readonly key: string } | undefined;
      }
    | undefined;
  /** Who is asked about requests that begin something, instead of the applications that have connected. */
  readonly requestHandlers?: readonly RequestHandler[] | undefined;
  readonly defaultRefresher?: CorePolicy['defaultRefresher'];
  /** Signs the Routes of proxied calls, so that they outlive a restart; random when absent. */
  readonly routeSecret?: Private<string> | undefined;
  readonly challenge?: CorePolicy['challenge'];
  readonly orphanRequests?: CorePolicy['orphanRequests'];
  readonly appRoutes?: CorePolicy['appRoutes'];
  readonly firstCSeq?: CorePolicy['firstCSeq'];
  readonly onHttpRequest?: ((request: IncomingMessage, response: ServerResponse) => void) | undefined;
  /** A connection is gone; what was registered over it cannot be reached any more. */
  readonly onFlowClosed?: ((flow: { protocol: string; address: string; port: number }) => void) | undefined;
  /** Finding targets: DNS servers, and who gets large requests over UDP. */
  readonly targets?: Pick<ResolverOptions, 'servers' | 'hostsFile' | 'random' | 'oversized' | 'udpOnly'> | undefined;
  /** Whom the limits of one address do not hold for: edge proxies. `192.0.2.1`, `2001:db8::/64`. */
  readonly exempt?: readonly string[] | undefined;
  /** Flow tokens are signed with it; the nodes of a PoP share it. */
  readonly flowTokenKey?: Uint8Array | undefined;
  readonly limits?: {
    readonly transactions?: number;
    readonly registeredFlows?: number;
  } & Partial<TransportLimits>;
  readonly onError?: ((error: unknown) => void) | undefined;
}

export interface EngineStats {
  readonly transactions: number;
  readonly dialogs: number;
  readonly timers: number;
  readonly apps: number;
  /** Methods that applications have asked for, over all of them. */
  readonly routes: number;
  readonly registeredFlows: number;
  readonly challenged: number;
  readonly refused: number;
  /** Requests that were proxied so far, and those that are at it. */
  readonly proxied: number;
  readonly proxying: number;
  readonly strayResponses: number;
  readonly transport: ReturnType<TransportSet['stats']>;
  readonly targets: ReturnType<Resolver['stats']>;
}

/** The SIP engine of one node. It owns its sockets, timers and the links of its applications until `close`. */
export class Engine {
  readonly #core: Core;
  readonly #transports: TransportSet;
  readonly #onError: (error: unknown) => void;
  readonly #controls: ControlServer[] = [];
  #outbound: OutboundApps | undefined;
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Infinity;
  #closed = false;

  private constructor(core: Core, transports: TransportSet, onError: (error: unknown) => void) {
    this.#core = core;
    this.#transports = transports;
    this.#onError = onError;
    core.layer.timers.onEarlier = () => this.#arm();
  }

  /** @throws TransportError when a listener cannot be opened; nothing stays open then. */
  static async open(options: EngineOptions): Promise<Engine> {
    const held: { transports?: TransportSet; engine?: Engine } = {};
    const now = () => performance.now();
    const route = (request: SipMessage, flow: Flow) => {
      const { engine } = held;
      return engine && engine.#route(options.requestHandlers ?? [], request, flow);
    };
    const core = createCore({
      policy: {
        challenge: options.challenge,
        orphanRequests: options.orphanRequests ?? 'reject',
        defaultRefresher: options.defaultRefresher,
        route: options.requestHandlers?.length ? route : undefined,
        appRoutes: options.appRoutes,
        firstCSeq: options.firstCSeq,
      },
      transports: () => held.transports as TransportSet,
      resolver: new Resolver({ now, listeners: () => held.transports?.listeners ?? [], ...options.targets }),
      ids: randomIds,
      routeSecret: options.routeSecret?.reveal() ?? randomUUID(),
      limits: {
        transactions: options.limits?.transactions ?? 100_000,
        registeredFlows: options.limits?.registeredFlows ?? 100_000,
      },
      now,
      wall: () => Date.now(),
    });
    const guard = (work: () => void) => {
      // Nothing that the network says may end the process: a fault of ours costs one message.
      try {
        work();
      } catch (error) {
        options.onError?.(error);
      }
    };
    held.transports = await createTransports({
      listen: options.listen,
      publicAddress: options.publicAddress,
      tls: options.tls,
      ca: options.ca,
      limits: options.limits ?? {},
      exempt: options.exempt,
      flowTokenKey: options.flowTokenKey,
      onHttpRequest: options.onHttpRequest,
      now,
      events: {
        message: (message, flow, at) => guard(() => receive(core, message as Message, flow, at)),
        malformed: (failure, flow) => guard(() => receiveMalformed(core, failure, flow)),
        closed: (flow: Flow) =>
          guard(() => {
            core.registeredFlows.closed(flow);
            core.layer.flowClosed(flow, now());
            options.onFlowClosed?.({ protocol: flow.protocol, ...flow.remote });
          }),
      },
    });
    const engine = new Engine(core, held.transports, (error) => options.onError?.(error));
    held.engine = engine;
    if (options.control) {
      try {
        const { listen, secret, tls } = options.control;
        const host: LinkHost = {
          secret,
          accept: (link) => engine.#accept(link),
          closed: (link) => engine.#gone(link),
          identity: () => engine.#identity(),
        };
        engine.#outbound = new OutboundApps(host, options.ca);
        engine.#controls.push(await ControlServer.open(listen, host));
        if (tls) engine.#controls.push(await ControlServer.open(tls.listen, host, tls));
      } catch (error) {
        await engine.close();
        throw error;
      }
    }
    return engine;
  }

  /** Joins a drachtio-srf application in this process, without a socket. Resolves when it is connected. */
  async attach(srf: Srf): Promise<void> {
    await attachInProcess(
      srf,
      (link) => this.#accept(link),
      (error) => this.#onError(error),
    ).ready;
  }

  /** Every listening address by protocol: `udp:127.0.0.1:5060`. */
  get listening(): readonly string[] {
    return this.#transports.listeners.map(({ protocol, external }) => {
      const host = external.address.includes(':') ? `[${external.address}]` : external.address;
      return `${protocol}:${host}:${external.port}`;
    });
  }

  /** `127.0.0.1:9022`, when there is a control port. */
  get controlAddress(): string | undefined {
    return this.#controls[0]?.address;
  }

  get controlTlsAddress(): string | undefined {
    return this.#controls[1]?.address;
  }

  stats(): EngineStats {
    const { layer, dialogs, apps, registeredFlows, proxies, counters } = this.#core;
    return {
      transactions: layer.size,
      dialogs: dialogs.size,
      timers: layer.timers.size,
      apps: apps.size,
      routes: apps.routes,
      registeredFlows: registeredFlows.size,
      proxying: proxies.size,
      ...counters,
      strayResponses: layer.strays,
      transport: this.#transports.stats(),
      targets: this.#core.resolver.stats(),
    };
  }

  /** Ends the connection with a peer, as {@link EngineOptions.onFlowClosed} names it: its client goes elsewhere. */
  closePeer(flow: { readonly protocol: string; readonly address: string; readonly port: number }): void {
    this.#transports.closePeer(flow as Parameters<TransportSet['closePeer']>[0]);
  }

  /** New calls are refused with 503 from now on; resolves when the last dialog has ended or after `graceMs`. */
  async drain(graceMs: number): Promise<void> {
    this.#core.draining = true;
    const until = performance.now() + graceMs;
    while (this.#core.dialogs.size > 0 && performance.now() < until) {
      await new Promise((resolve) => setTimeout(resolve, Math.min(50, graceMs)));
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#core.apps.closeAll();
    this.#outbound?.close();
    await Promise.all(this.#controls.map((control) => control.close()));
    this.#core.layer.close();
    this.#core.resolver.close();
    await this.#transports.close();
  }

  /** Asks the handler of the method, and connects to the application that it names. */
  #route(handlers: readonly RequestHandler[], request: SipMessage, flow: Flow): Promise<Routed> | undefined {
    const handler = handlerFor(handlers, request.method);
    if (!handler) return undefined;
    const { protocol, remote } = flow;
    return askHandler(handler, request, { protocol, address: remote.address }).then(
      async (routing): Promise<Routed> => {
        if (routing.type !== 'connect') return routing;
        const unreachable: Routed = { type: 'reject', status: 480, reason: undefined };
        if (!this.#outbound || this.#closed) return unreachable;
        return this.#outbound
          .connect({ ...routing, verify: handler.verifyPeer ?? true })
          .then((link) => ({ type: 'app', link }) as const)
          .catch(() => unreachable);
      },
    );
  }

  #accept(link: AppLink): (payload: string) => void {
    this.#core.apps.add(link);
    return (payload) => receiveCommand(this.#core, link, payload, () => this.#identity());
  }

  #gone(link: AppLink): void {
    this.#core.apps.remove(link);
    appGone(this.#core, link, performance.now());
  }

  #identity(): string {
    const list = (which: 'external' | 'bound') =>
      this.#transports.listeners
        .map((listener) => `${listener.protocol}/${listener[which].address}:${listener[which].port}`)
        .join(',');
    return `${list('external')}|${SPOKEN_VERSION}|${list('bound')}`;
  }

  /** One timer of the event loop stands for all of the engine's; it is set anew when an earlier one comes up. */
  #arm(): void {
    if (this.#closed) return;
    const at = this.#core.layer.timers.nextAt;
    if (at === undefined || at >= this.#timerAt) return;
    clearTimeout(this.#timer);
    this.#timerAt = at;
    this.#timer = setTimeout(
      () => {
        this.#timerAt = Infinity;
        this.#core.layer.timers.advance(performance.now());
        this.#arm();
      },
      Math.max(1, at - performance.now()),
    );
  }
}
