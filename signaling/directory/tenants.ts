import { bareHost, parseUri } from '../engine/mod.ts';

/**
 * Which tenant a SIP domain belongs to: several share one address. The node's own addresses are domains of `default`,
 * and of whoever names another domain beside them.
 */
export class Tenants {
  readonly #byDomain = new Map<string, string>();
  readonly #realms = new Map<string, string>();
  readonly #own = new Set<string>();

  constructor(
    domains: readonly { readonly tenant: string; readonly domain: string }[],
    ownAddresses: readonly string[],
  ) {
    for (const { tenant, domain } of domains) {
      this.#byDomain.set(domain.toLowerCase(), tenant);
      if (!this.#realms.has(tenant)) this.#realms.set(tenant, domain.toLowerCase());
    }
    for (const address of ownAddresses) {
      const known = this.#byDomain.get(address.toLowerCase());
      if (known !== undefined) continue;
      this.#byDomain.set(address.toLowerCase(), 'default');
      this.#own.add(address.toLowerCase());
    }
  }

  /** `undefined`: the domain is not served here. */
  ofUri(uri: string): string | undefined {
    const parsed = parseUri(uri);
    return parsed && this.#byDomain.get(bareHost(parsed.host));
  }

  /**
   * Of a REGISTER (RFC 3261 §10.3 step 1): the domain of its R-URI; a phone that knows only our address tells its
   * tenant by the To.
   */
  ofRegister(uri: string, toUri: () => string | undefined): string | undefined {
    const host = hostOf(uri);
    if (host === undefined) return undefined;
    if (!this.#own.has(host)) return this.#byDomain.get(host);
    const to = toUri();
    return (to === undefined ? undefined : this.ofUri(to)) ?? this.#byDomain.get(host);
  }

  /** Whether somebody of this tenant means its own people by the URI. */
  within(tenant: string, uri: string): boolean {
    const host = hostOf(uri);
    return host !== undefined && (this.#own.has(host) || this.#byDomain.get(host) === tenant);
  }

  /** The digest realm of a tenant, and the domain of its users in what we write. */
  domain(tenant: string): string {
    return this.#realms.get(tenant) ?? 'causeway.local';
  }

  ofRealm(realm: string): string | undefined {
    return this.#byDomain.get(realm.toLowerCase());
  }
}

function hostOf(uri: string): string | undefined {
  const parsed = parseUri(uri);
  return parsed && bareHost(parsed.host);
}
