import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Private } from '../../vocabulary/mod.ts';
import { parseNameAddr, parseUri, type Challenge, type SipMessage } from '../engine/mod.ts';
import type { Account, Accounts, Tenants } from '../directory/mod.ts';
import type { Admission, Refused } from './admission.ts';
import type { BearerTokens } from './bearer.ts';
import type { Source } from './binding.ts';
import { readAuthorization, type Credentials } from './credentials.ts';
import { challengeValue, proves, type DigestAlgorithm } from './digest.ts';
import type { NonceCounts, Nonces } from './nonce.ts';
import { profileOf, traitsOf } from './profile.ts';
import type { Headers } from './request.ts';

export interface GuardParts {
  readonly tenants: Tenants;
  readonly accounts: Accounts;
  readonly nonces: Nonces;
  readonly counts: NonceCounts;
  /** Offered in this order to clients whose profile knows no better. */
  readonly algorithms: readonly DigestAlgorithm[];
  /** True for the sources of a trunk: their requests are not challenged. */
  readonly trusted: (source: Source) => boolean;
  readonly peerSecret: Private<Buffer>;
  /** Without it nothing is counted. */
  readonly admission?: Admission | undefined;
  readonly bearer?: BearerTokens | undefined;
  /** The node is about to stop: who obeys a 503 is to register elsewhere. */
  readonly draining?: (() => boolean) | undefined;
  /** 0 to 1. */
  readonly random?: (() => number) | undefined;
}

/** A request with its body, for who answers with auth-int. */
export interface Authenticated extends Headers {
  readonly body?: string | Uint8Array;
}

export type Verdict =
  | { readonly type: 'account'; readonly account: Account }
  | {
      readonly type: 'refused';
      readonly challenge: Challenge;
      readonly why: 'wrong' | 'replay' | 'missing' | 'failures';
    };

type TokenError = 'invalid_token' | 'insufficient_scope';

/** Between nodes of one PoP: proves that a forwarded request was authenticated by its sender. */
const PEER_HEADER = 'X-Causeway-Peer';
const PEER_LIFE_MS = 10_000;

/**
 * Who may ask for what. `challenge` runs in the engine before a request costs any state; it looks at credentials
 * only so far as the nonce goes. `authenticate` is asked afterwards, with the account at hand.
 */
export class Guard {
  readonly #parts: GuardParts;

  constructor(parts: GuardParts) {
    this.#parts = parts;
  }

  /** Pure but for the randomness of a nonce. `now`: epoch ms. `undefined`: the request may go on. */
  challenge(request: SipMessage, source: Source, now: number): Challenge | undefined {
    const { method } = request;
    if (method === 'OPTIONS') return undefined;
    if (method !== 'REGISTER' && (this.#parts.trusted(source) || this.fromPeer(request, now))) return undefined;
    const credentials = this.#credentials(method, request);
    const refused = this.#admit(request, source, credentials !== undefined, now);
    if (refused) return refused;
    if (method === 'REGISTER' && this.#parts.draining?.() === true && profileOf(traitsOf(request)).move === 'refuse') {
      return { status: 503, reason: 'Draining', headers: [{ name: 'Retry-After', value: '5' }] };
    }
    const tenant = this.tenantOf(method, request.uri, request);
    if (tenant === undefined) return { status: 403, reason: 'Domain Not Served Here', headers: [] };
    if (!credentials) return this.#ask(method, tenant, request, now, false);
    if (credentials.type === 'bearer') return undefined;
    const { nonce, realm } = credentials.digest;
    // Any domain of the tenant is good as a realm: one client writes that of its provisioning.
    if (this.#parts.tenants.ofRealm(realm) !== tenant) return this.#ask(method, tenant, request, now, false);
    const verdict = this.#parts.nonces.judge(nonce, this.#parts.tenants.domain(tenant), now);
    // A nonce that was never ours gets stale=true too: a client with the right password then tries again by itself,
    // as after a change of node (RFC 7616 §3.3).
    if (verdict !== 'live') return this.#ask(method, tenant, request, now, true);
    return undefined;
  }

  /** Whose request this is; its nonce was live when `challenge` let it pass. Only a token takes time to verify. */
  authenticate(
    method: string,
    uri: string,
    request: Authenticated,
    now: number,
    source?: Source,
  ): Verdict | Promise<Verdict> {
    const { accounts, admission, bearer, counts, tenants } = this.#parts;
    const tenant = this.tenantOf(method, uri, request) ?? 'default';
    const refused = (why: 'wrong' | 'replay' | 'missing', error?: TokenError): Verdict => ({
      type: 'refused',
      challenge: this.#ask(method, tenant, request, now, why === 'replay', error),
      why,
    });
    const credentials = this.#credentials(method, request);
    if (!credentials) return refused('missing');
    const claimed = credentials.type === 'bearer' ? 'token' : (credentials.digest.username.split('@')[0] ?? '');
    if (source && admission?.mayGuess(source, claimed, now) === false) {
      admission.counters.failures++;
      const challenge = { status: 403, reason: 'Too Many Failures', headers: [{ name: 'Retry-After', value: '60' }] };
      return { type: 'refused', challenge, why: 'failures' };
    }
    const wrong = (error?: TokenError): Verdict => {
      if (source) admission?.guessed(source, claimed, now);
      return refused('wrong', error);
    };
    if (credentials.type === 'bearer') {
      return (
        bearer?.verify(tenant, credentials.token, now) ?? Promise.resolve({ error: 'invalid_token' as const })
      ).then((verdict) => {
        if ('error' in verdict) return wrong(verdict.error);
        const account = accounts.user(tenant, verdict.user);
        return account ? { type: 'account', account } : wrong('invalid_token');
      });
    }
    const { digest } = credentials;
    const account = accounts.user(tenant, claimed);
    if (!account || tenants.ofRealm(digest.realm) !== tenant) return wrong();
    if (!proves(digest, method, account.password, request.body)) return wrong();
    if (digest.qop !== undefined && !counts.use(digest.nonce, Number.parseInt(digest.nc, 16) || 0)) {
      return refused('replay');
    }
    return { type: 'account', account };
  }

  /** REGISTER: the domain of the R-URI. Everything else: whose caller it is. */
  tenantOf(method: string, uri: string, request: Headers): string | undefined {
    const { tenants } = this.#parts;
    if (method === 'REGISTER') return tenants.ofRegister(uri, () => parseNameAddr(request.get('to') ?? '')?.uri);
    const from = parseNameAddr(request.get('from') ?? '')?.uri;
    return from === undefined ? undefined : tenants.ofUri(from);
  }

  /** The header by which another node of this PoP knows that the caller is authenticated. */
  peerToken(callId: string, now: number): Readonly<Record<string, string>> {
    return { [PEER_HEADER]: `${now}.${this.#signPeer(callId, now)}` };
  }

  fromPeer(request: Headers, now: number): boolean {
    const match = /^(\d{10,16})\.([0-9a-f]{64})$/.exec(request.get(PEER_HEADER) ?? '');
    if (!match) return false;
    const at = Number(match[1]);
    if (Math.abs(now - at) > PEER_LIFE_MS) return false;
    const wanted = Buffer.from(this.#signPeer(request.get('call-id') ?? '', at), 'latin1');
    return timingSafeEqual(Buffer.from(match[2] as string, 'latin1'), wanted);
  }

  #signPeer(callId: string, at: number): string {
    return createHmac('sha256', this.#parts.peerSecret.reveal()).update(`peer ${at} ${callId}`).digest('hex');
  }

  /** Tokens are credentials only where somebody issues them. */
  #credentials(method: string, request: Headers): Credentials | undefined {
    const credentials = readAuthorization(method, request);
    return credentials?.type === 'bearer' && !this.#parts.bearer ? undefined : credentials;
  }

  #admit(request: SipMessage, source: Source, credentials: boolean, now: number): Challenge | undefined {
    const { admission, random = () => 0 } = this.#parts;
    if (!admission) return undefined;
    const aor = request.method === 'REGISTER' ? addressOf(request) : undefined;
    const refused = admission.admit({ source, aor, credentials }, now, random());
    return refused && this.#overloaded(request, source, refused);
  }

  /** Clients whom a 503 would strand lose their connection instead, and come back by themselves. */
  #overloaded(request: SipMessage, source: Source, { why, retryAfterSeconds }: Refused): Challenge {
    const close = source.protocol !== 'udp' && why === 'storm' && profileOf(traitsOf(request)).move === 'close';
    const reason = why === 'storm' ? 'Registrar Overloaded' : 'Too Many Requests';
    const headers = [{ name: 'Retry-After', value: String(retryAfterSeconds) }];
    return { status: 503, reason, headers, ...(close ? { close } : {}) };
  }

  #ask(method: string, tenant: string, request: Headers, now: number, stale: boolean, error?: TokenError): Challenge {
    const { tenants, accounts, algorithms, nonces, bearer } = this.#parts;
    const realm = tenants.domain(tenant);
    const register = method === 'REGISTER';
    const name = register ? 'WWW-Authenticate' : 'Proxy-Authenticate';
    const user = parseUri(parseNameAddr(request.get('from') ?? '')?.uri ?? '')?.user;
    const account = user === undefined ? undefined : accounts.find(tenant, user);
    const profile = profileOf(traitsOf(request, account?.profile));
    const nonce = nonces.issue(realm, now);
    const headers = (profile.algorithms ?? algorithms).map((algorithm) => ({
      name,
      value: challengeValue(realm, nonce, algorithm, stale),
    }));
    const token = profile.tokens ? bearer?.challenge(tenant, realm, error) : undefined;
    // Before the others: browsers take the last line.
    if (token !== undefined) headers.unshift({ name, value: token });
    return { status: register ? 401 : 407, headers };
  }
}

/** Whose registration it is, as a key: without parameters, which anybody can invent. */
function addressOf(request: Headers): string {
  const uri = parseNameAddr(request.get('to') ?? '')?.uri ?? '';
  return /^[^;?]*/.exec(uri)?.[0].toLowerCase() ?? '';
}
