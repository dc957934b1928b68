import type { Account, Accounts, Tenants } from '../directory/mod.ts';
import { parseNameAddr, parseUri, type Challenge } from '../engine/mod.ts';
import type { Req, Res } from '../srf.ts';
import { answerHeaders, type AnswerContext } from './answer.ts';
import type { Bindings } from './bindings.ts';
import type { Guard, Verdict } from './guard.ts';
import { plan, type RegistrarOptions } from './plan.ts';
import { profileOf, traitsOf } from './profile.ts';
import { readRegister, refusal, type Refusal } from './request.ts';

export interface RegistrarParts {
  readonly guard: Guard;
  readonly accounts: Accounts;
  readonly tenants: Tenants;
  readonly bindings: Bindings;
  readonly options: RegistrarOptions & {
    readonly maxBindingsPerAor: number;
    /** Option tags that a client must support: 421 to others (RFC 3261 §21.4.15). */
    readonly wantedExtensions: readonly string[];
  };
  readonly answer: Pick<
    AnswerContext,
    'gruus' | 'serviceRoute' | 'flowTimerSeconds' | 'providers' | 'pushRefreshSeconds'
  >;
  /** Epoch ms. */
  readonly now: () => number;
  readonly onResult: (result: RegisterResult, about: { user: string; status: number; reason: string }) => void;
}

export type RegisterResult = 'registered' | 'unregistered' | 'queried' | 'refused';

interface Outcome {
  readonly result: RegisterResult;
  readonly user: string;
  readonly status: number;
  readonly reason?: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * REGISTER (RFC 3261 §10.3): identify → read → plan → bind → answer; what came before it, limits and the challenge, is
 * the guard's. The credentials' nonce is live: the engine has seen to that.
 */
export function createRegistrar(parts: RegistrarParts): (req: Req, res: Res) => void {
  const send = (res: Res, { result, user, status, reason, headers }: Outcome): void => {
    parts.onResult(result, { user, status, reason: reason ?? '' });
    const options = { headers: { ...headers } };
    if (reason === undefined) res.send(status, options);
    else res.send(status, reason, options);
  };
  return (req, res) => {
    const source = { protocol: req.protocol, address: req.source_address, port: Number(req.source_port) };
    const verdict = parts.guard.authenticate('REGISTER', req.uri, req, parts.now(), source);
    if (!(verdict instanceof Promise)) {
      send(res, register(parts, req, source, verdict));
      return;
    }
    verdict.then(
      (late) => send(res, register(parts, req, source, late)),
      () => send(res, refused('', refusal(500))),
    );
  };
}

/** The headers of a challenge as drachtio-srf takes them: it has one value for each name. */
export function joinedHeaders(headers: Challenge['headers']): Record<string, string> {
  const joined: Record<string, string> = {};
  for (const { name, value } of headers) joined[name] = name in joined ? `${joined[name]}, ${value}` : value;
  return joined;
}

function refused(user: string, { status, reason, headers }: Omit<Refusal, 'type'>): Outcome {
  return { result: 'refused', user, status, reason, headers };
}

function register(
  parts: RegistrarParts,
  req: Req,
  source: { protocol: string; address: string; port: number },
  verdict: Verdict,
): Outcome {
  const now = parts.now();
  const { bindings, tenants, options } = parts;
  if (verdict.type === 'refused') {
    const { status, reason, headers } = verdict.challenge;
    return refused('', { status, reason, headers: joinedHeaders(headers) });
  }
  const { account } = verdict;
  const { tenant, user } = account;
  const refusedAs = addressOfRecord(parts, account, req);
  if (refusedAs) return refused(user, refusedAs);
  const request = readRegister(req, options.wantedExtensions);
  if ('type' in request) return refused(user, request);
  const profile = profileOf(traitsOf(req, account.profile));
  const domain = tenants.domain(tenant);
  const planned = plan(request, bindings.of(tenant, user, now), {
    user,
    domains: (host) => tenants.within(tenant, `sip:${host}`),
    source,
    profile,
    options,
    providers: parts.answer.providers,
    now,
  });
  if (planned.type === 'refusal') return refused(user, planned);
  if (planned.put.length > 0 || planned.drop.length > 0) {
    const changed = bindings.change(tenant, user, planned, now, account.maxBindings ?? options.maxBindingsPerAor);
    if (changed === 'too-many') return refused(user, refusal(403, 'Too Many Contacts'));
    if (changed === 'full') return refused(user, refusal(503, 'Registrar Full', { 'Retry-After': '60' }));
  }
  const own = planned.put.map(({ key }) => key);
  const headers = answerHeaders(request, bindings.of(tenant, user, now), own, {
    ...parts.answer,
    tenant,
    user,
    domain,
    profile,
    now,
  });
  const result = own.length > 0 ? 'registered' : planned.drop.length > 0 ? 'unregistered' : 'queried';
  return { result, user, status: 200, headers };
}

/** Nobody registers for somebody else (§10.3 steps 4 and 5). */
function addressOfRecord(parts: RegistrarParts, account: Account, req: Req): Refusal | undefined {
  const to = parseUri(parseNameAddr(req.get('to') ?? '')?.uri ?? '');
  const meant = to?.user === undefined ? undefined : parts.accounts.find(account.tenant, to.user);
  if (!meant) return refusal(404);
  return meant === account ? undefined : refusal(403, 'Not Your Address of Record');
}
