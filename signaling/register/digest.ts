import { hash as digestOf, timingSafeEqual } from 'node:crypto';
import type { Private } from '../../vocabulary/mod.ts';

export const DIGEST_ALGORITHMS = ['MD5', 'SHA-256', 'SHA-512-256'] as const;
export type DigestAlgorithm = (typeof DIGEST_ALGORITHMS)[number];

const HASHES: Readonly<Record<DigestAlgorithm, string>> = {
  MD5: 'md5',
  'SHA-256': 'sha256',
  'SHA-512-256': 'sha512-256',
};

/** The parameters of a Digest Authorization header, as they stood in it (RFC 7616 §3.4). */
export interface DigestCredentials {
  readonly username: string;
  readonly realm: string;
  readonly nonce: string;
  readonly uri: string;
  /** Lower-case hex. */
  readonly response: string;
  readonly algorithm: DigestAlgorithm;
  readonly qop: 'auth' | 'auth-int' | undefined;
  readonly cnonce: string;
  readonly nc: string;
}

/** `undefined` when something required is missing, or the algorithm is one that we never offer. */
export function readCredentials(params: ReadonlyMap<string, string>): DigestCredentials | undefined {
  const [username, realm, nonce, uri, response] = ['username', 'realm', 'nonce', 'uri', 'response'].map((name) =>
    params.get(name),
  );
  if (username === undefined || realm === undefined || nonce === undefined || uri === undefined) return undefined;
  if (response === undefined) return undefined;
  const named = (params.get('algorithm') ?? 'MD5').toUpperCase();
  const algorithm = DIGEST_ALGORITHMS.find((known) => known === named);
  if (algorithm === undefined) return undefined;
  const qop = params.get('qop')?.toLowerCase();
  if (qop !== undefined && qop !== 'auth' && qop !== 'auth-int') return undefined;
  return {
    username,
    realm,
    nonce,
    uri,
    response: response.toLowerCase(),
    algorithm,
    qop,
    cnonce: params.get('cnonce') ?? '',
    nc: params.get('nc') ?? '',
  };
}

/**
 * Whether the response proves the password (RFC 7616 §3.4.1). Without qop the older form of RFC 2069 is meant:
 * some softphones send it though qop was offered. The uri need not be the R-URI: the same clients differ there too.
 * `body`: of the request, for those that answer with auth-int though it is never offered.
 */
export function proves(
  credentials: DigestCredentials,
  method: string,
  password: Private<string>,
  body: string | Uint8Array = '',
): boolean {
  const { algorithm, username, realm, nonce, uri, qop, nc, cnonce } = credentials;
  const hash = (data: string | Uint8Array) => digestOf(HASHES[algorithm], data, 'hex');
  const a1 = hash(`${username}:${realm}:${password.reveal()}`);
  const a2 = hash(qop === 'auth-int' ? `${method}:${uri}:${hash(body)}` : `${method}:${uri}`);
  const expected =
    qop === undefined ? hash(`${a1}:${nonce}:${a2}`) : hash(`${a1}:${nonce}:${nc}:${cnonce}:${qop}:${a2}`);
  const given = Buffer.from(credentials.response, 'latin1');
  const wanted = Buffer.from(expected, 'latin1');
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}

/**
 * The value of WWW-Authenticate or Proxy-Authenticate. The realm comes first: one client looks for `, nonce=`. Only
 * `auth` is offered: two softphones prefer auth-int when they see it. Hashed user names are not (RFC 7616 §3.4.4).
 */
export function challengeValue(realm: string, nonce: string, algorithm: DigestAlgorithm, stale: boolean): string {
  const tail = stale ? ', stale=true' : '';
  return `Digest realm="${realm}", nonce="${nonce}", algorithm=${algorithm}, qop="auth"${tail}`;
}
