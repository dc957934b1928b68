import { quote } from '../engine/mod.ts';
import type { Binding } from './binding.ts';
import type { Gruus } from './gruu.ts';
import type { Profile } from './profiles.ts';
import { featureCaps } from './push.ts';
import type { RegisterRequest } from './request.ts';

export interface AnswerContext {
  readonly tenant: string;
  readonly user: string;
  /** Of the GRUUs. */
  readonly domain: string;
  readonly gruus: Gruus;
  readonly profile: Profile;
  /** RFC 3608, as it is to stand in the answer. */
  readonly serviceRoute: readonly string[];
  /** Within which a client must show that its flow lives (RFC 5626 §6). */
  readonly flowTimerSeconds: number;
  readonly providers: readonly string[];
  readonly pushRefreshSeconds: number;
  /** Epoch ms. */
  readonly now: number;
}

/** Headers of the 200 (RFC 3261 §10.3 step 8). `own`: keys of what this request has bound. */
export function answerHeaders(
  request: RegisterRequest,
  bindings: readonly Binding[],
  own: readonly string[],
  context: AnswerContext,
): Record<string, string> {
  const { profile, serviceRoute, now } = context;
  const gruu = request.supported.has('gruu');
  const mine = bindings.filter(({ key }) => own.includes(key));
  const others = bindings.filter(({ key }) => !own.includes(key));
  // Some clients take the first expiry they see for their own, and one of them asks again as soon as that is over.
  const shown = profile.contacts === 'only' && mine.length > 0 ? mine : [...mine, ...others];
  const headers: Record<string, string> = { Date: new Date(now).toUTCString() };
  if (shown.length > 0) headers['Contact'] = shown.map((binding) => contactValue(binding, gruu, context)).join(', ');
  const spoken = ['path', 'gruu', 'outbound'].filter((tag) => request.supported.has(tag));
  if (spoken.length > 0) headers['Supported'] = spoken.join(', ');
  if (request.path.length > 0) headers['Path'] = request.path.join(', ');
  if (own.length > 0 && serviceRoute.length > 0) headers['Service-Route'] = serviceRoute.join(', ');
  if (request.outbound === 'yes' && own.length > 0) {
    headers['Require'] = 'outbound';
    if (profile.keepAlive === 'flow-timer') headers['Flow-Timer'] = String(context.flowTimerSeconds);
  }
  const pushes = request.contacts === 'all' || request.contacts === 'none' ? [] : request.contacts;
  const asked = pushes.flatMap(({ push }) => (push ? [push] : []));
  if (asked.length > 0) {
    const caps = featureCaps(asked, context.providers, context.pushRefreshSeconds);
    if (caps.length > 0) headers['Feature-Caps'] = caps.join(', ');
  }
  return headers;
}

function contactValue(binding: Binding, gruu: boolean, context: AnswerContext): string {
  const { tenant, user, domain, gruus, now } = context;
  const { contact, instance, regId, q } = binding;
  const seconds = Math.max(1, Math.ceil((binding.expiresAt - now) / 1000));
  let value = `<${contact}>;expires=${seconds}`;
  if (q !== undefined && q !== 1000) value += `;q=${q / 1000}`;
  if (instance === undefined) return value;
  value += `;+sip.instance=${quote(instance)}`;
  if (regId !== undefined) value += `;reg-id=${regId}`;
  // RFC 5627 §5.2: the instance must be a URN that can stand in a URI.
  if (gruu && /^<urn:[^<>\s"]+>$/i.test(instance)) {
    value += `;pub-gruu=${quote(gruus.public(user, domain, instance))}`;
    value += `;temp-gruu=${quote(gruus.temporary(tenant, user, domain, binding))}`;
  }
  return value;
}
