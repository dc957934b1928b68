import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { devices, Gruus } from '../../../signaling/register/mod.ts';
import { Private } from '../../../vocabulary/mod.ts';
import { Desk, type Reply } from './desk.ts';

const INSTANCE = '+sip.instance="<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>"';
const CONTACT = `<sip:callee@192.0.2.1>;${INSTANCE}`;
const GRUU = { Supported: 'gruu' };
const PUBLIC = 'sip:alice@example.test;gr=urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6';

const temporary = (reply: Reply) => /;temp-gruu="([^"]+)"/.exec(reply.headers['Contact'] ?? '')?.[1] ?? '';

describe('GRUUs (RFC 5627)', () => {
  it('gives a public one, and a new temporary one each time, to who understands them', async () => {
    const desk = new Desk();
    const first = await desk.register({ contact: CONTACT, headers: GRUU });
    const second = await desk.register({ contact: CONTACT, headers: GRUU });
    assert.equal(/;pub-gruu="([^"]+)"/.exec(first.headers['Contact'] ?? '')?.[1], PUBLIC);
    assert.match(temporary(first), /^sip:tgruu\.[\w-]+@example\.test;gr$/);
    assert.notEqual(temporary(first), temporary(second));
    assert.equal(temporary(await desk.register({ contact: CONTACT })), '');
    const nameless = await new Desk().register({ contact: '<sip:x@192.0.2.2>', headers: GRUU });
    assert.equal(temporary(nameless), '');
  });

  it('leads to that device alone, also by a temporary one that was given out earlier', async () => {
    const desk = new Desk();
    const first = await desk.register({ contact: CONTACT, headers: GRUU });
    await desk.register({ contact: '<sip:desk@192.0.2.9>', callId: 'desk' });
    await desk.register({ contact: CONTACT, headers: GRUU });
    for (const uri of [PUBLIC, PUBLIC.replace('f81d4fae', 'F81D4FAE')]) {
      const target = desk.gruus.read(uri);
      const found = devices(desk.bindings.of('default', 'alice', desk.now), target);
      assert.deepEqual(
        found.flat().map(({ flows }) => flows[0].contact),
        ['sip:callee@192.0.2.1'],
      );
    }
    const target = desk.gruus.read(temporary(first));
    assert.deepEqual(target?.type === 'temporary' && [target.tenant, target.user], ['default', 'alice']);
    assert.equal(devices(desk.bindings.of('default', 'alice', desk.now), target).flat().length, 1);
  });

  it('is void once the Call-ID of the registration has changed, or the registration was another', async () => {
    const desk = new Desk();
    const leads = (uri: string) => devices(desk.bindings.of('default', 'alice', desk.now), desk.gruus.read(uri)).length;
    const old = temporary(await desk.register({ contact: CONTACT, headers: GRUU }));
    assert.equal(leads(old), 1);
    desk.now += 1000;
    const renewed = temporary(await desk.register({ contact: CONTACT, callId: 'c2', headers: GRUU }));
    assert.deepEqual([leads(old), leads(renewed)], [0, 1]);
    desk.now += 1000;
    await desk.register({ contact: `${CONTACT};expires=0`, callId: 'c2', headers: GRUU });
    await desk.register({ contact: CONTACT, callId: 'c2', headers: GRUU });
    assert.equal(leads(renewed), 0);
    assert.equal(leads(PUBLIC), 1);
  });

  it('reads nothing that was not sealed here, and no temporary one with another key', () => {
    const own = new Gruus(new Private(Buffer.from('one')));
    const other = new Gruus(new Private(Buffer.from('two')));
    const binding = {
      key: 'k',
      contact: 'sip:x@y',
      instance: '<urn:uuid:1>',
      callId: 'c',
      cseq: 1,
      expiresAt: 1,
      source: { protocol: 'udp', address: '192.0.2.1', port: 5060 },
      userAgent: '',
    };
    const uri = own.temporary('t', 'bob', 'example.test', binding);
    assert.equal(own.read(uri)?.type, 'temporary');
    assert.equal(other.read(uri)?.type, 'void');
    for (const bad of ['sip:tgruu.@example.test;gr', 'sip:tgruu.AAAA@example.test;gr', 'sip:bob@example.test;gr']) {
      assert.equal(own.read(bad)?.type, 'void', bad);
    }
    assert.equal(own.read('sip:bob@example.test'), undefined);
    assert.equal(own.read('nonsense;gr'), undefined);
    // Nothing about the user can be seen.
    assert.ok(!Buffer.from(uri.slice(10).split('@')[0] ?? '', 'base64url').includes('bob'));
  });
});
