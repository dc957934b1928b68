import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { readRegister } from '../../../signaling/register/request.ts';
import { Gruus } from '../../../signaling/register/mod.ts';
import { profileOf } from '../../../signaling/register/profile.ts';
import { readAuthorization } from '../../../signaling/register/credentials.ts';
import { SECRET } from './desk.ts';

const PIECES = fc.constantFrom(
  '<sip:a@b>',
  '*',
  ';',
  ',',
  '"',
  '<',
  '>',
  'expires=',
  'q=',
  'reg-id=1',
  '+sip.instance="<urn:uuid:1>"',
  'pn-provider=apns',
  'sip:x',
  '0',
  '-1',
  '9999999999999',
  'Digest ',
  'Bearer ',
  'nonce="a"',
  'SIP/2.0/UDP h;branch=z',
  '\\',
  '\u0000',
  '%',
);
const text = fc.oneof(
  fc.array(PIECES, { maxLength: 8 }).map((parts) => parts.join('')),
  fc.string({ maxLength: 40 }),
);
const NAMES = [
  'contact',
  'expires',
  'cseq',
  'call-id',
  'path',
  'via',
  'supported',
  'require',
  'authorization',
] as const;

describe('what a stranger writes into a REGISTER', () => {
  it('is read or refused with a status, and never thrown at', () => {
    const gruus = new Gruus(SECRET);
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...NAMES, 'user-agent'), text), text, (given, uri) => {
        const request = { get: (name: string) => given[name] };
        const read = readRegister(request);
        if ('type' in read) assert.ok(read.status >= 400 && read.status < 500);
        else {
          for (const contact of Array.isArray(read.contacts) ? read.contacts : []) {
            assert.ok(contact.q >= 0 && contact.q <= 1000);
            assert.ok(contact.seconds === undefined || contact.seconds >= 0);
          }
        }
        readAuthorization('REGISTER', request);
        profileOf({ userAgent: given['user-agent'], contact: given['contact'], supported: given['supported'] });
        gruus.read(uri);
        gruus.read(`sip:tgruu.${uri}@example.test;gr`);
      }),
      { numRuns: 3000 },
    );
  });

  it('costs no more than its length: a long header is read in a moment', () => {
    const long = { contact: `<sip:a@b>${';q=1'.repeat(20_000)}`, 'call-id': 'c', cseq: '1 REGISTER' };
    const commas = { ...long, contact: `${'<sip:a@b>,'.repeat(10_000)}<sip:a@b>` };
    const auth = { authorization: `Digest ${'a, '.repeat(20_000)}` };
    const started = process.hrtime.bigint();
    readRegister({ get: (name: string) => (long as Record<string, string>)[name] });
    const many = readRegister({ get: (name: string) => (commas as Record<string, string>)[name] });
    readAuthorization('REGISTER', { get: (name: string) => (auth as Record<string, string>)[name] });
    assert.equal('type' in many && many.status, 403);
    assert.ok(Number(process.hrtime.bigint() - started) / 1e6 < 1000);
  });
});
