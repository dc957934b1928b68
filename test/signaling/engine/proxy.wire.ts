// budget: 25 s, beside others
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { after, afterEach, before, describe, it } from 'mocha';
import type Srf from 'drachtio-srf';
import { encodeFrame, FrameReader } from '../../../signaling/engine/control/mod.ts';
import { SECRET, TestEngine } from '../../support/engine-app.ts';
import { SipPeer } from '../../support/sip-peer.ts';
import { until } from '../../support/until.ts';

interface Results {
  readonly connected: boolean;
  readonly responses: readonly { readonly port: number; readonly msgs: readonly { readonly status: number }[] }[];
}
type ProxyOptions = Srf.ProxyRequestOptions & { readonly finalTimeout?: string; readonly headers?: object };

const OFFER = 'v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n';

/** An application by hand, which has OPTIONS proxied and does not ask for the answers. */
class RawProxy implements AsyncDisposable {
  asked = 0;
  readonly #socket: Socket;

  constructor(at: { readonly host: string; readonly port: number }, destination: string, told: string[]) {
    const reader = new FrameReader();
    this.#socket = connect(at.port, at.host);
    const say = (payload: string) => this.#socket.write(encodeFrame(payload));
    this.#socket.on('error', () => undefined);
    this.#socket.on('data', (chunk) => {
      for (const payload of reader.push(chunk).payloads) {
        const fields = (payload.split('\r\n')[0] ?? '').split('|');
        if (fields[1] === 'response' && fields[2] === 'p') told.push(fields.slice(3).join('|'));
        if (fields[1] !== 'sip') continue;
        this.asked++;
        say(`p|proxy|${fields[8]}||||serial|||${destination}\r\nOPTIONS ${destination} SIP/2.0\r\n\r\n`);
      }
    });
    say(`a|authenticate|${SECRET}|`);
    say('r|route|options');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await once(this.#socket.destroy(), 'close');
  }
}

describe('proxying for an application', function () {
  this.timeout(20_000);
  let world: TestEngine;
  let srf: Srf;
  /** What the next requests are proxied to, and what came of it. */
  let targets: string[];
  let options: ProxyOptions;
  let results: (Results | string)[];
  const peers: SipPeer[] = [];

  before(async () => {
    world = await TestEngine.open();
    const proxy = (req: Srf.SrfRequest) => {
      const run = (srf as unknown as { proxyRequest(...args: unknown[]): Promise<Results> }).proxyRequest(
        req,
        targets,
        {
          ...options,
        },
      );
      run.then(
        (result) => results.push(result),
        (error: unknown) => results.push(String(error)),
      );
    };
    srf = await world.app({ invite: proxy, register: proxy, options: proxy });
  });
  after(() => world[Symbol.asyncDispose]());
  afterEach(async () => {
    for (const open of peers.splice(0)) await open[Symbol.asyncDispose]();
    assert.deepEqual(world.errors, []);
  });

  async function peer(protocol: 'udp' | 'tcp' = 'udp'): Promise<SipPeer> {
    const made = await SipPeer[protocol](world.at(protocol));
    peers.push(made);
    return made;
  }

  function proxyTo(list: readonly string[], how: ProxyOptions = {}): void {
    targets = [...list];
    options = how;
    results = [];
  }

  const self = (user: string, protocol: 'udp' | 'tcp' = 'udp') =>
    `sip:${user}@${world.at(protocol)}${protocol === 'tcp' ? ';transport=tcp' : ''}`;
  const result = () => until('the application is told the end', () => results[0], 5000, 10);
  const statuses = (told: Results | string) =>
    typeof told === 'string' ? told : told.responses.flatMap(({ msgs }) => msgs.map(({ status }) => status));

  it('one target after another: the failure stays here, the 200 goes back, and the call goes on through us', async () => {
    const [caller, busy, free] = [await peer(), await peer(), await peer()];
    proxyTo([busy.uri('busy'), free.uri('free')], { remainInDialog: true, headers: { 'X-Added': 'yes' } });
    const invite = caller.request('INVITE', self('bob'), { body: OFFER });
    const first = await busy.next('INVITE');
    assert.equal(first.uri, busy.uri('busy'));
    assert.equal(first.get('max-forwards'), '69');
    assert.equal(first.get('x-added'), 'yes');
    assert.equal(first.getAll('via').length, 2);
    busy.reply(first, 486);
    await busy.next('ACK');
    const second = await free.next('INVITE');
    assert.equal(Buffer.from(second.body).toString(), OFFER);
    free.reply(second, 180);
    const ringing = await caller.next('INVITE', 180);
    assert.equal(ringing.getAll('via').length, 1);
    free.reply(second, 200, { body: OFFER });
    const ok = await caller.next('INVITE', 200);
    assert.match(ok.get('record-route') ?? '', new RegExp(`^<sip:cw-[^@]+@${world.at('udp')};lr>$`));
    caller.inside('ACK', invite, ok, 1);
    const ack = await free.next('ACK');
    assert.equal(ack.uri, free.uri('peer'));
    assert.equal(ack.get('route'), undefined);
    caller.inside('BYE', invite, ok, 2);
    free.reply(await free.next('BYE'), 200);
    await caller.next('BYE', 200);
    const told = await result();
    assert.deepEqual(statuses(told), [486, 200]);
    assert.equal((told as Results).connected, true);
    assert.equal((told as Results).responses[0]?.port, busy.port);
    assert.ok(!caller.received.some(({ status }) => status === 486));
  });

  it('all at once: the first 2xx wins, the others are cancelled, their 487 is acknowledged', async () => {
    const [caller, slow, quick] = [await peer(), await peer(), await peer()];
    proxyTo([slow.uri('slow'), quick.uri('quick')], { forking: 'simultaneous' } as ProxyOptions);
    caller.request('INVITE', self('bob'), { headers: { 'Max-Breadth': '7' } });
    const [atSlow, atQuick] = [await slow.next('INVITE'), await quick.next('INVITE')];
    assert.equal(Number(atSlow.get('max-breadth')) + Number(atQuick.get('max-breadth')), 7);
    slow.reply(atSlow, 180);
    quick.reply(atQuick, 200);
    await caller.next('INVITE', 200);
    const cancel = await slow.next('CANCEL');
    slow.reply(cancel, 200);
    slow.reply(atSlow, 487);
    await slow.next('ACK');
    assert.deepEqual(statuses(await result()), [200]);
  });

  it('the CANCEL of the caller reaches the target with its Reason, and the 487 of the target the caller', async () => {
    const [caller, target] = [await peer(), await peer()];
    proxyTo([target.uri('a'), target.uri('b')]);
    const invite = caller.request('INVITE', self('bob'));
    const forwarded = await target.next('INVITE');
    target.reply(forwarded, 180);
    await caller.next('INVITE', 180);
    caller.along('CANCEL', invite, invite, { Reason: 'SIP;cause=200;text="elsewhere"' });
    await caller.next('CANCEL', 200);
    const cancel = await target.next('CANCEL');
    assert.equal(cancel.get('reason'), 'SIP;cause=200;text="elsewhere"');
    target.reply(cancel, 200);
    target.reply(forwarded, 487);
    const over = await caller.next('INVITE', 487);
    caller.along('ACK', invite, over);
    assert.deepEqual(statuses(await result()), [487], 'the second target was never asked');
  });

  it('redirects are followed when that is wanted, and passed back when not', async () => {
    const [caller, old, current] = [await peer(), await peer(), await peer()];
    proxyTo([old.uri('old')], { followRedirects: true });
    const contact = { headers: { Contact: `<${current.uri('new')}>` } };
    caller.request('INVITE', 'sip:bob@elsewhere.invalid', {
      headers: { Route: `<sip:${world.at('udp')};lr>` },
    });
    const first = await old.next('INVITE');
    assert.equal(first.uri, 'sip:bob@elsewhere.invalid', 'only an R-URI of our own is replaced by a target');
    assert.equal(first.get('route'), undefined);
    old.reply(first, 302, contact);
    const moved = await current.next('INVITE');
    assert.equal(moved.uri, current.uri('new'));
    current.reply(moved, 200);
    await caller.next('INVITE', 200);
    assert.deepEqual(statuses(await result()), [302, 200]);
    proxyTo([old.uri('old')]);
    caller.request('INVITE', self('bob'));
    old.reply(await old.next('INVITE'), 302, contact);
    assert.equal((await caller.next('INVITE', 302)).get('contact'), `<${current.uri('new')}>`);
  });

  it('a target that is silent is left behind, one that refuses connections at once', async () => {
    const [caller, silent, free] = [await peer(), await peer(), await peer()];
    proxyTo([silent.uri('silent'), 'sip:nobody@127.0.0.1:9;transport=tcp', free.uri('free')], {
      provisionalTimeout: '200ms',
    });
    caller.request('INVITE', self('bob'));
    await silent.next('INVITE');
    free.reply(await free.next('INVITE'), 200);
    await caller.next('INVITE', 200);
    assert.deepEqual(statuses(await result()), [503, 200]);
    proxyTo([silent.uri('silent')], { finalTimeout: '200ms' });
    const options200 = caller.request('OPTIONS', self('bob'));
    assert.equal((await caller.next('OPTIONS', 504)).get('call-id'), options200.get('call-id'));
  });

  it('refuses what has no hop left, and what has been here before', async () => {
    const [caller, target] = [await peer(), await peer()];
    proxyTo([target.uri('a')]);
    // No application sees it.
    caller.request('OPTIONS', self('bob'), { headers: { 'Max-Forwards': '0' } });
    await caller.next('OPTIONS', 483);
    proxyTo([self('bob')]);
    caller.request('OPTIONS', 'sip:bob@loop.invalid');
    await caller.next('OPTIONS', 482);
    proxyTo([target.uri('a'), target.uri('b')], { forking: 'simultaneous' } as ProxyOptions);
    caller.request('INVITE', self('bob'), { headers: { 'Max-Breadth': '1' } });
    await caller.next('INVITE', 440);
    assert.equal(target.received.length, 0);
  });

  it('who does not want every answer is told once: when the request has left, or that it could not', async () => {
    const [caller, target] = [await peer(), await peer()];
    for (const [destination, status] of [
      [target.uri('a'), 200],
      ['sip:a@127.0.0.1:9;transport=tcp', 500],
    ] as const) {
      const told: string[] = [];
      await using raw = new RawProxy(world.control, destination, told);
      await until('it serves', () => world.engine.stats().apps === 2, 5000, 5);
      // Two applications take turns.
      proxyTo([destination]);
      for (let turn = 0; turn < 2; turn++) {
        const options2 = caller.request('OPTIONS', self('bob'));
        if (status === 200) target.reply(await target.next('OPTIONS'), 200);
        assert.equal((await caller.next('OPTIONS', status)).get('call-id'), options2.get('call-id'));
      }
      await until('it is told', () => told.length === 1, 5000, 5);
      assert.deepEqual(told, ['OK|done']);
      assert.equal(raw.asked, 1);
    }
    await until('it is gone', () => world.engine.stats().apps === 1, 5000, 5);
  });

  it('a stranger cannot send through us by a Route that we did not write', async () => {
    const [stranger, victim] = [await peer(), await peer()];
    proxyTo([]);
    for (const user of ['', 'cw-00000000000000000000@']) {
      const headers = { Route: `<sip:${user}${world.at('udp')};lr>`, To: '<sip:v@127.0.0.1>;tag=1' };
      stranger.request('MESSAGE', victim.uri('victim'), { headers });
      await stranger.next('MESSAGE', 481);
    }
    assert.equal(victim.received.length, 0);
  });

  it('a phone on a connection is reached by it for the whole call, whatever its Contact says', async () => {
    const [phone, callee] = [await peer('tcp'), await peer()];
    proxyTo([callee.uri('callee')], { remainInDialog: true });
    const invite = phone.request('INVITE', self('bob', 'tcp'), { headers: { Contact: '<sip:x@nowhere.invalid>' } });
    const forwarded = await callee.next('INVITE');
    assert.equal(forwarded.getAll('record-route').length, 2, 'one for each side (RFC 5658)');
    const answer = callee.reply(forwarded, 200);
    const ok = await phone.next('INVITE', 200);
    phone.inside('ACK', invite, ok, 1);
    await callee.next('ACK');
    // The callee hangs up: from its side the tags and the routes stand the other way round.
    const bye = callee.request('BYE', 'sip:x@nowhere.invalid', {
      headers: {
        From: answer.get('to') ?? '',
        To: answer.get('from') ?? '',
        'Call-ID': answer.get('call-id') ?? '',
        Route: answer.getAll('record-route').join(', '),
      },
    });
    const arrived = await phone.next('BYE');
    assert.equal(arrived.get('call-id'), bye.get('call-id'));
    phone.reply(arrived, 200);
    await callee.next('BYE', 200);
  });

  it('REGISTER gets a Path, and the application need not live to the end', async () => {
    const [phone, registrar] = [await peer(), await peer()];
    proxyTo([registrar.uri('registrar')], { path: true } as ProxyOptions);
    phone.request('REGISTER', `sip:${world.at('udp')}`);
    const register = await registrar.next('REGISTER');
    assert.equal(register.get('path'), `<sip:${world.at('udp')};lr>`);
    assert.equal(register.get('require'), 'path');
    world.leave(srf);
    await until('the application is gone', () => world.engine.stats().apps === 0, 5000, 10);
    registrar.reply(register, 200);
    await phone.next('REGISTER', 200);
  });
});
