import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { sleeps, Wakeups, type Binding } from '../../../signaling/register/mod.ts';
import type { PushNote, PushResult } from '../../../signaling/register/wake.ts';
import { Desk, NOW } from './desk.ts';

const contact = (params: string, after = '') => `<sip:alice@192.0.2.7;${params}>;+sip.instance="<urn:uuid:1>"${after}`;
const APNS = 'pn-provider=apns;pn-param=TEAM.app;pn-prid=token-1';
const KNOWN = { answer: { providers: ['apns', 'fcm'] } };

describe('push (RFC 8599)', () => {
  it('keeps by whom a device is woken, and says that it can be', async () => {
    const desk = new Desk(KNOWN);
    const reply = await desk.register({ contact: contact(APNS) });
    assert.equal(reply.status, 200);
    assert.equal(reply.headers['Feature-Caps'], '*;+sip.pns="apns"');
    const [binding] = desk.bindings.of('default', 'alice', NOW);
    assert.deepEqual(binding?.push, { provider: 'apns', prid: 'token-1', param: 'TEAM.app', wakesItself: false });
  });

  it('tells a device that refreshes by itself when it must (sip.pnsreg)', async () => {
    const desk = new Desk(KNOWN);
    const reply = await desk.register({ contact: contact(APNS, ';+sip.pnsreg') });
    assert.equal(reply.headers['Feature-Caps'], '*;+sip.pns="apns";+sip.pnsreg="130"');
  });

  it('refuses a service that it does not know with 555, and answers who only asks', async () => {
    const desk = new Desk(KNOWN);
    assert.equal((await desk.register({ contact: contact('pn-provider=acme;pn-prid=1') })).status, 555);
    assert.equal(desk.bindings.size, 0);
    const asked = await desk.register({ contact: contact('pn-provider') });
    assert.equal(asked.headers['Feature-Caps'], '*;+sip.pns="apns", *;+sip.pns="fcm"');
    assert.equal(desk.bindings.of('default', 'alice', NOW)[0]?.push, undefined);
    const plain = await desk.register({ contact: contact('ob') });
    assert.equal(plain.headers['Feature-Caps'], undefined);
  });

  it('takes the push away from who registers without its prid (§4.1.2)', async () => {
    const desk = new Desk(KNOWN);
    await desk.register({ contact: contact(APNS) });
    await desk.register({ contact: contact('pn-provider=apns') });
    assert.equal(desk.bindings.of('default', 'alice', NOW)[0]?.push, undefined);
  });
});

/** A desk with a device that sleeps, and a hook that does as told. */
async function asleep(result: PushResult | 'never', limit = 10) {
  const desk = new Desk(KNOWN);
  const notes: PushNote[] = [];
  let late: (() => void) | undefined;
  const wakeups = new Wakeups({
    bindings: desk.bindings,
    send: (note) => {
      notes.push(note);
      return result === 'never' ? new Promise(() => undefined) : Promise.resolve(result);
    },
    waitMs: 20_000,
    limit,
    now: () => desk.now,
    later: (_ms, work) => {
      late = work;
      return () => (late = undefined);
    },
  });
  await desk.register({ contact: contact(APNS) });
  desk.now += 60_000;
  const [binding] = desk.bindings.of('default', 'alice', desk.now) as [Binding];
  return { desk, wakeups, notes, binding, expire: () => late?.(), timers: () => Number(late !== undefined) };
}

describe('waking a device', () => {
  it('is needed where its connection is gone, and over UDP unless it has just spoken', async () => {
    const { desk, binding } = await asleep('sent');
    assert.equal(sleeps(binding, desk.now), true);
    assert.equal(sleeps({ ...binding, updatedAt: desk.now - 1000 }, desk.now), false);
    const connected = { ...binding, source: { ...binding.source, protocol: 'tls' } };
    assert.equal(sleeps(connected, desk.now), false);
    assert.equal(sleeps({ ...connected, asleep: true }, desk.now), true);
    assert.equal(sleeps({ ...binding, push: undefined }, desk.now), false);
  });

  it('sends one push for all calls that wait, and each goes on with the new registration', async () => {
    const { desk, wakeups, notes, binding, timers } = await asleep('sent');
    const waiting = [1, 2].map(() => wakeups.wake('default', 'alice', binding));
    assert.equal(wakeups.waiting, 1);
    await desk.register({ contact: contact(APNS).replace('192.0.2.7', '192.0.2.70') });
    for (const woken of await Promise.all(waiting)) assert.match(woken?.contact ?? '', /192\.0\.2\.70/);
    const note = { provider: 'apns', prid: 'token-1', param: 'TEAM.app', tenant: 'default', aor: 'alice', why: 'call' };
    assert.deepEqual(notes, [note]);
    assert.deepEqual([wakeups.waiting, timers()], [0, 0]);
  });

  it('gives up after its time, at once when the push failed, and forgets a device that the service does not know', async () => {
    const slow = await asleep('never');
    const waited = slow.wakeups.wake('default', 'alice', slow.binding);
    slow.expire();
    assert.equal(await waited, undefined);
    const failed = await asleep('failed');
    assert.equal(await failed.wakeups.wake('default', 'alice', failed.binding), undefined);
    assert.equal(failed.desk.bindings.size, 1);
    const gone = await asleep('gone');
    assert.equal(await gone.wakeups.wake('default', 'alice', gone.binding), undefined);
    assert.equal(gone.desk.bindings.size, 0);
    const full = await asleep('sent', 0);
    assert.equal(await full.wakeups.wake('default', 'alice', full.binding), undefined);
    assert.deepEqual([full.notes.length, full.wakeups.counters.refused], [0, 1]);
  });

  it('lets everybody go when the node stops', async () => {
    const { wakeups, binding, timers } = await asleep('never');
    const waited = wakeups.wake('default', 'alice', binding);
    wakeups.close();
    assert.equal(await waited, undefined);
    assert.equal(timers(), 0);
  });

  it('wakes a device once before its binding ends', async () => {
    const { desk, wakeups, notes } = await asleep('sent');
    wakeups.refresh(120);
    assert.equal(notes.length, 0);
    desk.now += 425_000;
    wakeups.refresh(120);
    wakeups.refresh(120);
    assert.deepEqual(
      notes.map(({ why }) => why),
      ['refresh'],
    );
  });
});
