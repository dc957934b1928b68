import { escapeUser, parseAddressList, parseNameAddr, parseUri, quote, type NameAddr } from '../engine/mod.ts';
import type { Req } from '../srf.ts';
import type { Account } from '../directory/mod.ts';
import type { Destination } from './route.ts';

/** End-to-end headers of INFO and MESSAGE that the other party must see. */
const PASSED = ['Content-Type', 'Info-Package', 'Recv-Info', 'Content-Disposition', 'Content-Language'];

export function passOnHeaders(req: Req): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const name of PASSED) {
    const value = req.get(name);
    if (value !== undefined) headers[name] = value;
  }
  return headers;
}

/** Who calls, and what may be told of it. */
export interface Identity {
  /** User part of what is shown to phones. */
  readonly user: string;
  /** User part of what is shown to the telephone network. */
  readonly number: string;
  readonly display: string | undefined;
  /** Of an authenticated account: what we assert ourselves is made for each destination. */
  readonly own: boolean;
  /** What somebody in our trust domain has asserted (RFC 3325 §9.1): at most one of each scheme. */
  readonly asserted: readonly NameAddr[];
  /** RFC 3323 §4.2 and RFC 3325 §9.3. */
  readonly privacy: ReadonlySet<string>;
}

/** From, To of an INVITE of ours, and who vouches for the caller. */
export interface IdentityHeaders {
  readonly From: string;
  readonly 'P-Asserted-Identity'?: string;
  readonly Privacy?: string;
}

const ANONYMOUS = '"Anonymous" <sip:anonymous@anonymous.invalid>';
const PRIVACY = new Set(['id', 'user', 'header', 'session', 'critical', 'none']);

interface Headers {
  get(name: string): string | undefined;
}

/** An agent: what it writes about itself is not believed, but it may choose among what is its own (RFC 3325 §9.2). */
export function accountIdentity(request: Headers, account: Account): Identity {
  const [preferred] = parseAddressList([request.get('p-preferred-identity') ?? '']) ?? [];
  const wanted = preferred === undefined ? undefined : userOf(preferred.uri);
  const number = account.number ?? account.user;
  return {
    user: wanted !== undefined && wanted === account.number ? account.number : account.user,
    number,
    display: account.displayName,
    own: true,
    asserted: [],
    privacy: privacyOf(request),
  };
}

/** A trunk or another node of the PoP. `trusted`: in our trust domain; of others an assertion is worth nothing. */
export function peerIdentity(request: Headers, trusted: boolean): Identity {
  const from = parseNameAddr(request.get('from') ?? '');
  const user = (from && userOf(from.uri)) ?? 'anonymous';
  const asserted: NameAddr[] = [];
  for (const identity of (trusted && parseAddressList([request.get('p-asserted-identity') ?? ''])) || []) {
    const scheme = /^(sips?|tel):/i.exec(identity.uri)?.[1]?.toLowerCase().replace('sips', 'sip');
    if (scheme !== undefined && !asserted.some(({ uri }) => uri.toLowerCase().startsWith(scheme)))
      asserted.push(identity);
  }
  return { user, number: user, display: from?.displayName, own: false, asserted, privacy: privacyOf(request) };
}

/**
 * Who calls, in the form that this destination understands. Within the trust domain everything is passed on, and the
 * wish for privacy with it; whoever is outside of it is told nothing that the caller wants hidden (RFC 3325 §7).
 * `domain`: of the caller's tenant. `localhost` stands for our own address.
 */
export function identityHeaders(
  identity: Identity,
  destination: Pick<Destination, 'what' | 'trusted'>,
  domain: string,
): IdentityHeaders {
  const { privacy, asserted, own } = identity;
  const outside = destination.what === 'trunk';
  const host = outside ? 'localhost' : domain;
  const named = `<sip:${escapeUser(outside ? identity.number : identity.user)}@${host}>`;
  const from = identity.display === undefined ? named : `${quote(identity.display)} ${named}`;
  const hidden = privacy.has('id') || privacy.has('user') || privacy.has('header');
  const vouched = own ? [from] : asserted.map(formatAddress);
  if (destination.what === 'node' || destination.trusted) {
    return {
      // Another node learns the tenant by From, and hides it in its turn.
      From: hidden && destination.what !== 'node' ? ANONYMOUS : from,
      ...(vouched.length > 0 ? { 'P-Asserted-Identity': vouched.join(', ') } : {}),
      ...(privacy.size > 0 ? { Privacy: [...privacy].join(';') } : {}),
    };
  }
  if (hidden) return { From: ANONYMOUS };
  // Our own phones show it; a carrier that is not trusted does without.
  const shown = outside ? [] : vouched;
  return { From: from, ...(shown.length > 0 ? { 'P-Asserted-Identity': shown.join(', ') } : {}) };
}

/** `none` takes back everything else that a server might have wished (RFC 3323 §4.2). */
function privacyOf(request: Headers): ReadonlySet<string> {
  const values = (request.get('privacy') ?? '')
    .toLowerCase()
    .split(/[;,]/)
    .map((value) => value.trim())
    .filter((value) => PRIVACY.has(value));
  return new Set(values.includes('none') ? ['none'] : values);
}

function userOf(uri: string): string | undefined {
  return parseUri(uri)?.user ?? /^tel:([^;]+)/i.exec(uri)?.[1];
}

function formatAddress({ displayName, uri }: NameAddr): string {
  return displayName === undefined ? `<${uri}>` : `${quote(displayName)} <${uri}>`;
}
