import { parseUri } from '../engine/mod.ts';
import type { Binding, Source } from './binding.ts';
import type { Change } from './bindings.ts';
import { own } from './own.ts';
import type { Profile } from './profiles.ts';
import { refusal, type ContactRequest, type Refusal, type RegisterRequest } from './request.ts';

export interface RegistrarOptions {
  readonly minSeconds: number;
  readonly maxSeconds: number;
  readonly defaultSeconds: number;
}

export interface PlanContext {
  /** `sip:user@domain`: a contact must not lead back to it. */
  readonly user: string;
  readonly domains: (host: string) => boolean;
  readonly source: Source;
  readonly profile: Profile;
  readonly options: RegistrarOptions;
  /** Push services that can be used (RFC 8599). */
  readonly providers: readonly string[];
  /** Epoch ms. */
  readonly now: number;
}

export interface Plan extends Change {
  readonly type: 'plan';
}

/** What the request does to these bindings: everything or nothing (RFC 3261 §10.3 steps 6 and 7). Pure. */
export function plan(request: RegisterRequest, bindings: readonly Binding[], context: PlanContext): Plan | Refusal {
  const { contacts, callId, cseq } = request;
  const late = (binding: Binding) => binding.callId === callId && binding.cseq >= cseq;
  if (contacts === 'none') return { type: 'plan', put: [], drop: [] };
  if (contacts === 'all') {
    if (bindings.some(late)) return refusal(500, 'CSeq Out of Order');
    return { type: 'plan', put: [], drop: bindings.map(({ key }) => key) };
  }
  const byKey = new Map(bindings.map((binding) => [binding.key, binding]));
  const put = new Map<string, Binding>();
  const drop = new Set<string>();
  for (const contact of contacts) {
    const previous = byKey.get(contact.key);
    // An older request of the same registration must not undo a newer one.
    if (previous && late(previous)) return refusal(500, 'CSeq Out of Order');
    const wanted = contact.seconds ?? context.options.defaultSeconds;
    if (wanted === 0) {
      drop.add(contact.key);
      continue;
    }
    const refused = refuse(contact, wanted, context);
    if (refused) return refused;
    put.set(contact.key, bind(contact, wanted, previous, request, context));
  }
  return { type: 'plan', put: [...put.values()], drop: [...drop].filter((key) => !put.has(key)) };
}

function refuse(contact: ContactRequest, wanted: number, context: PlanContext): Refusal | undefined {
  const { options, providers } = context;
  // Step 7 lets a registrar refuse only what is shorter than an hour.
  if (wanted < options.minSeconds && wanted < 3600) {
    return refusal(423, undefined, { 'Min-Expires': String(options.minSeconds) });
  }
  const { push } = contact;
  if (push?.prid !== undefined && !providers.includes(push.provider)) return refusal(555);
  // RFC 5627 §5.1: a contact that is the address of record itself, or a GRUU of it, is a loop.
  const uri = parseUri(contact.contact);
  if (uri && uri.port === undefined && uri.user === context.user && context.domains(uri.host)) {
    return refusal(403, 'Contact Is The Address Of Record');
  }
  return undefined;
}

function bind(
  contact: ContactRequest,
  wanted: number,
  previous: Binding | undefined,
  request: RegisterRequest,
  { options, profile, source, now }: PlanContext,
): Binding {
  const granted = Math.min(wanted, options.maxSeconds, Math.max(profile.maxSeconds ?? Infinity, options.minSeconds));
  const same = previous?.callId === request.callId;
  return {
    key: own(contact.key),
    contact: own(contact.contact),
    instance: contact.instance === undefined ? undefined : own(contact.instance),
    callId: same ? previous.callId : own(request.callId),
    cseq: request.cseq,
    expiresAt: now + granted * 1000,
    source,
    userAgent: own(request.userAgent),
    q: contact.q,
    regId: contact.regId,
    path: request.path.length > 0 ? request.path.map(own) : undefined,
    push: contact.push?.prid === undefined ? undefined : contact.push,
    asleep: undefined,
    since: same ? (previous.since ?? now) : now,
    updatedAt: now,
    profile: profile.name,
  };
}
