import { isIP } from 'node:net';
import type { Dialog } from '../dialog/mod.ts';
import { protocolOf, TransportError, type Flow, type Target } from '../io/mod.ts';
import { bareHost, parseUri, type SipUri } from '../message/mod.ts';
import type { Core } from './context.ts';

/** How a request leaves: a flow, and further targets should this one fail; or why there is none. */
export type Way = { readonly flow: Flow; readonly rest: readonly Target[] } | { readonly error: string };

/** The first target that can be reached (RFC 3263 §4.3); registered contacts by the flow they came from (RFC 5626 §5.3). */
export async function outsideWay(core: Core, uri: string): Promise<Way> {
  const registered = core.registeredFlows.find(uri, core.now());
  if (registered) return { flow: registered, rest: [] };
  const parsed = parseUri(uri);
  if (!parsed) return { error: 'Bad Next Hop' };
  if (parsed.host.endsWith('.invalid')) return { error: 'Flow Gone' };
  const targets = await core.resolver.resolve(parsed);
  if (targets.length === 0) return { error: 'DNS Error' };
  return firstReachable(core, targets);
}

export async function firstReachable(core: Core, targets: readonly Target[]): Promise<Way> {
  let error = 'Service Unavailable';
  for (const [index, target] of targets.entries()) {
    try {
      return { flow: await core.transports.connect(target), rest: targets.slice(index + 1) };
    } catch (failure) {
      error = failure instanceof TransportError && failure.code === 'no-transport' ? 'No Such Transport' : error;
    }
  }
  return { error };
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
