import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { Private } from '../../../vocabulary/mod.ts';
import { ALICE, Desk, listed, NOW } from './desk.ts';

const PHONE = '<sip:phone@192.0.2.7>';

describe('the registrar (RFC 3261 §10.3)', () => {
  it('binds several contacts of one request, each with its expiry and q, and lists them all', async () => {
    const desk = new Desk();
    const reply = await desk.register({
      contact: '<sip:desk@192.0.2.7>;expires=120;q=0.5, <sip:soft@192.0.2.7>',
      headers: { Expires: '300' },
    });
    assert.equal(reply.status, 200);
    assert.deepEqual(listed(reply), { desk: 120, soft: 300 });
    assert.match(reply.headers['Contact'] ?? '', /<sip:desk@192\.0\.2\.7>;expires=120;q=0\.5/);
    assert.equal(reply.headers['Date'], new Date(NOW).toUTCString());
  });

  it('changes nothing when one contact of several is refused', async () => {
    const desk = new Desk();
    await desk.register({ contact: PHONE, cseq: 10 });
    for (const wish of [
      { contact: '<sip:new@192.0.2.8>, <sip:brief@192.0.2.9>;expires=5', cseq: 11, status: 423 },
      { contact: `<sip:new@192.0.2.8>, ${PHONE};expires=0`, cseq: 9, status: 500 },
    ]) {
      const { status, headers } = await desk.register(wish);
      assert.equal(status, wish.status);
      if (status === 423) assert.equal(headers['Min-Expires'], '60');
      assert.deepEqual(Object.keys(listed(await desk.register({}))), ['phone']);
    }
  });

  it('takes an older request of another Call-ID, and none of the same', async () => {
    const desk = new Desk();
    await desk.register({ contact: PHONE, cseq: 7 });
    assert.equal((await desk.register({ contact: PHONE, cseq: 7 })).status, 500);
    assert.equal((await desk.register({ contact: PHONE, cseq: 6 })).reason, 'CSeq Out of Order');
    assert.equal((await desk.register({ contact: PHONE, cseq: 1, callId: 'after a restart' })).status, 200);
  });

  it('removes everything at Contact: *, and only with Expires: 0 and newer than all of it', async () => {
    const desk = new Desk();
    await desk.register({ contact: `${PHONE}, <sip:desk@192.0.2.7>`, cseq: 5 });
    assert.equal((await desk.register({ contact: '*', headers: { Expires: '60' } })).status, 400);
    assert.equal((await desk.register({ contact: '*' })).status, 400);
    assert.equal((await desk.register({ contact: `*, ${PHONE}`, headers: { Expires: '0' } })).status, 400);
    assert.equal((await desk.register({ contact: '*', cseq: 5, headers: { Expires: '0' } })).status, 500);
    assert.equal(desk.bindings.size, 2);
    const gone = await desk.register({ contact: '*', cseq: 6, headers: { Expires: '0' } });
    assert.equal(gone.status, 200);
    assert.equal(gone.headers['Contact'], undefined);
    assert.equal(desk.bindings.size, 0);
  });

  it('grants no more than it allows, no less than an hour against its will, and an hour for what it cannot read', async () => {
    const desk = new Desk({ options: { minSeconds: 3600, maxSeconds: 7200, defaultSeconds: 7200 } });
    assert.deepEqual(listed(await desk.register({ contact: `${PHONE};expires=999999` })), { phone: 7200 });
    assert.deepEqual(listed(await desk.register({ contact: `${PHONE};expires=soon` })), { phone: 3600 });
    assert.deepEqual(listed(await desk.register({ contact: PHONE })), { phone: 7200 });
    assert.deepEqual(listed(await desk.register({ contact: `${PHONE};expires=99999999999999` })), { phone: 7200 });
    assert.equal((await desk.register({ contact: `${PHONE};expires=3599` })).status, 423);
  });

  it('lists what is bound for a REGISTER without Contact, and binds nothing', async () => {
    const desk = new Desk();
    await desk.register({ contact: PHONE });
    desk.now += 100_000;
    assert.deepEqual(listed(await desk.register({})), { phone: 500 });
  });

  it('refuses an address of record that is not there or not the caller’s, and extensions that it does not know', async () => {
    const desk = new Desk({ accounts: [ALICE, { ...ALICE, user: 'bob', number: '1002', password: new Private('b') }] });
    assert.equal((await desk.register({ contact: PHONE, to: '<sip:nobody@example.test>' })).status, 404);
    assert.equal((await desk.register({ contact: PHONE, to: '<sip:bob@example.test>' })).status, 403);
    const odd = await desk.register({ contact: PHONE, headers: { Require: 'path, blues' } });
    assert.deepEqual([odd.status, odd.headers['Unsupported']], [420, 'blues']);
    assert.equal(desk.bindings.size, 0);
  });

  it('keeps a contact that leads back to the address of record out (RFC 5627 §5.1)', async () => {
    const desk = new Desk();
    const pub = desk.gruus.public('alice', 'example.test', '<urn:uuid:1>');
    for (const contact of ['<sip:alice@example.test>', `<${pub}>`]) {
      assert.equal((await desk.register({ contact })).status, 403, contact);
    }
    assert.equal((await desk.register({ contact: '<sip:alice@127.0.0.1:5070>' })).status, 200);
  });

  it('bounds the bindings of an account with a clear refusal, and an account may have its own bound', async () => {
    const desk = new Desk({ accounts: [{ ...ALICE, maxBindings: 2 }] });
    const [one, two, three] = [1, 2, 3].map((n) => `<sip:p${n}@192.0.2.7>`) as [string, string, string];
    assert.equal((await desk.register({ contact: `${one}, ${two}` })).status, 200);
    const refused = await desk.register({ contact: three });
    assert.deepEqual([refused.status, refused.reason], [403, 'Too Many Contacts']);
    // In the place of another it is welcome.
    assert.equal((await desk.register({ contact: `${three}, ${two};expires=0` })).status, 200);
    const many = Array.from({ length: 21 }, (_, n) => `<sip:m${n}@192.0.2.7>;expires=0`).join(', ');
    assert.equal((await desk.register({ contact: many })).status, 403);
  });

  it('refuses with 503 and Retry-After when the node has no room', async () => {
    const desk = new Desk({ accounts: [{ ...ALICE, maxBindings: 1000 }] });
    for (let n = 0; n < 100; n += 20) {
      const contact = Array.from({ length: 20 }, (_, m) => `<sip:p${n + m}@192.0.2.7>`).join(', ');
      assert.equal((await desk.register({ contact })).status, 200);
    }
    const refused = await desk.register({ contact: PHONE });
    assert.deepEqual([refused.status, refused.headers['Retry-After']], [503, '60']);
  });

  it('serves several tenants on one address: the To tells whose phone knows no domain but ours', async () => {
    const eve = { ...ALICE, tenant: 'other', password: new Private('else') };
    const desk = new Desk({ accounts: [ALICE, eve] });
    const wish = { contact: PHONE, uri: 'sip:127.0.0.1', to: '<sip:alice@other.test>' };
    assert.equal((await desk.register({ ...wish, password: 'wonder' })).status, 401);
    assert.equal((await desk.register({ ...wish, password: 'else' })).status, 200);
    assert.equal(desk.bindings.of('other', 'alice', NOW).length, 1);
    assert.equal(desk.bindings.of('default', 'alice', NOW).length, 0);
    assert.equal((await desk.register({ contact: PHONE, uri: 'sip:127.0.0.1' })).status, 200);
    assert.equal(desk.bindings.of('default', 'alice', NOW).length, 1);
  });
});
