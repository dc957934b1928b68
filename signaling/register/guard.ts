import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Private } from '../../vocabulary/mod.ts';
import { parseAuth, parseNameAddr, type Challenge, type SipMessage } from '../engine/mod.ts';
import type { Account, Accounts, Tenants } from '../directory/mod.ts';
import { challengeValue, proves, readCredentials, type DigestAlgorithm, type DigestCredentials } from './digest.ts';
import type { NonceCounts, Nonces } from './nonce.ts';

/** Where a request came from. */
export interface Source {
  readonly protocol: string;
  readonly address: string;
  readonly port: number;
}

/** Headers of any request, the engine's or drachtio-srf's. */
interface Headers {
  get(name: string): string | undefined;
}

export interface GuardParts {
  readonly tenants: Tenants;
  readonly accounts: Accounts;
  readonly nonces: Nonces;
  readonly counts: NonceCounts;
  /** Offered in this order. */
  readonly algorithms: readonly DigestAlgorithm[];
  /** True for the sources of a trunk: their requests are not challenged. */
  readonly trusted: (source: Source) => boolean;
  readonly peerSecret: Private<Buffer>;
}

export type Verdict =
  | { readonly type: 'account'; readonly account: Account }
  | { readonly type: 'refused'; readonly challenge: Challenge; readonly why: 'wrong' | 'replay' | 'missing' };

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
    const tenant = this.tenantOf(method, request.uri, request);
    if (tenant === undefined) return { status: 403, reason: 'Domain Not Served Here', headers: [] };
    const credentials = credentialsOf(method, request);
    if (!credentials) return this.#ask(method, tenant, now, false);
    const verdict = this.#parts.nonces.judge(credentials.nonce, credentials.realm, now);
    // A nonce that was never ours gets stale=true too: a client with the right password then tries again by itself,
    // as after a change of node (RFC 7616 §3.3).
    if (verdict !== 'live') return this.#ask(method, tenant, now, true);
    return undefined;
  }

  /** Whose request this is; its nonce was live when `challenge` let it pass. */
  authenticate(method: string, uri: string, request: Headers, now: number): Verdict {
    const { accounts, counts, tenants } = this.#parts;
    const refused = (why: 'wrong' | 'replay' | 'missing', tenant: string): Verdict => ({
      type: 'refused',
      challenge: this.#ask(method, tenant, now, why === 'replay'),
      why,
    });
    const tenant = this.tenantOf(method, uri, request) ?? 'default';
    const credentials = credentialsOf(method, request);
    if (!credentials) return refused('missing', tenant);
    const user = credentials.username.split('@')[0] ?? '';
    const account = accounts.user(tenants.ofRealm(credentials.realm) ?? tenant, user);
    if (!account || account.tenant !== tenant || !proves(credentials, method, account.password))
      return refused('wrong', tenant);
    if (credentials.qop !== undefined && !counts.use(credentials.nonce, Number.parseInt(credentials.nc, 16) || 0)) {
      return refused('replay', tenant);
    }
    return { type: 'account', account };
  }

  /** REGISTER: the domain of the R-URI. Everything else: whose caller it is. */
  tenantOf(method: string, uri: string, request: Headers): string | undefined {
    const about = method === 'REGISTER' ? uri : parseNameAddr(request.get('from') ?? '')?.uri;
    return about === undefined ? undefined : this.#parts.tenants.ofUri(about);
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

  #ask(method: string, tenant: string, now: number, stale: boolean): Challenge {
    const realm = this.#parts.tenants.domain(tenant);
    const register = method === 'REGISTER';
    const nonce = this.#parts.nonces.issue(realm, now);
    return {
      status: register ? 401 : 407,
      headers: this.#parts.algorithms.map((algorithm) => ({
        name: register ? 'WWW-Authenticate' : 'Proxy-Authenticate',
        value: challengeValue(realm, nonce, algorithm, stale),
      })),
    };
  }
}

function credentialsOf(method: string, request: Headers): DigestCredentials | undefined {
  const value =
    method === 'REGISTER'
      ? request.get('authorization')
      : (request.get('proxy-authorization') ?? request.get('authorization'));
  const parsed = value === undefined ? undefined : parseAuth(value);
  return parsed?.scheme === 'digest' ? readCredentials(parsed.params) : undefined;
}
