import type { Flow, Target, TargetFailure } from '../io/mod.ts';
import type { SipMessage } from '../message/mod.ts';
import type { Core } from './context.ts';

/**
 * What is worth trying after a client transaction has failed on its flow (RFC 3263 §4.3), with the same request and a new
 * branch; empty: the failure is the answer. Notes the failure on the down-list.
 */
export function noteFailure(core: Core, failed: Flow, why: TargetFailure, rest: readonly Target[]): readonly Target[] {
  const place = { protocol: failed.protocol, ...failed.remote };
  core.resolver.failed(place, why);
  const sameHost = (target: Target) => target.address === place.address && target.port === place.port;
  const again = rest[0] !== undefined && sameHost(rest[0]) && rest[0].protocol === 'udp' && place.protocol === 'tcp';
  // It was by TCP only for its size. A reset says that there is no TCP (§18.1.1); an answer, or silence, says more.
  if (again && why === 'transport') core.resolver.noTcp({ ...place, protocol: 'tcp' });
  return why === 'transport' ? rest : rest.filter((target) => !sameHost(target));
}

/** What a 503 says about how long to stay away (RFC 3261 §21.5.4); 0: only this request goes elsewhere. */
export function retryAfter(response: SipMessage): TargetFailure {
  const seconds = Number(/^\s*(\d{1,9})/.exec(response.get('retry-after') ?? '')?.[1] ?? 0);
  return { retryAfterSeconds: seconds };
}
