import { bracketed } from '../../vocabulary/mod.ts';
import { parseUri, bareHost } from '../engine/mod.ts';
import type { LegKind } from '../media-port.ts';
import { kindOf, type Binding } from '../register/mod.ts';
import type { B2buaParts } from './parts.ts';

/** One INVITE that may be sent. */
export interface Destination {
  /** R-URI. */
  readonly uri: string;
  /** Next hop, when the R-URI does not lead there by itself. */
  readonly via: string | undefined;
  /** Decides how its leg's media is offered. */
  readonly kind: LegKind;
  readonly what: 'agent' | 'trunk' | 'node';
  readonly name: string;
}

export interface Caller {
  readonly tenant: string;
  readonly from: 'agent' | 'trunk' | 'node';
  /** From another node of this PoP: which devices it wants to ring. */
  readonly only: LegKind | undefined;
}

export type Route =
  /** Groups are tried one after another; within a group all ring at once. */
  | { readonly type: 'groups'; readonly groups: readonly (readonly Destination[])[] }
  | { readonly type: 'refuse'; readonly status: number; readonly reason?: string };

/** Who rings when this caller dials this user or number. */
export async function route(parts: B2buaParts, caller: Caller, dialled: string): Promise<Route> {
  const account = parts.accounts.find(caller.tenant, dialled);
  if (account) {
    const here = parts.bindings
      .of(caller.tenant, account.user, parts.now())
      .map(byBinding)
      .filter(({ kind }) => caller.only === undefined || kind === caller.only);
    // What another node forwarded is looked for here only: two nodes must not play ball.
    const elsewhere = caller.from === 'node' ? [] : await otherNodes(parts, caller.tenant, account.user, dialled);
    const all = [...here, ...elsewhere];
    if (all.length === 0) return { type: 'refuse', status: 480, reason: 'Not Registered' };
    return { type: 'groups', groups: [all] };
  }
  // A gateway may reach agents, not other gateways: that would be free long distance for whoever finds it.
  if (caller.from !== 'agent') return { type: 'refuse', status: 404 };
  const trunks = parts.trunks.forNumber(caller.tenant, dialled);
  if (trunks.length === 0) return { type: 'refuse', status: 404 };
  return {
    type: 'groups',
    groups: trunks.map((trunk) => {
      const uri = parseUri(trunk.uri);
      const host = uri ? `${uri.host}${uri.port === undefined ? '' : `:${uri.port}`}` : '';
      return [
        {
          uri: `sip:${dialled}@${host}`,
          via: trunk.uri,
          kind: 'plain' as const,
          what: 'trunk' as const,
          name: trunk.name,
        },
      ];
    }),
  };
}

function byBinding(binding: Binding): Destination {
  const { protocol, address, port } = binding.source;
  const contact = parseUri(binding.contact);
  const direct = protocol === 'udp' && contact !== undefined && bareHost(contact.host) === address;
  return {
    uri: binding.contact,
    // The contact of a client behind NAT, and every connection, is reached only the way it came.
    via: direct ? undefined : `sip:${bracketed(address)}:${port};transport=${protocol}`,
    kind: kindOf(binding),
    what: 'agent',
    name: binding.key,
  };
}

async function otherNodes(parts: B2buaParts, tenant: string, user: string, dialled: string): Promise<Destination[]> {
  const nodes = await parts.registry.locate(tenant, user).catch(() => []);
  // That node passes SDP on as it is: the media of the whole call stays on one media node, ours.
  return nodes.flatMap(({ node, sip, kinds }) =>
    kinds.map((kind) => ({
      uri: `sip:${dialled}@${parts.tenants.domain(tenant)}`,
      via: sip,
      kind,
      what: 'node' as const,
      name: node,
    })),
  );
}
