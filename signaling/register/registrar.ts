import type { Accounts } from '../directory/mod.ts';
import { parseContacts, parseCSeq, parseNameAddr, parseUri, quote, type NameAddr } from '../engine/mod.ts';
import type { Req, Res } from '../srf.ts';
import type { Binding, Bindings } from './bindings.ts';
import type { Guard, Source } from './guard.ts';

export interface RegistrarOptions {
  readonly minSeconds: number;
  readonly maxSeconds: number;
  readonly defaultSeconds: number;
}

export interface RegistrarParts {
  readonly guard: Guard;
  readonly accounts: Accounts;
  readonly bindings: Bindings;
  readonly options: RegistrarOptions;
  /** Epoch ms. */
  readonly now: () => number;
  readonly onResult: (
    result: 'registered' | 'unregistered' | 'queried' | 'refused',
    about: { user: string; status: number },
  ) => void;
}

/** REGISTER (RFC 3261 §10.3). The credentials' nonce is live: the engine has seen to that. */
export function createRegistrar(parts: RegistrarParts): (req: Req, res: Res) => void {
  return (req, res) => {
    const outcome = register(parts, req);
    parts.onResult(outcome.result, { user: outcome.user, status: outcome.status });
    const options = { headers: outcome.headers };
    if (outcome.reason === undefined) res.send(outcome.status, options);
    else res.send(outcome.status, outcome.reason, options);
  };
}

interface Outcome {
  readonly result: 'registered' | 'unregistered' | 'queried' | 'refused';
  readonly user: string;
  readonly status: number;
  readonly reason?: string;
  readonly headers: Record<string, string>;
}

function register(parts: RegistrarParts, req: Req): Outcome {
  const now = parts.now();
  const refuse = (user: string, status: number, reason?: string, headers: Record<string, string> = {}): Outcome => ({
    result: 'refused',
    user,
    status,
    headers,
    ...(reason === undefined ? {} : { reason }),
  });
  const verdict = parts.guard.authenticate('REGISTER', req.uri, req, now);
  if (verdict.type === 'refused') {
    const { status, headers } = verdict.challenge;
    return refuse('', status, undefined, Object.fromEntries(headers.map(({ name, value }) => [name, value])));
  }
  const { account } = verdict;
  const to = parseUri(parseNameAddr(req.get('to') ?? '')?.uri ?? '');
  if (to?.user === undefined || parts.accounts.find(account.tenant, to.user) !== account) {
    return refuse(account.user, 403, 'Not Your Address of Record');
  }
  const contacts = parseContacts(req.has('contact') ? [req.get('contact') ?? ''] : []);
  const callId = req.get('call-id') ?? '';
  const cseq = parseCSeq(req.get('cseq') ?? '')?.number ?? 0;
  if (!contacts) return refuse(account.user, 400, 'Malformed Contact');
  if (contacts.type === 'all') {
    parts.bindings.unbindAll(account.tenant, account.user);
    return { result: 'unregistered', user: account.user, status: 200, headers: {} };
  }
  const source: Source = {
    protocol: req.protocol,
    address: req.source_address,
    port: Number(req.source_port),
  };
  const header = req.get('expires');
  const asked = header === undefined ? undefined : Number(header);
  const own: string[] = [];
  let unbound = false;
  for (const contact of contacts.contacts) {
    const wanted = Number(contact.params.get('expires') ?? asked ?? parts.options.defaultSeconds);
    const seconds = Number.isFinite(wanted) ? wanted : parts.options.defaultSeconds;
    const key = bindingKey(contact);
    if (seconds === 0) {
      if (!parts.bindings.unbind(account.tenant, account.user, key, callId, cseq))
        return refuse(account.user, 500, 'CSeq Out of Order');
      unbound = true;
      continue;
    }
    if (seconds < parts.options.minSeconds) {
      return refuse(account.user, 423, undefined, { 'Min-Expires': String(parts.options.minSeconds) });
    }
    const granted = Math.min(seconds, parts.options.maxSeconds);
    const result = parts.bindings.bind(
      account.tenant,
      account.user,
      {
        key,
        contact: contact.uri,
        instance: contact.params.get('+sip.instance'),
        callId,
        cseq,
        expiresAt: now + granted * 1000,
        source,
        userAgent: (req.get('user-agent') ?? '').slice(0, 128),
      },
      now,
    );
    if (result === 'out-of-order') return refuse(account.user, 500, 'CSeq Out of Order');
    if (result === 'too-many') return refuse(account.user, 403, 'Too Many Contacts');
    if (result === 'full') return refuse(account.user, 503, 'Registrar Full', { 'Retry-After': '60' });
    own.push(key);
  }
  return {
    result: own.length > 0 ? 'registered' : unbound ? 'unregistered' : 'queried',
    user: account.user,
    status: 200,
    headers: listing(parts.bindings.of(account.tenant, account.user, now), own, now),
  };
}

/** Every binding of the AoR. The sender's own come first: some clients take the first expiry they see for theirs. */
function listing(bindings: readonly Binding[], own: readonly string[], now: number): Record<string, string> {
  if (bindings.length === 0) return {};
  const sorted = bindings.toSorted((a, b) => Number(own.includes(b.key)) - Number(own.includes(a.key)));
  const values = sorted.map((binding) => {
    const instance = binding.instance === undefined ? '' : `;+sip.instance=${quote(binding.instance)}`;
    const regId = /;reg-id=(\d+)$/.exec(binding.key)?.[1];
    const seconds = Math.max(1, Math.ceil((binding.expiresAt - now) / 1000));
    return `<${binding.contact}>;expires=${seconds}${instance}${regId === undefined ? '' : `;reg-id=${regId}`}`;
  });
  return { Contact: values.join(', ') };
}

/** What makes two registrations the same (RFC 5626 §6, else RFC 3261 §10.3). */
function bindingKey(contact: NameAddr): string {
  const instance = contact.params.get('+sip.instance');
  if (instance === undefined || instance === '') return contact.uri;
  const regId = contact.params.get('reg-id');
  return regId === undefined ? instance : `${instance};reg-id=${regId}`;
}
