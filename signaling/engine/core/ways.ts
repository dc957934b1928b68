import { isIP } from 'node:net';
import type { Dialog } from '../dialog/mod.ts';
import { defaultPort, protocolOf, TransportError, type Flow, type Target } from '../io/mod.ts';
import { bareHost, parseUri, topVia, type Message, type SipUri } from '../message/mod.ts';
import type { Transaction } from '../transaction/mod.ts';
import { viaFor } from './build.ts';
import type { Core } from './context.ts';

/**
 * RFC 3261 §18.1.1: when the path's MTU is not known, a request of this size is not sent over UDP.
 * It says "larger than 1300"; the response to it is larger still.
 */
export const OVERSIZED_BYTES = 1300;

/** How a request leaves: a flow, and further targets should this one fail; or why there is none. */
export type Way = OpenWay | NoWay;

export interface OpenWay {
  readonly flow: Flow;
  readonly rest: readonly Target[];
  /** Which target the flow leads to, when one was looked for. Absent: the flow is the only way there is. */
  readonly target?: Target;
}

export interface NoWay {
  readonly error: string;
  /** There was a flow, and it is gone: 430, and another flow of the same user may do (RFC 5626 §5.3). Else 503. */
  readonly gone: boolean;
}

const gone: NoWay = { error: 'Flow Failed', gone: true };
const none = (error: string): NoWay => ({ error, gone: false });

/**
 * The first target that can be reached (RFC 3263 §4.3); a URI of ours that names a flow, and registered contacts, by that
 * flow (RFC 5626 §5.3).
 */
export async function outsideWay(core: Core, uri: string): Promise<Way> {
  const registered = core.registeredFlows.find(uri, core.now());
  if (registered === 'gone') return gone;
  if (registered) return { flow: registered, rest: [] };
  const parsed = parseUri(uri);
  if (!parsed) return none('Bad Next Hop');
  const named = flowByToken(core, parsed);
  if (named) return named;
  if (parsed.host.endsWith('.invalid')) return gone;
  const targets = await core.resolver.resolve(parsed);
  if (targets.length === 0) return none('DNS Error');
  const way = await firstReachable(core, targets);
  // A WebSocket client cannot be called at any address: there is its connection, or nothing (RFC 7118 §5).
  const protocol = protocolOf(parsed);
  return 'error' in way && (protocol === 'ws' || protocol === 'wss') ? gone : way;
}

export async function firstReachable(core: Core, targets: readonly Target[]): Promise<Way> {
  let error = 'Service Unavailable';
  for (const [index, target] of targets.entries()) {
    try {
      return { flow: await core.transports.connect(target), rest: targets.slice(index + 1), target };
    } catch (failure) {
      core.resolver.failed(target, 'transport');
      error = failure instanceof TransportError && failure.code === 'no-transport' ? 'No Such Transport' : error;
    }
  }
  return none(error);
}

/**
 * The way for a request of its size: a large one that would leave as a datagram leaves by TCP, and its top Via says so;
 * UDP is the next thing to try (RFC 3261 §18.1.1). Only for places that were looked up: what lies behind a flow of UDP,
 * perhaps a NAT, has no TCP. `request` carries its Via already.
 */
export async function fitSize(core: Core, way: Way, request: Message, branch: string): Promise<Way> {
  if (!('flow' in way) || !way.target || way.flow.reliable) return way;
  const byTcp = core.resolver.byTcp(way.target);
  if (!byTcp || request.toBytes().length < OVERSIZED_BYTES) return way;
  try {
    const flow = await core.transports.connect(byTcp);
    setTopVia(request, flow, branch);
    return { flow, rest: [way.target, ...way.rest], target: byTcp };
  } catch {
    core.resolver.noTcp(byTcp);
    return way;
  }
}

/** A request that leaves by another way is another transaction: the Via on top is ours, those below stay. */
export function setTopVia(request: Message, flow: Flow, branch: string): void {
  const index = request.headers.findIndex(({ name }) => /^(?:via|v)$/i.test(name));
  const via = { name: 'Via', value: viaFor(flow, branch) };
  if (index < 0) request.headers.unshift(via);
  else request.headers[index] = via;
}

/**
 * The dialog's connection while it lives. Over UDP the peer's source address, unless its signalling takes another
 * way on purpose: a route set, or a Contact elsewhere on the same host.
 */
export async function inDialogWay(core: Core, dialog: Dialog, hop: string): Promise<Way> {
  const { flow } = dialog;
  if (flow.reliable && !flow.closed) return { flow, rest: [] };
  if (!flow.reliable && dialog.routeSet.length === 0) {
    const target = parseUri(hop);
    if (dialog.role === 'uas' || !target) return { flow, rest: [] };
    const host = bareHost(target.host);
    const elsewhere = isIP(host) === 0 || host !== flow.remote.address;
    if (elsewhere && (isIP(host) !== 0 || target.host.endsWith('.invalid'))) return { flow, rest: [] };
  }
  return outsideWay(core, hop);
}

/**
 * Where an answer goes whose connection is gone (RFC 3261 §18.2.2): to where the request came from, at the port of its Via.
 * Not to the host of the Via: that would have us call anybody.
 */
export function answerTarget({ flow, request }: Transaction): Target | undefined {
  const { protocol, remote } = flow;
  if (!flow.closed || flow.outgoing === true || (protocol !== 'tcp' && protocol !== 'tls')) return undefined;
  const { via } = topVia(request.get('via') ?? '');
  if (!via || via.host.endsWith('.invalid')) return undefined;
  return { protocol, address: remote.address, port: via.port ?? defaultPort(protocol), serverName: via.host };
}

/** Sends an answer by a new connection; when there is none the sender will ask again, or not. */
export async function answerAnew(core: Core, transaction: Transaction, bytes: Uint8Array): Promise<void> {
  const target = answerTarget(transaction);
  if (!target) return;
  try {
    transaction.flow = await core.transports.connect(target);
    await core.transports.send(transaction.flow, bytes);
  } catch {
    // Nobody listens there: most phones do not.
  }
}

export function isOwnUri(core: Core, text: string): boolean {
  const uri = parseUri(text);
  return uri !== undefined && isOwnAddress(core, uri);
}

/** A request to one of our own listeners would only come back (control protocol §7.1). */
export function isOwnAddress(core: Core, uri: SipUri): boolean {
  if (uri.host === 'localhost') return false;
  const protocol = protocolOf(uri);
  const port = uri.port ?? (protocol === 'tls' ? 5061 : 5060);
  return core.transports.listeners.some(
    (listener) =>
      listener.protocol === protocol &&
      listener.external.port === port &&
      (listener.external.address === bareHost(uri.host) || listener.bound.address === bareHost(uri.host)),
  );
}

/** A Path or Record-Route entry of ours whose user part is a flow token comes back as a route (RFC 5626 §5.3.1). */
function flowByToken(core: Core, uri: SipUri): Way | undefined {
  if (uri.user === undefined || !(uri.params.has('lr') || uri.params.has('ob')) || !isOwnAddress(core, uri))
    return undefined;
  const flow = core.transports.byToken(uri.user);
  if (flow === 'forged') return none('Bad Flow Token');
  return flow === 'gone' ? gone : { flow, rest: [] };
}
