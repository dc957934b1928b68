import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { parseAuth } from '../../../signaling/engine/mod.ts';
import { proves, readCredentials } from '../../../signaling/register/digest.ts';
import { Private } from '../../../vocabulary/mod.ts';
import { answer, Desk, NOW, SOURCE } from './desk.ts';

const PHONE = '<sip:phone@192.0.2.7>';

describe('digest (RFC 7616, RFC 8760)', () => {
  it('agrees with the examples of RFC 7616 §3.9.1', () => {
    const common =
      'username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001, cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth';
    for (const [algorithm, response] of [
      ['MD5', '8ca523f5e9506fed4657c9700eebdbec'],
      ['SHA-256', '753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1'],
    ]) {
      const header = `Digest ${common}, algorithm=${algorithm}, response="${response}"`;
      const credentials = readCredentials(parseAuth(header)?.params ?? new Map<string, string>());
      assert.ok(credentials);
      assert.equal(proves(credentials, 'GET', new Private('Circle of Life')), true, algorithm);
      assert.equal(proves(credentials, 'GET', new Private('Circle of Death')), false);
      assert.equal(proves(credentials, 'POST', new Private('Circle of Life')), false);
    }
  });

  for (const algorithm of ['MD5', 'SHA-256', 'SHA-512-256'] as const) {
    it(`takes ${algorithm}, and offers the algorithms in the order of the configuration`, async () => {
      const algorithms = ['SHA-512-256', 'SHA-256', 'MD5'] as const;
      const desk = new Desk({ guard: { algorithms } });
      const asked = desk.guard.challenge(desk.request({}), SOURCE, NOW);
      const named = asked?.headers.map(({ value }) => /algorithm=([^,]+)/.exec(value)?.[1]);
      assert.deepEqual(named, algorithms);
      const pick = (lines: readonly string[]) => lines.find((line) => line.includes(`=${algorithm},`)) ?? '';
      assert.equal((await desk.register({ contact: PHONE }, pick)).status, 200);
      assert.equal((await desk.register({ contact: PHONE, password: 'guess' }, pick)).status, 401);
    });
  }

  it('takes auth-int, over the body that is there, and an answer without qop', () => {
    const desk = new Desk();
    const message = desk.request({}, 'MESSAGE');
    message.body = Buffer.from('hello');
    const challenge = desk.guard.challenge(message, SOURCE, NOW)?.headers.at(-1)?.value ?? '';
    for (const [qop, body, expected] of [
      ['auth-int', 'hello', 'account'],
      ['auth-int', 'changed', 'refused'],
      ['', 'changed', 'account'],
    ] as const) {
      const request = message.clone();
      request.set('Proxy-Authorization', answer(challenge, message, {}, qop, '00000002'));
      request.body = Buffer.from(body);
      const fresh = new Desk().guard;
      const verdict = fresh.authenticate('MESSAGE', request.uri, request, NOW);
      assert.equal('type' in verdict && verdict.type, expected, `${qop} ${body}`);
    }
  });

  it('reads the credentials that it can among several (RFC 8760 §2.4), joined in one value or not', async () => {
    const desk = new Desk();
    const request = desk.request({ contact: PHONE });
    const challenge = desk.guard.challenge(request, SOURCE, NOW)?.headers[0]?.value ?? '';
    const good = answer(challenge, request);
    request.append('Authorization', good.replaceAll('SHA-256', 'SHA-3'));
    request.append('Authorization', good);
    assert.equal(desk.guard.challenge(request, SOURCE, NOW), undefined);
    assert.equal((await desk.send(request)).status, 200);
  });

  it('takes any domain of the tenant as realm, and none of another tenant', () => {
    const desk = new Desk();
    const request = desk.request({});
    const challenge = desk.guard.challenge(request, SOURCE, NOW)?.headers.at(-1)?.value ?? '';
    for (const [realm, status] of [
      ['127.0.0.1', undefined],
      ['other.test', 401],
      ['nowhere.test', 401],
    ] as const) {
      const again = desk.request({});
      again.append('Authorization', answer(challenge.replace('example.test', realm), again));
      const asked = desk.guard.challenge(again, SOURCE, NOW);
      assert.equal(asked?.status, status, realm);
      // It is no old nonce: a client that hears stale=true would ask for ever.
      assert.ok(asked?.headers.every(({ value }) => !value.includes('stale')) ?? true);
    }
  });
});
