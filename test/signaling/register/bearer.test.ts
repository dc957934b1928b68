import assert from 'node:assert/strict';
import { exportJWK, generateKeyPair, SignJWT, type JWTPayload } from 'jose';
import { before, describe, it } from 'mocha';
import { BearerTokens } from '../../../signaling/register/mod.ts';
import { Private } from '../../../vocabulary/mod.ts';
import { ALICE, Desk, NOW, SECRET, SOURCE } from './desk.ts';

type Key = Awaited<ReturnType<typeof generateKeyPair>>;
const CONTACT = '<sip:phone@192.0.2.7>';

describe('bearer tokens (RFC 8898)', () => {
  let key: Key;
  let stranger: Key;
  let tokens: BearerTokens;

  before(async () => {
    [key, stranger] = [await generateKeyPair('ES256'), await generateKeyPair('ES256')];
    tokens = new BearerTokens([
      {
        tenant: 'default',
        issuer: 'https://id.example.test',
        audience: 'sip:example.test',
        jwks: { keys: [{ ...(await exportJWK(key.publicKey)), kid: 'k1', alg: 'ES256' }] },
        claim: 'sub',
        scope: 'sip',
        authzServer: 'https://id.example.test/authorize',
      },
    ]);
  });

  const token = (over: JWTPayload = {}, by: Key = key) =>
    new SignJWT({
      iss: 'https://id.example.test',
      aud: 'sip:example.test',
      sub: 'alice',
      scope: 'sip mail',
      exp: NOW / 1000 + 60,
      ...over,
    })
      .setProtectedHeader({ alg: 'ES256', kid: 'k1' })
      .sign(by.privateKey);

  const send = (desk: Desk, given: string) =>
    desk.send(desk.request({ contact: CONTACT, headers: { Authorization: `Bearer ${given}` } }));

  it('are offered before the digests, and registers who has a good one', async () => {
    const desk = new Desk({ guard: { bearer: tokens } });
    const request = desk.request({ contact: CONTACT });
    assert.deepEqual(
      desk.guard.challenge(request, SOURCE, NOW)?.headers.map(({ value }) => value.split(/[ ,]/, 1)[0]),
      ['Bearer', 'Digest', 'Digest'],
    );
    request.append('Authorization', `Bearer ${await token()}`);
    assert.equal(desk.guard.challenge(request, SOURCE, NOW), undefined);
    assert.equal((await desk.send(request)).status, 200);
    assert.equal(desk.bindings.size, 1);
  });

  it('get 401 with the reason and where to find a better one, when anything about them is wrong', async () => {
    const desk = new Desk({ guard: { bearer: tokens } });
    const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from('{"sub":"alice"}').toString('base64url')}.`;
    const cases: readonly (readonly [string, string])[] = [
      ['expired', await token({ exp: NOW / 1000 - 10 })],
      ['without an expiry', await token({ exp: undefined } as unknown as JWTPayload)],
      ['not yet valid', await token({ nbf: NOW / 1000 + 60 })],
      ['of another audience', await token({ aud: 'https://mail.example.test' })],
      ['of another issuer', await token({ iss: 'https://id.elsewhere.test' })],
      ['of another key', await token({}, stranger)],
      ['of nobody here', await token({ sub: 'mallory' })],
      ['without a signature', unsigned],
      ['that is none', 'AAAA'],
      ['too long', 'A'.repeat(9000)],
    ];
    for (const [what, given] of cases) {
      const reply = await send(desk, given);
      assert.equal(reply.status, 401, what);
      const challenge =
        'Bearer realm="example.test", scope="sip", authz_server="https://id.example.test/authorize", error="invalid_token"';
      assert.ok(
        reply.headers['WWW-Authenticate']?.startsWith(challenge),
        `${what}: ${reply.headers['WWW-Authenticate']}`,
      );
    }
    const narrow = await send(desk, await token({ scope: 'mail' }));
    assert.match(narrow.headers['WWW-Authenticate'] ?? '', /error="insufficient_scope"/);
    assert.equal(desk.bindings.size, 0);
  });

  it('do not reach into another tenant, and register nobody for somebody else', async () => {
    const other = { ...ALICE, tenant: 'other' };
    const bob = { ...ALICE, user: 'bob', number: '1002', password: new Private('b') };
    const desk = new Desk({ accounts: [ALICE, other, bob], guard: { bearer: tokens } });
    const headers = { Authorization: `Bearer ${await token()}` };
    const elsewhere = desk.request({ contact: CONTACT, headers, uri: 'sip:other.test', to: '<sip:alice@other.test>' });
    assert.equal((await desk.send(elsewhere)).status, 401);
    const asBob = desk.request({ contact: CONTACT, headers, user: 'bob' });
    assert.equal((await desk.send(asBob)).status, 403);
  });

  it('are nothing to a node that knows no issuer', async () => {
    const desk = new Desk();
    const request = desk.request({ contact: CONTACT, headers: { Authorization: `Bearer ${await token()}` } });
    assert.equal(desk.guard.challenge(request, SOURCE, NOW)?.status, 401);
    assert.equal((await desk.send(request)).status, 401);
    assert.equal(SECRET.toString(), '[redacted]');
  });
});
