import { bareHost, parseUri } from '../engine/mod.ts';

/** Which tenant a SIP domain belongs to. The node's own addresses are domains of `default`. */
export class Tenants {
  readonly #byDomain = new Map<string, string>();
  readonly #realms = new Map<string, string>();

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
      if (known === undefined) this.#byDomain.set(address.toLowerCase(), 'default');
    }
  }

  /** `undefined`: the domain is not served here. */
  ofUri(uri: string): string | undefined {
    const parsed = parseUri(uri);
    return parsed && this.#byDomain.get(bareHost(parsed.host));
  }

  /** The digest realm of a tenant, and the domain of its users in what we write. */
  domain(tenant: string): string {
    return this.#realms.get(tenant) ?? 'causeway.local';
  }

  ofRealm(realm: string): string | undefined {
    return this.#byDomain.get(realm.toLowerCase());
  }
}
