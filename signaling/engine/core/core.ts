import { AppTable } from '../control/mod.ts';
import { DialogTable } from '../dialog/mod.ts';
import type { Flow, Resolver, Transports } from '../io/mod.ts';
import type { Message } from '../message/mod.ts';
import { TransactionLayer, type Transaction } from '../transaction/mod.ts';
import type { Core, CorePolicy } from './context.ts';
import type { Ids } from './ids.ts';
import { answerStateless, finish } from './answer.ts';
import { receiveAck, receiveCancel, receiveRequest } from './inbound.ts';
import { endLeg } from './legs.ts';
import { proxyBranchFailed, proxyResponse } from './proxy-run.ts';
import { RegisteredFlows } from './registered-flows.ts';
import { clientFailed, receiveResponse, receiveStray } from './responses.ts';
import { answerAnew, answerTarget } from './ways.ts';

export interface CoreParts {
  readonly policy: CorePolicy;
  readonly transports: () => Transports;
  readonly resolver: Resolver;
  readonly ids: Ids;
  /** For the Routes of proxied calls; the same after a restart where calls are to survive one. */
  readonly routeSecret: string;
  readonly limits: { readonly transactions: number; readonly registeredFlows: number };
  /** Monotonic ms. */
  readonly now: () => number;
  /** Epoch ms. */
  readonly wall: () => number;
}

/** Joins transactions, dialogs and applications. Everything it holds is reachable from the returned object. */
export function createCore(parts: CoreParts): Core {
  let cseq = 1_000_000 + Math.floor(Math.random() * 100_000_000);
  const transmit = (flow: Flow, bytes: Uint8Array, transaction?: Transaction): void => {
    parts
      .transports()
      .send(flow, bytes)
      .catch(() => {
        if (transaction?.role === 'server') void answerAnew(core, transaction, bytes);
        else transaction?.step('transport-error', parts.now());
      });
  };
  const layer: TransactionLayer = new TransactionLayer(
    {
      transmit,
      request: (transaction, now) => receiveRequest(core, transaction, now),
      ack: (message: Message, flow) => receiveAck(core, message, flow),
      cancel: (cancel, invite, now) => receiveCancel(core, cancel, invite, now),
      response: (transaction, message, now) => {
        const branch = core.proxyBranches.get(transaction);
        if (branch) proxyResponse(core, branch, message, now);
        else receiveResponse(core, transaction, message, now);
      },
      strayResponse: (message) => receiveStray(core, message),
      failed: (transaction, why) => {
        const branch = core.proxyBranches.get(transaction);
        if (branch) proxyBranchFailed(core, branch, why);
        else clientFailed(core, transaction, why);
      },
      overloaded: (message, flow) => {
        core.counters.refused++;
        answerStateless(core, message, flow, 503, 'Overloaded', [{ name: 'Retry-After', value: '10' }]);
      },
      orphaned: (transaction) => {
        const request = core.byServerTransaction.get(transaction);
        // A call keeps its chance: the peer of a dialog may come back by another connection. So does who can be called back.
        if (!request || transaction.invite || answerTarget(transaction)) return;
        finish(core, request);
        if (request.leg && !request.inDialog) endLeg(core, request.leg);
        transaction.abandon();
      },
      ended: (transaction) => {
        core.byClientTransaction.delete(transaction);
        core.proxyBranches.delete(transaction);
        core.proxies.delete(transaction);
        core.routing.delete(transaction);
        const request = core.byServerTransaction.get(transaction);
        if (request) finish(core, request);
      },
    },
    parts.limits.transactions,
  );
  const core: Core = {
    policy: parts.policy,
    get transports() {
      return parts.transports();
    },
    layer,
    resolver: parts.resolver,
    ids: parts.ids,
    apps: new AppTable(),
    dialogs: new DialogTable(),
    legs: new Map(),
    serverRequests: new Map(),
    byServerTransaction: new Map(),
    clientRequests: new Map(),
    byClientTransaction: new Map(),
    routing: new Set(),
    proxies: new Map(),
    proxyBranches: new Map(),
    routeSecret: parts.routeSecret,
    registeredFlows: new RegisteredFlows(parts.limits.registeredFlows),
    counters: { challenged: 0, refused: 0, proxied: 0 },
    draining: false,
    now: parts.now,
    wall: parts.wall,
    transmit,
    nextCSeq: () => ++cseq,
    anyFlow: () => {
      const listener = parts.transports().listeners[0];
      if (!listener) throw new Error('an engine without listeners cannot send');
      const nowhere = { address: '', port: 0 };
      const { protocol, bound } = listener;
      return { id: '', protocol, reliable: protocol !== 'udp', listener, local: bound, remote: nowhere, closed: true };
    },
  };
  return core;
}
