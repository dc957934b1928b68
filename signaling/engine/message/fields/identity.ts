import { parseAddressList, type NameAddr } from '../address.ts';

/** P-Asserted-Identity or P-Preferred-Identity (RFC 3325 §9.1): one SIP URI and one telephone number at most. */
export interface AssertedIdentity {
  readonly sip: NameAddr | undefined;
  readonly tel: NameAddr | undefined;
}

/** `undefined` when there is none, when one cannot be read, or when there are two of a kind. */
export function parseAssertedIdentity(values: readonly string[]): AssertedIdentity | undefined {
  const addresses = parseAddressList(values);
  if (addresses === undefined || addresses.length === 0 || addresses.length > 2) return undefined;
  const sip = addresses.filter(({ uri }) => /^sips?:/i.test(uri));
  const tel = addresses.filter(({ uri }) => /^tel:/i.test(uri));
  if (sip.length > 1 || tel.length > 1 || sip.length + tel.length < addresses.length) return undefined;
  return { sip: sip[0], tel: tel[0] };
}

/** Privacy (RFC 3323 §4.2, RFC 3325 §9.3): lower case; separated by semicolons, and by commas from some senders. */
export function parsePrivacy(values: readonly string[]): Set<string> {
  return new Set(values.flatMap((value) => value.split(/[;,]/)).flatMap((word) => word.trim().toLowerCase() || []));
}

/**
 * Headers that leave the trust domain with nothing asserted in them: `id` was asked for (RFC 3325 §7), or `user` of
 * the privacy service (RFC 3323 §5.3). `none` forbids to hide anything.
 */
export function hidesIdentity(privacy: ReadonlySet<string>): boolean {
  return !privacy.has('none') && (privacy.has('id') || privacy.has('user') || privacy.has('header'));
}

/** The From of somebody who does not want to be known (RFC 3323 §4.1.1.3). */
export const ANONYMOUS = '"Anonymous" <sip:anonymous@anonymous.invalid>';
