import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'mocha';
import { Accounts, Tenants } from '../../../signaling/directory/mod.ts';
import { Message } from '../../../signaling/engine/message/mod.ts';
import { Guard, NonceCounts, Nonces } from '../../../signaling/register/mod.ts';
import { Private } from '../../../vocabulary/mod.ts';

const SOURCE = { protocol: 'udp', address: '192.0.2.7', port: 5060 };
const NOW = 1_800_000_000_000;

function guardOf(algorithms: readonly ('MD5' | 'SHA-256')[] = ['SHA-256', 'MD5']): Guard {
  const secret = new Private(Buffer.from('a secret of the PoP'));
  return new Guard({
    tenants: new Tenants([{ tenant: 'default', domain: 'example.test' }], ['127.0.0.1']),
    accounts: new Accounts([
      { tenant: 'default', user: 'alice', displayName: undefined, number: '1001', password: new Private('wonder') },
    ]),
    nonces: new Nonces(secret, 300),
    counts: new NonceCounts(),
    algorithms,
    trusted: ({ address }) => address === '198.51.100.9',
    peerSecret: secret,
  });
}

function register(authorization?: string, method = 'REGISTER'): Message {
  const headers = [
    { name: 'From', value: '<sip:alice@example.test>;tag=1' },
    { name: 'To', value: '<sip:alice@example.test>' },
    { name: 'Call-ID', value: 'c1' },
  ];
  if (authorization !== undefined) {
    headers.push({ name: method === 'REGISTER' ? 'Authorization' : 'Proxy-Authorization', value: authorization });
  }
  return Message.request(method, 'sip:example.test', headers);
}

function answer(challenge: string, method: string, password = 'wonder', nc = '00000001'): string {
  const part = (name: string) => new RegExp(`${name}="?([^",]+)"?`).exec(challenge)?.[1] ?? '';
  const algorithm = part('algorithm');
  const hash = (text: string) =>
    createHash(algorithm === 'MD5' ? 'md5' : 'sha256')
      .update(text)
      .digest('hex');
  const a1 = hash(`alice:${part('realm')}:${password}`);
  const response = hash(`${a1}:${part('nonce')}:${nc}:cn:auth:${hash(`${method}:sip:example.test`)}`);
  return `Digest username="alice", realm="${part('realm')}", nonce="${part('nonce')}", uri="sip:example.test", response="${response}", algorithm=${algorithm}, qop=auth, nc=${nc}, cnonce="cn"`;
}

describe('the guard', () => {
  it('challenges a REGISTER without credentials with 401, the strongest algorithm first and the nonce not first', () => {
    const challenge = guardOf().challenge(register(), SOURCE, NOW);
    assert.equal(challenge?.status, 401);
    const values = challenge?.headers.map(({ value }) => value) ?? [];
    assert.deepEqual(
      values.map((value) => /algorithm=([^,]+)/.exec(value)?.[1]),
      ['SHA-256', 'MD5'],
    );
    assert.ok(values.every((value) => value.startsWith('Digest realm=')));
  });

  for (const index of [0, 1]) {
    it(`lets the right password through with ${['SHA-256', 'MD5'][index]}, and no second time with the same count`, async () => {
      const guard = guardOf();
      const challenge = guard.challenge(register(), SOURCE, NOW)?.headers[index]?.value ?? '';
      const request = register(answer(challenge, 'REGISTER'));
      assert.equal(guard.challenge(request, SOURCE, NOW + 1000), undefined);
      const first = await guard.authenticate('REGISTER', request.uri, request, NOW + 1000);
      assert.equal(first.type, 'account');
      const again = await guard.authenticate('REGISTER', request.uri, request, NOW + 2000);
      assert.equal(again.type === 'refused' && again.why, 'replay');
      assert.ok(again.type === 'refused' && again.challenge.headers.every(({ value }) => value.includes('stale=true')));
    });
  }

  it('refuses a wrong password, and a user that does not exist, alike', async () => {
    const guard = guardOf();
    const challenge = guard.challenge(register(), SOURCE, NOW)?.headers[1]?.value ?? '';
    const wrong = register(answer(challenge, 'REGISTER', 'guess'));
    const stranger = register(answer(challenge, 'REGISTER').replace('"alice"', '"mallory"'));
    for (const request of [wrong, stranger]) {
      const verdict = await guard.authenticate('REGISTER', request.uri, request, NOW);
      assert.equal(verdict.type === 'refused' && verdict.why, 'wrong');
      assert.equal(verdict.type === 'refused' && verdict.challenge.status, 401);
    }
  });

  it('says stale=true for a nonce that is too old, and for one that was never its own', () => {
    const guard = guardOf();
    const challenge = guard.challenge(register(), SOURCE, NOW)?.headers[1]?.value ?? '';
    const old = guard.challenge(register(answer(challenge, 'REGISTER')), SOURCE, NOW + 301_000);
    assert.match(old?.headers[0]?.value ?? '', /stale=true/);
    const forged = register(answer(challenge.replace(/nonce="./, 'nonce="_'), 'REGISTER'));
    assert.equal(guard.challenge(forged, SOURCE, NOW)?.status, 401);
  });

  it('challenges an INVITE with 407, but not one of a trunk, and nothing of a strange domain', () => {
    const guard = guardOf();
    assert.equal(guard.challenge(register(undefined, 'INVITE'), SOURCE, NOW)?.status, 407);
    const trunk = { ...SOURCE, address: '198.51.100.9' };
    assert.equal(guard.challenge(register(undefined, 'INVITE'), trunk, NOW), undefined);
    assert.equal(guard.challenge(register(), trunk, NOW)?.status, 401);
    const strange = register();
    strange.uri = 'sip:elsewhere.test';
    assert.equal(guard.challenge(strange, SOURCE, NOW)?.status, 403);
  });

  it('takes the token of another node for the call it was made for, and only for a while', () => {
    const guard = guardOf();
    const [[name, value] = ['', '']] = Object.entries(guard.peerToken('c1', NOW));
    const request = register(undefined, 'INVITE');
    request.append(name, value);
    assert.equal(guard.fromPeer(request, NOW + 1000), true);
    assert.equal(guard.fromPeer(request, NOW + 60_000), false);
    request.set('Call-ID', 'other');
    assert.equal(guard.fromPeer(request, NOW + 1000), false);
  });
});
