import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import {
  digestOf,
  formatBearerChallenge,
  formatDigestChallenge,
  parseAuth,
  parseChallenges,
  qopsOf,
} from '../../../signaling/engine/message/mod.ts';

const CREDENTIALS =
  'Digest username="a,\\"b\\"", realm="example.test", nonce="n=1,2", uri="sip:x,y@example.test;a=<b>", ' +
  'response="6629FAE49393A05397450978507C4EF1", cnonce="c", nc=0000000A, qop=auth, algorithm=MD5';

const digest = (text: string) => {
  const auth = parseAuth(text);
  return auth && digestOf(auth);
};

describe('challenges and credentials', () => {
  it('digest credentials are read with commas, quotes and brackets in their values', () => {
    assert.deepEqual(digest(CREDENTIALS), {
      username: 'a,"b"',
      realm: 'example.test',
      nonce: 'n=1,2',
      uri: 'sip:x,y@example.test;a=<b>',
      response: '6629fae49393a05397450978507c4ef1',
      algorithm: 'MD5',
      qop: 'auth',
      cnonce: 'c',
      nc: 10,
      opaque: undefined,
      userhash: false,
    });
  });

  it('digest credentials are whole, or none', () => {
    for (const [part, instead] of [
      [' response="6629FAE49393A05397450978507C4EF1",', ''],
      ['response="66', 'response="6'],
      [' nc=0000000A,', ''],
      ['nc=0000000A', 'nc=x'],
      ['qop=auth', 'qop=other'],
      [' cnonce="c",', ''],
      ['Digest', 'Basic'],
      ['nonce="n=1,2"', 'nonce=""'],
    ] as const) {
      assert.ok(CREDENTIALS.includes(part));
      assert.equal(digest(CREDENTIALS.replace(part, instead)), undefined, part);
    }
    // RFC 2069: no qop, no counter.
    const old = digest(CREDENTIALS.replace(' cnonce="c", nc=0000000A, qop=auth,', ''));
    assert.deepEqual([old?.qop, old?.nc], [undefined, undefined]);
  });

  it('several challenges stand in several lines, or in one (RFC 8760 §2.3)', () => {
    const sha = formatDigestChallenge({ realm: 'a, "b"', nonce: 'n', algorithm: 'SHA-256', qop: ['auth', 'auth-int'] });
    const md5 = formatDigestChallenge({ realm: 'a, "b"', nonce: 'n', algorithm: 'MD5', stale: true, opaque: 'o' });
    const bearer = formatBearerChallenge({
      realm: 'r',
      authzServer: 'https://as.example.test',
      error: 'invalid_token',
    });
    for (const values of [[sha, md5, bearer], [`${sha}, ${md5} , ${bearer}`], [`${sha},${md5}`, bearer]]) {
      const challenges = parseChallenges(values);
      assert.deepEqual(
        challenges.map(({ scheme, params }) => [scheme, params.get('realm'), params.get('algorithm')]),
        [
          ['digest', 'a, "b"', 'SHA-256'],
          ['digest', 'a, "b"', 'MD5'],
          ['bearer', 'r', undefined],
        ],
      );
      assert.deepEqual(challenges.map(qopsOf), [['auth', 'auth-int'], ['auth'], []]);
      assert.deepEqual(
        [challenges[1]?.params.get('stale'), challenges[2]?.params.get('error')],
        ['true', 'invalid_token'],
      );
    }
  });

  it('a bearer brings a token (RFC 8898 §3)', () => {
    const bearer = parseAuth('Bearer eyJhbGciOi.eyJpc3Mi-_.c2ln==');
    assert.deepEqual(
      [bearer?.scheme, bearer?.token, bearer?.params.size],
      ['bearer', 'eyJhbGciOi.eyJpc3Mi-_.c2ln==', 0],
    );
    assert.equal(parseAuth('Bearer')?.token, undefined);
    assert.equal(parseAuth('NoOneKnowsThisScheme opaque-data=here')?.params.get('opaque-data'), 'here');
  });

  it('what is broken is left out', () => {
    const read = parseAuth('Digest realm="a"x, x y="c", uri=d e, stale=true');
    assert.deepEqual([...(read?.params ?? [])], [['stale', 'true']]);
    assert.deepEqual(parseChallenges(['', ',,', 'realm="x"', '"']), []);
    assert.equal(parseChallenges([Array.from({ length: 100 }, () => 'Digest realm="a"').join(',')]).length, 16);
  });

  it('cost no more than their length, whatever they are made of', () => {
    const before = process.cpuUsage();
    for (const piece of ['a', 'a ', 'a=', '"', ',', 'Digest ', '\\"', ' =', '="'])
      for (const text of [piece.repeat(10_000), `Digest ${piece.repeat(10_000)}`]) {
        parseChallenges([text]);
        parseAuth(text);
      }
    assert.ok(process.cpuUsage(before).user < 1_500_000);
  });
});
