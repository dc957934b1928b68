import { createLocalJWKSet, errors, jwtVerify, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';

/** Who issues the tokens of a tenant, and how they are read (RFC 8898, RFC 7519). */
export interface BearerIssuer {
  readonly tenant: string;
  readonly issuer: string;
  readonly audience: string;
  readonly jwks: JSONWebKeySet;
  /** The claim that names the user of the account. */
  readonly claim: string;
  /** Where a client gets its token: told in the challenge. */
  readonly authzServer?: string | undefined;
  /** Asked for in the challenge, and then required of the token. */
  readonly scope?: string | undefined;
}

export type BearerVerdict = { readonly user: string } | { readonly error: 'invalid_token' | 'insufficient_scope' };

/** Signatures that are believed: nothing symmetric, for the keys are public ones. */
const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
];
const MAX_TOKEN = 8192;
/** A clock of the issuer may run a little ahead. */
const TOLERANCE_SECONDS = 5;

export class BearerTokens {
  readonly #byTenant = new Map<string, BearerIssuer & { readonly keys: JWTVerifyGetKey }>();

  /** @throws when a key set is none. */
  constructor(issuers: readonly BearerIssuer[]) {
    for (const issuer of issuers) {
      this.#byTenant.set(issuer.tenant, { ...issuer, keys: createLocalJWKSet(issuer.jwks) });
    }
  }

  /** The value of the challenge line (RFC 8898 §4), for tenants whose tokens are known. */
  challenge(tenant: string, realm: string, error?: 'invalid_token' | 'insufficient_scope'): string | undefined {
    const issuer = this.#byTenant.get(tenant);
    if (!issuer) return undefined;
    let value = `Bearer realm="${realm}"`;
    if (issuer.scope !== undefined) value += `, scope="${issuer.scope}"`;
    if (issuer.authzServer !== undefined) value += `, authz_server="${issuer.authzServer}"`;
    return error === undefined ? value : `${value}, error="${error}"`;
  }

  /** Signature, issuer, audience, times and scope. `now`: epoch ms. */
  async verify(tenant: string, token: string, now: number): Promise<BearerVerdict> {
    const issuer = this.#byTenant.get(tenant);
    if (!issuer || token.length > MAX_TOKEN) return { error: 'invalid_token' };
    try {
      const { payload } = await jwtVerify(token, issuer.keys, {
        issuer: issuer.issuer,
        audience: issuer.audience,
        algorithms: ALGORITHMS,
        currentDate: new Date(now),
        clockTolerance: TOLERANCE_SECONDS,
        requiredClaims: ['exp', issuer.claim],
      });
      const scopes = typeof payload['scope'] === 'string' ? payload['scope'].split(' ') : [];
      const missing = issuer.scope?.split(' ').some((scope) => !scopes.includes(scope)) ?? false;
      if (missing) return { error: 'insufficient_scope' };
      const user = payload[issuer.claim];
      return typeof user === 'string' && user !== '' ? { user } : { error: 'invalid_token' };
    } catch (error) {
      if (error instanceof errors.JOSEError || error instanceof TypeError) return { error: 'invalid_token' };
      throw error;
    }
  }
}
