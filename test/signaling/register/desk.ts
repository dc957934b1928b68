import { createHash } from 'node:crypto';
import { Accounts, Tenants, type Account } from '../../../signaling/directory/mod.ts';
import { Message } from '../../../signaling/engine/message/mod.ts';
import type { GuardParts } from '../../../signaling/register/guard.ts';
import { Bindings, createRegistrar, Gruus, Guard, NonceCounts, Nonces } from '../../../signaling/register/mod.ts';
import type { RegistrarParts } from '../../../signaling/register/registrar.ts';
import type { Req, Res } from '../../../signaling/srf.ts';
import { Private } from '../../../vocabulary/mod.ts';

export const NOW = 1_800_000_000_000;
export const SOURCE = { protocol: 'udp', address: '192.0.2.7', port: 5060 };
export const SECRET = new Private(Buffer.from('a secret of the PoP'));

const HASHES: Readonly<Record<string, string>> = { MD5: 'md5', 'SHA-256': 'sha256', 'SHA-512-256': 'sha512-256' };

export interface Reply {
  readonly status: number;
  readonly reason: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** What a test says of one REGISTER; everything else is as alice's desk phone would write it. */
export interface Wish {
  readonly user?: string;
  readonly to?: string;
  readonly uri?: string;
  readonly callId?: string;
  readonly cseq?: number;
  readonly contact?: string;
  readonly password?: string;
  readonly source?: typeof SOURCE;
  /** Further header lines. */
  readonly headers?: Readonly<Record<string, string>>;
}

export const ALICE: Account = {
  tenant: 'default',
  user: 'alice',
  displayName: 'Alice',
  number: '1001',
  password: new Private('wonder'),
};

/** A guard and a registrar without sockets: a REGISTER in, its challenge answered, the reply out. */
export class Desk {
  readonly tenants: Tenants;
  readonly accounts: Accounts;
  readonly guard: Guard;
  readonly gruus = new Gruus(SECRET);
  readonly bindings = new Bindings({ bindings: 100, perAor: 5 }, () => undefined);
  now = NOW;
  #cseq = 0;
  readonly #registrar: (req: Req, res: Res) => void;

  constructor(
    over: {
      readonly accounts?: readonly Account[];
      readonly guard?: Partial<GuardParts>;
      readonly options?: Partial<RegistrarParts['options']>;
      readonly answer?: Partial<RegistrarParts['answer']>;
    } = {},
  ) {
    this.tenants = new Tenants(
      [
        { tenant: 'default', domain: 'example.test' },
        { tenant: 'other', domain: 'other.test' },
      ],
      ['127.0.0.1'],
    );
    this.accounts = new Accounts(over.accounts ?? [ALICE]);
    this.guard = new Guard({
      tenants: this.tenants,
      accounts: this.accounts,
      nonces: new Nonces(SECRET, 300),
      counts: new NonceCounts(),
      algorithms: ['SHA-256', 'MD5'],
      trusted: ({ address }) => address === '198.51.100.9',
      peerSecret: SECRET,
      ...over.guard,
    });
    this.#registrar = createRegistrar({
      guard: this.guard,
      accounts: this.accounts,
      tenants: this.tenants,
      bindings: this.bindings,
      options: {
        minSeconds: 60,
        maxSeconds: 3600,
        defaultSeconds: 600,
        maxBindingsPerAor: 5,
        wantedExtensions: [],
        ...over.options,
      },
      answer: {
        gruus: this.gruus,
        serviceRoute: [],
        flowTimerSeconds: 120,
        providers: [],
        pushRefreshSeconds: 130,
        ...over.answer,
      },
      now: () => this.now,
      onResult: () => undefined,
    });
  }

  request(wish: Wish, method = 'REGISTER'): Message {
    const { user = 'alice', uri = 'sip:example.test', callId = 'c1', contact } = wish;
    const headers = [
      { name: 'Via', value: 'SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK1' },
      { name: 'From', value: `<sip:${user}@example.test>;tag=1` },
      { name: 'To', value: wish.to ?? `<sip:${user}@example.test>` },
      { name: 'Call-ID', value: callId },
      { name: 'CSeq', value: `${wish.cseq ?? ++this.#cseq} ${method}` },
      ...(contact === undefined ? [] : [{ name: 'Contact', value: contact }]),
      ...Object.entries(wish.headers ?? {}).map(([name, value]) => ({ name, value })),
    ];
    return Message.request(method, uri, headers);
  }

  /** With the challenge answered by the line that `pick` chooses. */
  async register(
    wish: Wish,
    pick: (lines: readonly string[]) => string = (lines) => lines.at(-1) ?? '',
  ): Promise<Reply> {
    const request = this.request(wish);
    const asked = this.guard.challenge(request, wish.source ?? SOURCE, this.now);
    if (!asked) return this.send(request, wish.source);
    if (asked.status !== 401) return { status: asked.status, reason: asked.reason ?? '', headers: {} };
    request.append('Authorization', answer(pick(asked.headers.map(({ value }) => value)), request, wish));
    const again = this.guard.challenge(request, wish.source ?? SOURCE, this.now);
    if (again) return { status: again.status, reason: again.reason ?? '', headers: {} };
    return this.send(request, wish.source);
  }

  /** As the application gets it. */
  send(request: Message, source: typeof SOURCE = SOURCE): Promise<Reply> {
    const req = {
      method: request.method,
      uri: request.uri,
      body: '',
      protocol: source.protocol,
      source_address: source.address,
      source_port: source.port,
      // As drachtio-srf has them: one value for each name.
      get: (name: string) => (request.get(name) === undefined ? undefined : request.getAll(name).join(',')),
      has: (name: string) => request.get(name) !== undefined,
    } as unknown as Req;
    return new Promise((resolve) => {
      const send = (status: number, reason: string | object, options?: object) => {
        const given = typeof reason === 'string' ? options : reason;
        const { headers = {} } = (given ?? {}) as { headers?: Record<string, string> };
        resolve({ status, reason: typeof reason === 'string' ? reason : '', headers });
      };
      this.#registrar(req, { send } as unknown as Res);
    });
  }
}

/** A client's answer to one challenge line. */
export function answer(challenge: string, request: Message, wish: Wish = {}, qop = 'auth', nc = '00000001'): string {
  const part = (name: string) => new RegExp(`\\b${name}="?([^",]+)"?`).exec(challenge)?.[1] ?? '';
  const { user = 'alice', password = 'wonder' } = wish;
  const algorithm = part('algorithm');
  const hash = (data: string | Uint8Array) =>
    createHash(HASHES[algorithm] ?? 'md5')
      .update(data)
      .digest('hex');
  const a1 = hash(`${user}:${part('realm')}:${password}`);
  const a2 = hash(`${request.method}:sip:example.test${qop === 'auth-int' ? `:${hash(request.body)}` : ''}`);
  const middle = qop === '' ? '' : `${nc}:cn:${qop}:`;
  const tail = qop === '' ? '' : `, qop=${qop}, nc=${nc}, cnonce="cn"`;
  return `Digest username="${user}", realm="${part('realm')}", nonce="${part('nonce')}", uri="sip:example.test", response="${hash(`${a1}:${part('nonce')}:${middle}${a2}`)}", algorithm=${algorithm}${tail}`;
}

/** `expires` of each contact in a 200, by the user part of its URI. */
export function listed(reply: Reply): Record<string, number> {
  const found = (reply.headers['Contact'] ?? '').matchAll(/<sips?:([^@>]+)@[^>]*>;expires=(\d+)/g);
  return Object.fromEntries([...found].map(([, user, seconds]) => [user, Number(seconds)]));
}
