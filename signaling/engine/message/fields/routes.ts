import { parseAddressList } from '../address.ts';
import { formatParams, type Params } from '../list.ts';
import { formatUri, parseUri, type SipUri } from '../uri.ts';

/** One hop of Route, Record-Route, Path (RFC 3327) or Service-Route (RFC 3608). */
export interface Route {
  /** As written, without brackets. */
  readonly uri: string;
  readonly parsed: SipUri;
  /** `lr`: the hop leaves the Request-URI alone (RFC 3261 §16.4). */
  readonly loose: boolean;
  /** Of the header, behind the brackets. */
  readonly params: Params;
}

/** The hops of all lines in their order; `undefined` when one of them is no SIP URI. */
export function parseRoutes(values: readonly string[]): Route[] | undefined {
  const addresses = parseAddressList(values);
  if (!addresses) return undefined;
  const routes: Route[] = [];
  for (const { uri, params } of addresses) {
    const parsed = parseUri(uri);
    if (!parsed) return undefined;
    routes.push({ uri, parsed, loose: parsed.params.has('lr'), params });
  }
  return routes;
}

/** One line for each hop. */
export function formatRoutes(routes: readonly Pick<Route, 'uri' | 'params'>[]): string[] {
  return routes.map(({ uri, params }) => `<${uri}>${formatParams(params)}`);
}

/** A hop of ours. `user` carries a flow token (RFC 5626 §5.2); `ob` says that the client asked for outbound. */
export function routeFor(uri: SipUri, user?: string): string {
  const params = new Map(uri.params).set('lr', '');
  return `<${formatUri({ ...uri, user: user ?? uri.user, params })}>`;
}
