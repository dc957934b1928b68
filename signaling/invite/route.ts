import { bracketed } from '../../vocabulary/mod.ts';
import { bareHost, escapeUser, parseNameAddr, parseUri } from '../engine/mod.ts';
import type { LegKind } from '../media-port.ts';
import { devices, kindOf, sleeps, type Binding, type GruuTarget } from '../register/mod.ts';
import type { B2buaParts } from './parts.ts';
import { wakeDevice } from './waking.ts';

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
  /** Whether it is in our trust domain (RFC 3325 §2.3). */
  readonly trusted: boolean;
  /** Its Route set (RFC 3327). */
  readonly routes?: readonly string[] | undefined;
  /** Other flows of the same device, for when this one has failed (RFC 5626 §6). */
  readonly others?: readonly Destination[];
  /** It sleeps: resolves with where it is once it is awake. */
  readonly wake?: () => Promise<Destination | undefined>;
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
export async function route(parts: B2buaParts, caller: Caller, dialled: string, gruu?: Gruu): Promise<Route> {
  const account = parts.accounts.find(caller.tenant, dialled);
  if (account) {
    const bindings = parts.bindings
      .of(caller.tenant, account.user, parts.now())
      .filter((binding) => caller.only === undefined || kindOf(binding) === caller.only);
    const groups = devices(bindings, gruu?.target);
    // What another node forwarded is looked for here only: two nodes must not play ball. A GRUU means one device.
    const other = async () =>
      caller.from === 'node' ? [] : otherNodes(parts, caller.tenant, account.user, dialled, gruu);
    const elsewhere = gruu !== undefined && groups.length > 0 ? [] : await other();
    const owner = { tenant: caller.tenant, user: account.user };
    const here = groups.map((group) => group.map(({ flows }) => byDevice(parts, owner, flows, other, elsewhere)));
    const [first = [], ...later] = here;
    const best = [...first, ...elsewhere];
    if (best.length === 0) return { type: 'refuse', status: 480, reason: 'Not Registered' };
    return { type: 'groups', groups: [best, ...later] };
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
          uri: `sip:${escapeUser(dialled)}@${host}`,
          via: trunk.uri,
          kind: 'plain' as const,
          what: 'trunk' as const,
          name: trunk.name,
          trusted: trunk.trusted !== false,
        },
      ];
    }),
  };
}

/** A R-URI that means one device (RFC 5627). */
export interface Gruu {
  readonly uri: string;
  readonly target: GruuTarget;
}

function byDevice(
  parts: B2buaParts,
  owner: { readonly tenant: string; readonly user: string },
  [first, ...others]: readonly [Binding, ...Binding[]],
  elsewhere: () => Promise<readonly Destination[]>,
  before: readonly Destination[],
): Destination {
  // Media is offered once, for one kind of device.
  const alike = others.filter((other) => kindOf(other) === kindOf(first));
  const destination = { ...byBinding(first), others: alike.map(byBinding) };
  if (!parts.wakeups || !sleeps(first, parts.now())) return destination;
  const wake = () => wakeDevice(parts, { ...owner, binding: first }, byBinding, elsewhere, before);
  return { ...destination, wake };
}

function byBinding(binding: Binding): Destination {
  const { protocol, address, port } = binding.source;
  const { path } = binding;
  const about = {
    uri: binding.contact,
    kind: kindOf(binding),
    what: 'agent' as const,
    name: binding.key,
    trusted: false,
  };
  // The first hop of its path knows the way (RFC 3327 §5.3).
  if (path !== undefined) return { ...about, via: parseNameAddr(path[0] ?? '')?.uri, routes: path };
  const contact = parseUri(binding.contact);
  const direct = protocol === 'udp' && contact !== undefined && bareHost(contact.host) === address;
  // The contact of a client behind NAT, and every connection, is reached only the way it came.
  return { ...about, via: direct ? undefined : `sip:${bracketed(address)}:${port};transport=${protocol}` };
}

async function otherNodes(
  parts: B2buaParts,
  tenant: string,
  user: string,
  dialled: string,
  gruu: Gruu | undefined,
): Promise<Destination[]> {
  const nodes = await parts.registry.locate(tenant, user).catch(() => []);
  // That node passes SDP on as it is: the media of the whole call stays on one media node, ours.
  return nodes.flatMap(({ node, sip, kinds }) =>
    kinds.map((kind) => ({
      uri: gruu?.uri ?? `sip:${escapeUser(dialled)}@${parts.tenants.domain(tenant)}`,
      via: sip,
      kind,
      what: 'node' as const,
      name: node,
      trusted: true,
    })),
  );
}
