import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { accountIdentity, identityHeaders, peerIdentity } from '../../../signaling/invite/headers.ts';
import { Private } from '../../../vocabulary/mod.ts';

const ALICE = {
  tenant: 'default',
  user: 'alice',
  displayName: 'Alice "Al" A.',
  number: '+4930123',
  password: new Private('x'),
};
const AGENT = { what: 'agent', trusted: false } as const;
const CARRIER = { what: 'trunk', trusted: true } as const;
const STRANGER = { what: 'trunk', trusted: false } as const;
const NODE = { what: 'node', trusted: true } as const;
const ANONYMOUS = '"Anonymous" <sip:anonymous@anonymous.invalid>';
const headers = (given: Record<string, string>) => ({ get: (name: string) => given[name.toLowerCase()] });
const DOMAIN = 'example.test';

describe('who calls (RFC 3325, RFC 3323)', () => {
  it('asserts an authenticated account to trunks of the trust domain, and not what it says of itself', () => {
    const claimed = headers({
      from: '"The Boss" <sip:boss@example.test>',
      'p-asserted-identity': '<sip:boss@example.test>',
    });
    const identity = accountIdentity(claimed, ALICE);
    const named = '"Alice \\"Al\\" A." <sip:+4930123@localhost>';
    assert.deepEqual(identityHeaders(identity, CARRIER, DOMAIN), { From: named, 'P-Asserted-Identity': named });
    assert.deepEqual(identityHeaders(identity, STRANGER, DOMAIN), { From: named });
    const shown = identityHeaders(identity, AGENT, DOMAIN);
    assert.equal(shown.From, '"Alice \\"Al\\" A." <sip:alice@example.test>');
    assert.equal(shown['P-Asserted-Identity'], shown.From);
  });

  it('lets an account choose among its own identities (§9.2)', () => {
    for (const preferred of ['<sip:+4930123@example.test>', '<tel:+4930123>', 'sip:+4930123@elsewhere.test']) {
      const identity = accountIdentity(headers({ 'p-preferred-identity': preferred }), ALICE);
      assert.match(identityHeaders(identity, AGENT, DOMAIN).From, /<sip:\+4930123@example\.test>$/);
    }
    const stolen = accountIdentity(headers({ 'p-preferred-identity': '<sip:boss@example.test>' }), ALICE);
    assert.match(identityHeaders(stolen, AGENT, DOMAIN).From, /<sip:alice@example\.test>$/);
  });

  it('passes what a trusted peer asserts on within the trust domain: one of each scheme', () => {
    const asserted = '"A, B" <sip:+44123@gw.test;user=phone>, <tel:+44123>, <sip:second@gw.test>, <http://x.test>';
    const identity = peerIdentity(headers({ from: '<sip:anonymous@gw.test>', 'p-asserted-identity': asserted }), true);
    for (const destination of [NODE, CARRIER, AGENT]) {
      const { 'P-Asserted-Identity': told } = identityHeaders(identity, destination, DOMAIN);
      assert.equal(told, '"A, B" <sip:+44123@gw.test;user=phone>, <tel:+44123>');
    }
    assert.equal(identityHeaders(identity, STRANGER, DOMAIN)['P-Asserted-Identity'], undefined);
  });

  it('believes nothing of a peer that is not trusted', () => {
    const given = headers({ from: '<sip:+44123@gw.test>', 'p-asserted-identity': '<sip:boss@example.test>' });
    const identity = peerIdentity(given, false);
    for (const destination of [NODE, CARRIER, AGENT, STRANGER]) {
      assert.equal(identityHeaders(identity, destination, DOMAIN)['P-Asserted-Identity'], undefined);
    }
  });

  for (const privacy of ['id', 'user', 'header', 'id;critical', 'ID; session']) {
    it(`hides the caller from who is not trusted at Privacy: ${privacy}, and tells the others to hide it`, () => {
      const identity = accountIdentity(headers({ privacy }), ALICE);
      const wanted = privacy.toLowerCase().replaceAll(' ', '');
      for (const destination of [AGENT, STRANGER]) {
        assert.deepEqual(identityHeaders(identity, destination, DOMAIN), { From: ANONYMOUS });
      }
      const carrier = identityHeaders(identity, CARRIER, DOMAIN);
      assert.equal(carrier.From, ANONYMOUS);
      assert.match(carrier['P-Asserted-Identity'] ?? '', /\+4930123/);
      assert.equal(carrier.Privacy, wanted);
      const node = identityHeaders(identity, NODE, DOMAIN);
      assert.match(node.From, /<sip:alice@example\.test>$/);
      assert.equal(node.Privacy, wanted);
      // And so the next node hides it.
      const there = headers({ from: node.From, privacy: node.Privacy ?? '', 'p-asserted-identity': node.From });
      assert.deepEqual(identityHeaders(peerIdentity(there, true), AGENT, DOMAIN), { From: ANONYMOUS });
    });
  }

  it('hides nothing at Privacy: none, nor at words that it does not know', () => {
    for (const privacy of ['none', 'none;id', 'history', '']) {
      const identity = accountIdentity(headers({ privacy }), ALICE);
      assert.match(identityHeaders(identity, AGENT, DOMAIN).From, /alice/);
    }
  });

  it('lets nobody write header lines of its own by an escaped user', () => {
    const given = headers({ from: '<sip:a%3E%0D%0AX-Evil:%20yes@gw.test>' });
    assert.doesNotMatch(identityHeaders(peerIdentity(given, true), AGENT, DOMAIN).From, /[\r\n]|a>/);
  });

  it('survives what is no address', () => {
    for (const text of ['', '<', '"', 'sip:', '<sip:>', ',,,', 'x'.repeat(10_000)]) {
      const given = headers({ from: text, 'p-asserted-identity': text, 'p-preferred-identity': text, privacy: text });
      assert.ok(identityHeaders(peerIdentity(given, true), AGENT, DOMAIN).From);
      assert.ok(identityHeaders(accountIdentity(given, ALICE), AGENT, DOMAIN).From);
    }
  });
});
