import { bracketed } from '../../../vocabulary/mod.ts';
import type { Flow } from '../io/mod.ts';
import { canonicalName, parseNameAddr, parseUri, splitHeaderList, type Message } from '../message/mod.ts';
import { readRouteToken, routeToken } from '../proxy/mod.ts';
import type { Core } from './context.ts';
import { isOwnAddress } from './ways.ts';

/**
 * Our Record-Route (RFC 3261 §16.6 step 4), the topmost last. Two of them where the sides differ (RFC 5658 §3.2), and
 * where a party can only be reached by its connection: each then names the connection of its own side.
 */
export function recordRoutes(core: Core, request: Message, incoming: Flow, outgoing: Flow): string[] {
  const callId = request.get('call-id') ?? '';
  const of = (flow: Flow) => {
    const token = routeToken(core.routeSecret, callId, flow.reliable ? flow.id : '');
    return `<sip:${token}@${ownHop(flow)};lr>`;
  };
  const alike = incoming.listener === outgoing.listener && !incoming.reliable && !outgoing.reliable;
  return alike ? [of(outgoing)] : [of(incoming), of(outgoing)];
}

export function pathFor(flow: Flow): string {
  return `<sip:${ownHop(flow)};lr>`;
}

function ownHop({ protocol, listener }: Flow): string {
  const { address, port } = listener.external;
  return `${bracketed(address)}:${port}${protocol === 'udp' ? '' : `;transport=${protocol}`}`;
}

/** A request without the Routes that named us (§16.4). */
export interface Routed {
  readonly request: Message;
  /** A Route of ours was on top, and its token was good. */
  readonly ours: boolean;
  /** The connection that the last of them names. */
  readonly flow: Flow | undefined;
}

export function takeOwnRoutes(core: Core, original: Message): Routed {
  const request = original.clone();
  const callId = request.get('call-id') ?? '';
  const routes = request.getAll('route').flatMap((value) => splitHeaderList(value));
  // A strict router has put us into the R-URI, and the target at the end.
  if (tokenOf(core, callId, `<${request.uri}>`) !== undefined && routes.length > 0) {
    const target = parseNameAddr(routes.pop() as string)?.uri;
    if (target !== undefined) {
      routes.unshift(`<${request.uri}>`);
      request.uri = target;
    }
  }
  let ours = false;
  let flowId = '';
  while (routes.length > 0) {
    const uri = parseUri(parseNameAddr(routes[0] as string)?.uri ?? '');
    if (!uri || !isOwnAddress(core, uri)) break;
    const named = readRouteToken(core.routeSecret, callId, uri.user);
    if (named !== undefined) {
      ours = true;
      flowId = named;
    }
    routes.shift();
  }
  if (routes.length < request.getAll('route').length || ours) {
    const index = request.headers.findIndex(({ name }) => canonicalName(name) === 'route');
    request.remove('route');
    request.headers.splice(Math.max(index, 0), 0, ...routes.map((value) => ({ name: 'Route', value })));
  }
  return { request, ours, flow: flowId === '' ? undefined : core.transports.flow(flowId) };
}

function tokenOf(core: Core, callId: string, value: string): string | undefined {
  const uri = parseUri(parseNameAddr(value)?.uri ?? '');
  return uri && isOwnAddress(core, uri) ? readRouteToken(core.routeSecret, callId, uri.user) : undefined;
}
