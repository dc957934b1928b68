import assert from 'node:assert/strict';
import type { EventEmitter } from 'node:events';
import { describe, it } from 'mocha';
import type Srf from 'drachtio-srf';
import { tagOf } from '../../../signaling/engine/message/mod.ts';
import { answered, heard, heardInside, PEER, SDP, VirtualEngine } from '../../support/virtual-engine.ts';

/** What the declarations of drachtio-srf leave out. */
interface Wide {
  request(
    uri: string,
    options: object,
  ): Promise<{ on(event: 'response', handler: (res: Srf.SrfResponse) => void): void }>;
  options(handler: (req: Srf.SrfRequest, res: Srf.SrfResponse) => void): void;
  subscribe(handler: (req: Srf.SrfRequest, res: Srf.SrfResponse) => void): void;
}
const wide = (engine: VirtualEngine) => engine.srf as unknown as Wide;
const nothing = () => undefined;
const onUpdate = (req: Srf.SrfRequest, handler: (res: Srf.SrfResponse) => void) =>
  void (req as unknown as EventEmitter).on('update', (_update: unknown, res: Srf.SrfResponse) => handler(res));

async function attached(): Promise<VirtualEngine> {
  const engine = new VirtualEngine();
  await engine.attach();
  return engine;
}

describe('answers that the engine makes up', () => {
  it('408 after 32 s for a peer that is silent, to INVITE and to others', async () => {
    const engine = await attached();
    const statuses: unknown[] = [];
    const sent = await wide(engine).request(`sip:peer@${PEER}`, { method: 'OPTIONS' });
    sent.on('response', (res) => statuses.push(res.status));
    engine.srf
      .createUAC(`sip:peer@${PEER}`, { localSdp: SDP })
      .catch((error: { status: number }) => statuses.push(error.status));
    await engine.settle();
    await engine.advance(31_900);
    assert.deepEqual(statuses, []);
    await engine.advance(200);
    assert.deepEqual(statuses, [408, 408]);
    await engine.advance(40_000);
    assert.equal(engine.core.layer.size, 0);
    assert.equal(engine.core.legs.size, 0);
  });

  it('503 at once where there is no way', async () => {
    const engine = await attached();
    const call = engine.srf.createUAC(`sip:peer@${PEER};transport=tcp`, { localSdp: SDP });
    await assert.rejects(call, (error: { status: number }) => error.status === 503);
  });

  it('504 for an application that has forgotten a request, 503 to the request of one that is gone', async () => {
    const engine = new VirtualEngine();
    wide(engine).options(nothing);
    engine.srf.invite(nothing);
    await engine.attach();
    await engine.hear(heard('OPTIONS'));
    await engine.hear(heard('INVITE'));
    await engine.advance(29_000);
    assert.deepEqual(engine.said(), ['100 INVITE']);
    await engine.advance(2000);
    assert.deepEqual(engine.said().slice(0, 2), ['504 OPTIONS', '504 INVITE']);
  });
});

describe('calls, early and late', () => {
  it('a 200 without ACK is repeated, and after 32 s the call ends with a BYE that the application learns of', async () => {
    const engine = new VirtualEngine();
    const ends: { get(name: string): string }[] = [];
    engine.srf.invite((req, res) => {
      void engine.srf
        .createUAS(req, res, { localSdp: SDP })
        .then((dialog) => dialog.on('destroy', (message: unknown) => ends.push(message as (typeof ends)[number])));
    });
    await engine.attach();
    await engine.hear(heard('INVITE'));
    await engine.advance(31_900);
    assert.equal(engine.said().filter((text) => text === '200 INVITE').length, 11, 'T1 doubling up to T2 (§13.3.1.4)');
    assert.equal(ends.length, 0);
    await engine.advance(200);
    assert.match(engine.last('BYE').get('reason') ?? '', /ACK timeout/);
    assert.match(ends[0]?.get('reason') ?? '', /ACK timeout/);
    await engine.hear(answered(engine.last('BYE'), 200));
    await engine.advance(70_000);
    assert.deepEqual([engine.core.layer.size, engine.core.legs.size, engine.core.layer.timers.size], [0, 0, 0]);
  });

  it('an UPDATE before the answer belongs to the INVITE; a second one at a time gets 500 (RFC 3311 §5.2)', async () => {
    const engine = new VirtualEngine();
    const updates: Srf.SrfResponse[] = [];
    const held: { res?: Srf.SrfResponse; req?: Srf.SrfRequest } = {};
    engine.srf.invite((req, res) => {
      Object.assign(held, { req, res });
      onUpdate(req, (response) => updates.push(response));
      res.send(183);
    });
    await engine.attach();
    const invite = heard('INVITE', { Supported: '100rel' });
    await engine.hear(invite);
    const early = engine.last(183);
    await engine.hear(heardInside('UPDATE', invite, early, 2, {}, SDP));
    assert.equal(updates.length, 1);
    await engine.hear(heardInside('UPDATE', invite, early, 3, {}, SDP));
    assert.match(engine.last(500).get('retry-after') ?? '', /^\d+$/);
    updates[0]?.send(200, { body: SDP });
    await engine.settle();
    assert.equal(engine.last(200).get('cseq'), '2 UPDATE');
    await engine.hear(heardInside('UPDATE', invite, early, 4, {}, SDP));
    updates[1]?.send(200, { body: SDP });
    await engine.settle();
    assert.equal(engine.last(200).get('cseq'), '4 UPDATE');
    held.res?.send(200, { body: SDP });
    await engine.settle();
    assert.equal(engine.last(200).get('cseq'), '1 INVITE');
    assert.equal(tagOf(engine.last(200).get('to')), tagOf(early.get('to')));
  });

  it('an UPDATE of the callee while it rings reaches the application that calls', async () => {
    const engine = await attached();
    let updated = 0;
    const call = engine.srf.createUAC(`sip:peer@${PEER}`, { localSdp: SDP }, {
      cbRequest: (_error: unknown, req: Srf.SrfRequest) =>
        onUpdate(req, (res) => {
          updated++;
          res.send(200, { body: SDP });
        }),
    } as never);
    await engine.settle();
    const invite = engine.last('INVITE');
    const ringing = answered(invite, 183);
    await engine.hear(ringing);
    const update = heard(
      'UPDATE',
      { From: ringing.get('to') ?? '', To: ringing.get('from') ?? '', 'Call-ID': invite.get('call-id') ?? '' },
      SDP,
    );
    await engine.hear(update);
    assert.equal(updated, 1);
    assert.equal(engine.last(200).get('cseq'), '1 UPDATE');
    await engine.hear(answered(invite, 200, {}, SDP));
    await call;
  });

  it('a reliable 183 is repeated until its PRACK; one for another is refused; without any the INVITE gets 504', async () => {
    const engine = new VirtualEngine();
    engine.srf.invite((_req, res) => void res.send(183, { headers: { Require: '100rel' } }));
    await engine.attach();
    const invite = heard('INVITE', { Supported: '100rel' });
    await engine.hear(invite);
    const early = engine.last(183);
    await engine.advance(1600);
    assert.deepEqual(engine.said(), ['100 INVITE', '183 INVITE', '183 INVITE', '183 INVITE']);
    const rseq = early.get('rseq') ?? '';
    await engine.hear(heardInside('PRACK', invite, early, 2, { RAck: `${Number(rseq) + 1} 1 INVITE` }));
    assert.equal(engine.last(481).get('cseq'), '2 PRACK');
    await engine.hear(heardInside('PRACK', invite, early, 3, { RAck: `${rseq} 1 INVITE` }));
    assert.equal(engine.last(200).get('cseq'), '3 PRACK');
    engine.said();
    await engine.advance(20_000);
    assert.deepEqual(engine.said(), []);
    const silent = heard('INVITE', { Supported: '100rel' });
    await engine.hear(silent);
    await engine.advance(32_500);
    assert.equal(engine.last(504).get('call-id'), silent.get('call-id'));
  });
});

describe('subscriptions', () => {
  it('of a peer: 202, NOTIFYs of the application, and the end with `terminated`', async () => {
    const engine = new VirtualEngine();
    const dialogs: Srf.Dialog[] = [];
    wide(engine).subscribe((req, res) => {
      void engine.srf
        .createUAS(req, res, { headers: { Expires: '60' } } as never)
        .then((dialog) => dialogs.push(dialog));
    });
    await engine.attach();
    const subscribe = heard('SUBSCRIBE', { Event: 'presence', Expires: '60' });
    await engine.hear(subscribe);
    const accepted = engine.last(202);
    assert.match(accepted.get('contact') ?? '', /^<sip:192.0.2.1:5060>$/);
    const notify = (state: string) =>
      dialogs[0]?.request({ method: 'NOTIFY', headers: { Event: 'presence', 'Subscription-State': state } } as never);
    void notify('active;expires=60');
    await engine.settle();
    const first = engine.last('NOTIFY');
    assert.equal(first.uri, `sip:peer@${PEER}`);
    assert.equal(first.get('event'), 'presence');
    await engine.hear(answered(first, 200));
    await engine.hear(heardInside('SUBSCRIBE', subscribe, accepted, 2, { Event: 'presence', Expires: '0' }));
    assert.equal(engine.core.legs.size, 1, 'a refresh stays in its dialog');
    void notify('terminated;reason=timeout');
    await engine.settle();
    await engine.hear(answered(engine.last('NOTIFY'), 200));
    assert.equal(engine.core.legs.size, 0);
  });

  it('of the application: a NOTIFY that is quicker than the 202 waits for it; `terminated` ends it', async () => {
    const engine = await attached();
    const subscribing = engine.srf.createUAC(`sip:peer@${PEER}`, {
      method: 'SUBSCRIBE',
      headers: { Event: 'presence', Expires: '60' },
    } as never);
    await engine.settle();
    const subscribe = engine.last('SUBSCRIBE');
    const accepted = answered(subscribe, 202, { Expires: '60' });
    const notify = (state: string, cseq: number) =>
      heard('NOTIFY', {
        From: accepted.get('to') ?? '',
        To: accepted.get('from') ?? '',
        'Call-ID': subscribe.get('call-id') ?? '',
        CSeq: `${cseq} NOTIFY`,
        Event: 'presence',
        'Subscription-State': state,
      });
    const states: string[] = [];
    void subscribing.then((dialog) =>
      dialog.on('notify', (req: Srf.SrfRequest, res: Srf.SrfResponse) => {
        states.push(req.get('Subscription-State'));
        res.send(200);
      }),
    );
    await engine.hear(notify('pending', 1));
    assert.deepEqual(engine.said(), ['SUBSCRIBE']);
    await engine.hear(accepted);
    await subscribing;
    await engine.advance(100);
    await engine.hear(notify('active', 2));
    await engine.hear(notify('terminated', 3));
    assert.deepEqual(states, ['pending', 'active', 'terminated']);
    assert.deepEqual(engine.said(), ['200 NOTIFY', '200 NOTIFY', '200 NOTIFY']);
    assert.equal(engine.core.legs.size, 0);
    const refused = assert.rejects(
      engine.srf.createUAC(`sip:peer@${PEER}`, { method: 'SUBSCRIBE', headers: { Event: 'x' } } as never),
    );
    await engine.settle();
    const second = engine.last('SUBSCRIBE');
    const early = notify('pending', 1);
    early.set('To', second.get('from') ?? '');
    early.set('Call-ID', second.get('call-id') ?? '');
    await engine.hear(early);
    await engine.hear(answered(second, 489));
    await refused;
    await engine.advance(100);
    assert.equal(engine.last(481).get('cseq'), '1 NOTIFY');
  });
});
