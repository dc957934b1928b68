import type { Private } from '../../vocabulary/mod.ts';

/** Somebody who can register and call: a softphone's or desk phone's user. */
export interface Account {
  readonly tenant: string;
  readonly user: string;
  readonly displayName: string | undefined;
  /** Dialled by other agents and by gateways. */
  readonly number: string | undefined;
  readonly password: Private<string>;
  /** Softphone profile by name, in the place of the one that its messages show. */
  readonly profile?: string | undefined;
  /** Devices that may be registered at once, in the place of the node's limit. */
  readonly maxBindings?: number | undefined;
}

/** Accounts by user and by number, per tenant. */
export class Accounts {
  readonly #byUser = new Map<string, Account>();
  readonly #byNumber = new Map<string, Account>();

  constructor(accounts: readonly Account[]) {
    for (const account of accounts) {
      const key = `${account.tenant} ${account.user}`;
      if (this.#byUser.has(key))
        throw new Error(`accounts: user "${account.user}" of tenant "${account.tenant}" stands twice`);
      this.#byUser.set(key, account);
      if (account.number === undefined) continue;
      const numberKey = `${account.tenant} ${digits(account.number)}`;
      const other = this.#byNumber.get(numberKey);
      if (other)
        throw new Error(`accounts: number ${account.number} belongs to "${other.user}" and to "${account.user}"`);
      this.#byNumber.set(numberKey, account);
    }
  }

  user(tenant: string, user: string): Account | undefined {
    return this.#byUser.get(`${tenant} ${user}`);
  }

  /** By user name, else by number: what stands in a R-URI. */
  find(tenant: string, dialled: string): Account | undefined {
    return this.user(tenant, dialled) ?? this.#byNumber.get(`${tenant} ${digits(dialled)}`);
  }
}

/** Numbers are the same with and without the visual separators of RFC 3966 and the plus. */
function digits(number: string): string {
  return number.replace(/[-.()\s+]/g, '');
}
