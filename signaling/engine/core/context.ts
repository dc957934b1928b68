import type { DialogTable, Refresher } from '../dialog/mod.ts';
import { metaOf, sipFrame, type AppLink, type AppTable, type FrameMeta, type Routing } from '../control/mod.ts';
import type { Flow, Resolver, Transports } from '../io/mod.ts';
import type { Message, SipMessage } from '../message/mod.ts';
import type { Transaction, TransactionLayer } from '../transaction/mod.ts';
import type { Ids } from './ids.ts';
import type { BranchState, ProxyRun } from './proxy-run.ts';
import type { ClientRequest, Leg, ServerRequest } from './records.ts';
import type { RegisteredFlows } from './registered-flows.ts';

/** What {@link EngineOptions.challenge} decides about a request outside of a dialog. */
export interface Challenge {
  readonly status: number;
  readonly reason?: string;
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  /** The connection ends with this answer. */
  readonly close?: boolean;
}

export interface CorePolicy {
  /** Answers requests without live credentials before they cost any state; `undefined` lets them pass. `now`: epoch ms. */
  readonly challenge?:
    | ((
        request: SipMessage,
        source: { readonly protocol: string; readonly address: string; readonly port: number },
        now: number,
      ) => Challenge | undefined)
    | undefined;
  /** Who refreshes a session where neither side has said it; `none`: such a session has no timer (RFC 4028). */
  readonly defaultRefresher?: Refresher | 'none' | undefined;
  /** Who gets a request that begins something; undefined: the applications that asked for its method, in turn. Never rejects. */
  readonly route?: ((request: SipMessage, flow: Flow) => Promise<Routed> | undefined) | undefined;
  /** In-dialog requests of dialogs that this engine does not hold: 481, or to the application with an empty dialog id. */
  readonly orphanRequests: 'reject' | 'deliver';
  /** Whether Route headers that an application writes into a new request are sent; drachtio's server drops them. */
  readonly appRoutes?: boolean | undefined;
  /** Where the CSeqs of our own requests begin; as drachtio's server does it when absent. */
  readonly firstCSeq?: number | undefined;
}

/** A decision that has been carried out as far as connections go. */
export type Routed = Exclude<Routing, { type: 'connect' }> | { readonly type: 'app'; readonly link: AppLink };

/** Everything that the parts of the engine's core share. One engine makes one and owns it. */
export interface Core {
  readonly policy: CorePolicy;
  readonly transports: Transports;
  readonly layer: TransactionLayer;
  readonly resolver: Resolver;
  readonly ids: Ids;
  readonly apps: AppTable;
  readonly dialogs: DialogTable;
  readonly legs: Map<string, Leg>;
  /** By transaction id. */
  readonly serverRequests: Map<string, ServerRequest>;
  readonly byServerTransaction: Map<Transaction, ServerRequest>;
  readonly clientRequests: Map<string, ClientRequest>;
  readonly byClientTransaction: Map<Transaction, ClientRequest>;
  /** What is being proxied, by its server transaction; and by the client transaction of each branch. */
  readonly proxies: Map<Transaction, ProxyRun>;
  readonly proxyBranches: Map<Transaction, BranchState>;
  /** Proves that a Route of ours was written here. */
  readonly routeSecret: string;
  /** Requests about which somebody is being asked. */
  readonly routing: Set<Transaction>;
  readonly registeredFlows: RegisteredFlows;
  readonly counters: { challenged: number; refused: number; proxied: number };
  draining: boolean;
  /** Monotonic ms. */
  now(): number;
  /** Epoch ms. */
  wall(): number;
  /** Hands bytes to the transports; what cannot be sent ends the transaction with a transport error. */
  transmit(flow: Flow, bytes: Uint8Array, transaction?: Transaction): void;
  nextCSeq(): number;
  /** Stands for the flow of what could not be sent: our first listener and no peer. */
  anyFlow(): Flow;
}

/** `HH:MM:SS.uuuuuu`, UTC. */
export function frameTime(core: Core): string {
  return `${new Date(core.wall()).toISOString().slice(11, 23)}000`;
}

export function about(
  core: Core,
  flow: Flow | undefined,
  side: 'local' | 'remote',
  source: FrameMeta['source'],
  text: string,
): FrameMeta {
  return metaOf(flow, side, source, text.length, frameTime(core));
}

/** A message from the network for an application. */
export function deliver(
  core: Core,
  app: AppLink,
  message: Message,
  flow: Flow,
  transactionId: string,
  dialogId: string,
  outside: boolean,
): void {
  const text = message.toString();
  const meta = about(core, flow, 'remote', 'network', text);
  app.send(sipFrame(core.ids.uuid(), meta, transactionId, dialogId, text, outside ? flow.listener.bound : undefined));
}

/** Tells the application of a request that the engine sent by itself in its dialog. */
export function deliverUnsolicited(core: Core, app: AppLink, message: Message, flow: Flow, dialogId: string): void {
  const text = message.toString();
  app.send(sipFrame(core.ids.uuid(), about(core, flow, 'local', 'application', text), 'unsolicited', dialogId, text));
}
