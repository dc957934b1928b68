import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import type Srf from 'drachtio-srf';
import { agree } from '../../../signaling/engine/dialog/mod.ts';
import { Message } from '../../../signaling/engine/message/mod.ts';
import { answered, heard, heardInside, PEER, SDP, VirtualEngine } from '../../support/virtual-engine.ts';

const OURS = SDP.replaceAll('192.0.2.7', '192.0.2.1');
const TIMER = { Supported: 'timer' };

/** A call from the peer that the application has answered and the peer acknowledged. */
async function answeredCall(
  engine: VirtualEngine,
  asked: Readonly<Record<string, string>>,
  said: Readonly<Record<string, string>> = {},
) {
  const calls: Srf.Dialog[] = [];
  const ends: unknown[] = [];
  engine.srf.invite((req, res) => {
    void engine.srf.createUAS(req, res, { localSdp: OURS, headers: said }).then((dialog) => {
      calls.push(dialog);
      dialog.on('destroy', (message: unknown) => ends.push(message));
      return dialog;
    });
  });
  await engine.attach();
  const invite = heard('INVITE', asked);
  await engine.hear(invite);
  const ok = engine.last(200);
  await engine.hear(heardInside('ACK', invite, ok, 1));
  engine.said();
  return { invite, ok, calls, ends };
}

describe('session timers (RFC 4028)', () => {
  it('who refreshes is said by the answer, then by the request, then by the configuration (§9)', () => {
    const message = (headers: Readonly<Record<string, string>>) => {
      const made = Message.request('INVITE', 'sip:a@b');
      for (const [name, value] of Object.entries(headers)) made.append(name, value);
      return made;
    };
    const plain = message({});
    const asks = (value: string) => message({ 'Session-Expires': value, ...TIMER });
    assert.equal(agree(plain, plain, 'uas'), undefined);
    assert.deepEqual(agree(asks('600;refresher=uas'), plain, 'none'), { seconds: 600, refresher: 'uas' });
    assert.equal(agree(asks('600'), plain, 'none'), undefined);
    assert.deepEqual(agree(asks('600'), plain, 'uac'), { seconds: 600, refresher: 'uac' });
    assert.deepEqual(agree(asks('600'), asks('30'), 'none'), { seconds: 90, refresher: 'uac' });
    const byProxy = message({ x: '600;refresher=uac' });
    assert.deepEqual(agree(byProxy, plain, 'uac'), { seconds: 600, refresher: 'uas' }, 'the peer knows no timers');
  });

  it('we refresh at half the time with what the application said last; it never learns of it', async () => {
    const engine = new VirtualEngine();
    const { ok, ends } = await answeredCall(engine, { 'Session-Expires': '100;refresher=uas', ...TIMER });
    assert.equal(ok.get('session-expires'), '100;refresher=uas');
    await engine.advance(44_000);
    assert.deepEqual(engine.said(), []);
    await engine.advance(12_000);
    assert.equal(engine.said()[0], 'INVITE');
    const refresh = engine.last('INVITE');
    assert.equal(refresh.get('session-expires'), '100;refresher=uac');
    assert.equal(refresh.get('min-se'), '90');
    assert.equal(Buffer.from(refresh.body).toString(), OURS);
    await engine.hear(answered(refresh, 200, { 'Session-Expires': '100;refresher=uac' }, SDP));
    assert.equal(engine.said().at(-1), 'ACK');
    await engine.advance(56_000);
    assert.equal(engine.last('INVITE').get('cseq'), `${Number(refresh.get('cseq')?.split(' ')[0]) + 1} INVITE`);
    assert.deepEqual(ends, []);
  });

  it('491 is tried again, 422 with what the peer wants, 481 ends the call', async () => {
    const engine = new VirtualEngine();
    const { ends } = await answeredCall(engine, { 'Session-Expires': '100;refresher=uas', ...TIMER });
    await engine.advance(56_000);
    await engine.hear(answered(engine.last('INVITE'), 491));
    await engine.advance(4000);
    const second = engine.last('INVITE');
    await engine.hear(answered(second, 422, { 'Min-SE': '240' }));
    await engine.advance(1);
    const third = engine.last('INVITE');
    assert.notEqual(third.get('cseq'), second.get('cseq'));
    assert.equal(third.get('session-expires'), '240;refresher=uac');
    await engine.hear(answered(third, 481));
    assert.match(engine.last('BYE').get('reason') ?? '', /Session timer expired/);
    assert.equal(ends.length, 1);
    assert.equal(engine.core.legs.size, 0);
  });

  it('a refresh that nobody answers ends the call', async () => {
    const engine = new VirtualEngine();
    const { ends } = await answeredCall(engine, { 'Session-Expires': '100;refresher=uas', ...TIMER });
    await engine.advance(90_000);
    assert.equal(engine.last('BYE').method, 'BYE');
    assert.equal(ends.length, 1);
  });

  it('a peer that ought to refresh and does not gets BYE a bit before the end, and the application learns why', async () => {
    const engine = new VirtualEngine();
    const { ok, invite, ends } = await answeredCall(
      engine,
      { 'Session-Expires': '60', ...TIMER },
      { 'Session-Expires': '120;refresher=uac' },
    );
    assert.equal(ok.get('require'), 'timer');
    await engine.advance(80_000);
    // It does, once.
    await engine.hear(heardInside('UPDATE', invite, ok, 2, { 'Session-Expires': '120;refresher=uac', ...TIMER }));
    assert.equal(engine.last(200).get('session-expires'), '120;refresher=uac');
    engine.said();
    await engine.advance(87_000);
    assert.deepEqual(engine.said(), []);
    await engine.advance(2000);
    assert.equal(engine.said()[0], 'BYE');
    assert.equal(engine.last('BYE').get('reason'), 'SIP;cause=200;text="Session timer expired"');
    assert.equal(ends.length, 1);
    assert.match(String((ends[0] as { get(name: string): string }).get('reason')), /Session timer expired/);
  });

  it('less than 90 s is refused with 422 before the application hears of it', async () => {
    const engine = new VirtualEngine();
    const { invite, ok } = await answeredCall(engine, {});
    for (const method of ['INVITE', 'UPDATE']) {
      await engine.hear(heardInside(method, invite, ok, 2, { 'Session-Expires': '89' }, SDP));
      assert.equal(engine.last(422).get('min-se'), '90');
    }
    await engine.advance(3_600_000);
    assert.equal(engine.core.legs.size, 1, 'without Session-Expires there is no timer');
  });

  it('as the caller: the 200 says who refreshes', async () => {
    for (const [said, expected] of [
      ['100;refresher=uac', 'INVITE'],
      ['100', 'INVITE'],
      ['100;refresher=uas', 'BYE'],
    ] as const) {
      const engine = new VirtualEngine();
      await engine.attach();
      const call = engine.srf.createUAC(`sip:peer@${PEER}`, { localSdp: OURS });
      await engine.settle();
      await engine.hear(answered(engine.last('INVITE'), 200, { 'Session-Expires': said }, SDP));
      await call;
      engine.said();
      await engine.advance(70_000);
      assert.equal(engine.said()[0], expected, said);
    }
  });
});
