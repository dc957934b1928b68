import { parseParams, type Params } from '../list.ts';
import { headOf, parseSeconds } from './seconds.ts';

/** Event (RFC 6665 §8.4): `presence.winfo;id=7` is the package `presence.winfo` with an id. */
export interface EventPackage {
  /** Lower case, with its templates. */
  readonly name: string;
  /** Part of what a subscription is known by (§4.5.1). */
  readonly id: string | undefined;
  readonly params: Params;
}

export function parseEvent(value: string): EventPackage | undefined {
  const { head, rest } = headOf(value);
  if (!/^[A-Za-z0-9\-!%*_+`'~]+(?:\.[A-Za-z0-9\-!%*_+`'~]+)*$/.test(head)) return undefined;
  const params = parseParams(value, rest);
  return { name: head.toLowerCase(), id: params.get('id'), params };
}

/** Subscription-State (RFC 6665 §8.4). */
export interface SubscriptionState {
  /** Unknown states are kept, in lower case: they count as active (§4.1.3). */
  readonly state: string;
  readonly expiresSeconds: number | undefined;
  /** Why it ended: `deactivated`, `timeout`, `giveup` … */
  readonly reason: string | undefined;
  readonly retryAfterSeconds: number | undefined;
}

export function parseSubscriptionState(value: string): SubscriptionState | undefined {
  const { head, rest } = headOf(value);
  if (!/^[\w.\-!%*+`'~]+$/.test(head)) return undefined;
  const params = parseParams(value, rest);
  return {
    state: head.toLowerCase(),
    expiresSeconds: parseSeconds(params.get('expires')),
    reason: params.get('reason')?.toLowerCase(),
    retryAfterSeconds: parseSeconds(params.get('retry-after')),
  };
}
