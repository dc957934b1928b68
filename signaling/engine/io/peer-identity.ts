import { isIP } from 'node:net';

/** For which SIP domains a certificate speaks (RFC 5922 §7.1). Lower case. */
export interface PeerIdentity {
  readonly domains: readonly string[];
  readonly addresses: readonly string[];
}

/** What Node shows of a certificate. */
export interface CertificateNames {
  readonly subjectaltname?: string | undefined;
  readonly subject?: { readonly CN?: string | string[] | undefined } | undefined;
}

export const NOBODY: PeerIdentity = { domains: [], addresses: [] };

/**
 * RFC 5922 §7.1: the hosts of `sip:` URIs without a user part; DNS names only when there is no such URI; the common name
 * only when there is no subjectAltName at all. IP addresses speak for URIs that hold one.
 */
export function identityOf(certificate: CertificateNames): PeerIdentity {
  const names = altNames(certificate.subjectaltname ?? '');
  if (names.length === 0) {
    const name = certificate.subject?.CN;
    return { domains: (Array.isArray(name) ? name : name === undefined ? [] : [name]).map(lower), addresses: [] };
  }
  const uris = names
    .filter(({ type }) => type === 'URI')
    .map(({ value }) => /^sip:([^@;?]+)$/i.exec(value)?.[1])
    .filter((host) => host !== undefined);
  const dns = names.filter(({ type }) => type === 'DNS').map(({ value }) => value);
  return {
    domains: (uris.length > 0 ? uris : dns).map(lower),
    addresses: names.filter(({ type }) => type === 'IP Address').map(({ value }) => canonicalAddress(value)),
  };
}

/** RFC 5922 §7.2: the whole name, in any case; no wildcard, no part of a name. */
export function speaksFor(identity: PeerIdentity, name: string): boolean {
  const wanted = lower(name.replace(/^\[|\]$/g, ''));
  if (isIP(wanted) === 0) return identity.domains.includes(wanted);
  const address = canonicalAddress(wanted);
  return identity.addresses.includes(address) || identity.domains.includes(wanted);
}

/** `DNS:a.example, URI:"sip:b\u002c"`: a value in quotes is JSON. */
function altNames(text: string): { readonly type: string; readonly value: string }[] {
  const names: { type: string; value: string }[] = [];
  for (const [, type = '', quoted, plain = ''] of text.matchAll(
    /(?:^|, )([A-Za-z ]+):(?:("(?:[^"\\]|\\.)*")|([^,]*))/g,
  )) {
    names.push({ type, value: quoted === undefined ? plain : unquoted(quoted) });
  }
  return names;
}

function unquoted(text: string): string {
  try {
    return String(JSON.parse(text));
  } catch {
    return '';
  }
}

/** IPv6 in one spelling. */
function canonicalAddress(address: string): string {
  if (isIP(address) !== 6) return address;
  return new URL(`http://[${address}]/`).hostname.slice(1, -1);
}

function lower(text: string): string {
  return text.toLowerCase().replace(/\.$/, '');
}
