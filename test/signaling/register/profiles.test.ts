import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { provisional } from '../../../signaling/invite/provisional.ts';
import { Message } from '../../../signaling/engine/message/mod.ts';
import { Admission, FIRST_CSEQ, profileOf, Storm } from '../../../signaling/register/mod.ts';
import { PROFILES } from '../../../signaling/register/profiles.ts';
import { ALICE, answer, Desk, listed, NOW, SOURCE } from './desk.ts';
import { BlockList } from 'node:net';

const AGENTS = {
  jssip: 'JsSIP 3.13.8',
  sipjs: 'SIP.js/0.21.1',
  'ringcentral-web-phone': 'ringcentral-web-phone-2',
  'ringcentral-softphone': 'ringcentral-softphone-ts',
  baresip: 'baresip v1.0.0 (x86_64/linux)',
} as const;
const WEB_PHONE = '<sip:f3b@f3b.invalid;transport=wss>;+sip.instance="<urn:uuid:AUTHID>";expires=60';
const wss = { ...SOURCE, protocol: 'wss' };
const agent = (name: keyof typeof AGENTS) => ({ 'User-Agent': AGENTS[name] });

describe('softphone profiles', () => {
  for (const [name, userAgent] of Object.entries(AGENTS)) {
    it(`knows ${name} by its User-Agent`, () => {
      assert.equal(profileOf({ userAgent, contact: undefined, supported: undefined }).name, name);
    });
  }

  it('knows the RingCentral web phone by its REGISTER when it calls itself something else', () => {
    const looks = { userAgent: 'Acme 1.0', contact: WEB_PHONE, supported: undefined };
    assert.equal(profileOf(looks).name, 'ringcentral-web-phone');
    assert.equal(profileOf({ ...looks, supported: 'outbound' }).name, 'standard');
    assert.equal(profileOf({ ...looks, contact: WEB_PHONE.replace('wss', 'ws') }).name, 'standard');
    assert.equal(profileOf({ ...looks, contact: `${WEB_PHONE};reg-id=1` }).name, 'standard');
  });

  it('obeys the account above all', async () => {
    const desk = new Desk({ accounts: [{ ...ALICE, profile: 'baresip' }], guard: { algorithms: ['SHA-256', 'MD5'] } });
    const asked = desk.guard.challenge(desk.request({ headers: agent('jssip') }), SOURCE, NOW);
    assert.deepEqual(
      asked?.headers.map(({ value }) => /algorithm=([^,]+)/.exec(value)?.[1]),
      ['MD5'],
    );
    await desk.register({ contact: '<sip:a@192.0.2.7>', headers: agent('jssip') });
    assert.equal(desk.bindings.of('default', 'alice', NOW)[0]?.profile, 'baresip');
    const unknown = { userAgent: undefined, contact: undefined, supported: undefined, override: 'gone' };
    assert.equal(profileOf(unknown).name, 'standard');
  });

  it('has a name for each, once', () => {
    const names = PROFILES.map(({ name }) => name);
    assert.deepEqual([...new Set(names)], names);
  });
});

describe('softphone-facts: what breaks a real client', () => {
  it('1: a client that a 503 would strand is refused by the end of its connection, others by the 503', () => {
    const empty = new Storm(1, NOW);
    const limits = { perSource: { perSecond: 1e9, burst: 1e9 }, perAor: { perSecond: 1e9, burst: 1e9 } };
    const failures = { perSecond: 1, burst: 10 };
    const admission = new Admission({ ...limits, failures, exempt: new BlockList() }, empty);
    const desk = new Desk({ guard: { admission, random: () => 0.5 } });
    desk.guard.challenge(desk.request({}), SOURCE, NOW);
    for (const [name, source, close] of [
      ['jssip', wss, true],
      ['sipjs', wss, true],
      ['ringcentral-web-phone', wss, true],
      ['baresip', { ...SOURCE, protocol: 'tls' }, undefined],
      ['jssip', SOURCE, undefined],
    ] as const) {
      const refused = desk.guard.challenge(desk.request({ headers: agent(name) }), source, NOW);
      assert.deepEqual([refused?.status, refused?.close], [503, close], name);
      assert.match(refused?.headers[0]?.value ?? '', /^\d+$/);
    }
  });

  it('3: the web phone is challenged with 407 outside of REGISTER, the nonce not first, in one line of MD5', () => {
    const desk = new Desk();
    const headers = { ...agent('ringcentral-web-phone') };
    const asked = desk.guard.challenge(desk.request({ headers }, 'INVITE'), wss, NOW);
    assert.equal(asked?.status, 407);
    assert.equal(asked?.headers.length, 1);
    assert.match(asked?.headers[0]?.value ?? '', /^Digest realm="[^"]+", nonce="(.+?)"/);
    assert.equal(asked?.headers[0]?.name, 'Proxy-Authenticate');
  });

  it('3: digest without qop, with a quoted algorithm and a uri that is not the R-URI, is accepted', () => {
    const desk = new Desk();
    const request = desk.request({ uri: 'sip:1002@example.test' }, 'INVITE');
    const challenge = desk.guard.challenge(request, wss, NOW)?.headers.at(-1)?.value ?? '';
    const given = answer(challenge, request, {}, '').replace('algorithm=MD5', 'algorithm="MD5"');
    request.append('Proxy-Authorization', given);
    assert.equal(desk.guard.challenge(request, wss, NOW), undefined);
    const verdict = desk.guard.authenticate('INVITE', request.uri, request, NOW);
    assert.equal('type' in verdict && verdict.type, 'account');
  });

  it('3: the web phone gets exactly one 18x, whatever the phones say, and always one', () => {
    const none = { rang: false, early: false, alone: true };
    assert.equal(provisional('one', none, false), 'ring');
    assert.equal(provisional('one', { ...none, rang: true }, true), 'none');
    assert.equal(provisional('one', { ...none, rang: true }, false), 'none');
    assert.equal(provisional('one', none, true), 'early');
    // Others get early media after the ringing.
    assert.equal(provisional('any', { ...none, rang: true }, true), 'early');
    assert.equal(provisional('any', { ...none, rang: true }, false), 'none');
    assert.equal(provisional('any', { ...none, alone: false }, true), 'ring');
  });

  it('3: the CSeq of what we send is out of the range in which the web phone counts', () => {
    assert.ok(FIRST_CSEQ >= 1_000_000);
  });

  it('3: the 200 names the web phone’s own contact alone, with its own expiry', async () => {
    const desk = new Desk();
    await desk.register({ contact: '<sip:desk@192.0.2.8>;expires=64' });
    desk.now += 60_000;
    const reply = await desk.register({
      contact: WEB_PHONE,
      callId: 'c2',
      headers: agent('ringcentral-web-phone'),
      source: wss,
    });
    assert.deepEqual(listed(reply), { f3b: 60 });
    // A query, and a client that reads the list by its own contact, see all.
    assert.deepEqual(Object.keys(listed(await desk.register({}))).sort(), ['desk', 'f3b']);
  });

  it('3: another contact and Call-ID of the same instance, as after each load of the page, is the same binding', async () => {
    const desk = new Desk();
    for (const load of ['a1', 'b2', 'c3']) {
      const contact = WEB_PHONE.replaceAll('f3b', load);
      await desk.register({ contact, callId: load, cseq: 1, headers: agent('ringcentral-web-phone'), source: wss });
    }
    assert.deepEqual(
      desk.bindings.of('default', 'alice', NOW).map(({ contact }) => contact),
      ['sip:c3@c3.invalid;transport=wss'],
    );
  });

  it('3: the web phone is granted the minute that it asks for, and no more though it asked for more', async () => {
    const desk = new Desk();
    const headers = agent('ringcentral-web-phone');
    assert.deepEqual(listed(await desk.register({ contact: WEB_PHONE, headers, source: wss })), { f3b: 60 });
    const long = WEB_PHONE.replace('=60', '=3600');
    assert.deepEqual(listed(await desk.register({ contact: long, headers, source: wss })), { f3b: 60 });
  });

  it('4: Content-Length is the last header; the first answer to the softphone that is not 100 carries SDP', () => {
    const text = Message.response(200, undefined, [{ name: 'Contact', value: '<sip:a@b>' }]).toString();
    assert.ok(text.endsWith('\r\nContent-Length: 0\r\n\r\n'));
    const none = { rang: false, early: false, alone: true };
    assert.equal(
      profileOf({ userAgent: AGENTS['ringcentral-softphone'], contact: undefined, supported: undefined }).provisional,
      'with-sdp',
    );
    assert.equal(provisional('with-sdp', none, false), 'none');
    assert.equal(provisional('with-sdp', none, true), 'early');
  });

  it('6: browsers are offered SHA-256 first and MD5 last, never auth-int, whatever the configuration says', () => {
    for (const name of ['jssip', 'sipjs'] as const) {
      for (const algorithms of [['MD5'], ['MD5', 'SHA-256']] as const) {
        const desk = new Desk({ guard: { algorithms } });
        const lines = desk.guard.challenge(desk.request({ headers: agent(name) }), wss, NOW)?.headers ?? [];
        assert.deepEqual(
          lines.map(({ value }) => /algorithm=([^,]+)/.exec(value)?.[1]),
          ['SHA-256', 'MD5'],
        );
        assert.ok(lines.every(({ value }) => value.includes('qop="auth"')));
      }
    }
  });

  it('6: the order of the lines survives the way through the application, after a wrong password too', async () => {
    const desk = new Desk();
    const headers = agent('jssip');
    const reply = await desk.register({ contact: '<sip:x@x.invalid;transport=ws>', password: 'guess', headers });
    assert.equal(reply.status, 401);
    const lines = (reply.headers['WWW-Authenticate'] ?? '').split(/,\s*(?=Digest )/);
    assert.deepEqual(
      lines.map((line) => /algorithm=([^,]+)/.exec(line)?.[1]),
      ['SHA-256', 'MD5'],
    );
  });

  it('7: a browser finds its binding in the 200 by instance and reg-id, and by the user of its contact', async () => {
    const desk = new Desk();
    const contact = '<sip:k2m@k2m.invalid;transport=ws>;+sip.ice;reg-id=1;+sip.instance="<urn:uuid:8f2a>";expires=600';
    const headers = { ...agent('jssip'), Supported: 'path,gruu,outbound' };
    await desk.register({ contact: '<sip:desk@192.0.2.8>' });
    const reply = await desk.register({ contact, callId: 'c2', headers, source: wss });
    assert.match(
      reply.headers['Contact'] ?? '',
      /^<sip:k2m@k2m\.invalid;transport=ws>;expires=600;\+sip\.instance="<urn:uuid:8f2a>";reg-id=1;pub-gruu="[^"]+";temp-gruu="[^"]+", /,
    );
    // Its connection is kept open by WebSocket pings; a timer that it would not obey is not asked for.
    assert.equal(reply.headers['Flow-Timer'], undefined);
  });

  it('SIP.js replays its credentials at every refresh: stale=true and a new nonce, never 403 and never a limit', async () => {
    const storm = new Storm(1000, NOW);
    const rate = { perSecond: 1000, burst: 1000 };
    const strict = { perSource: rate, perAor: rate, failures: { perSecond: 0.001, burst: 1 }, exempt: new BlockList() };
    const desk = new Desk({ guard: { admission: new Admission(strict, storm) } });
    const contact = '<sip:s@s.invalid;transport=ws>';
    const request = desk.request({ contact, headers: agent('sipjs') });
    const challenge = desk.guard.challenge(request, wss, NOW)?.headers.at(-1)?.value ?? '';
    const credentials = answer(challenge, request);
    for (let turn = 0; turn < 6; turn++) {
      const refresh = desk.request({ contact, headers: { ...agent('sipjs'), Authorization: credentials } });
      assert.equal(desk.guard.challenge(refresh, wss, NOW + turn), undefined);
      const reply = await desk.send(refresh, wss);
      if (turn === 0) assert.equal(reply.status, 200);
      else {
        assert.equal(reply.status, 401);
        assert.match(reply.headers['WWW-Authenticate'] ?? '', /algorithm=MD5, qop="auth", stale=true$/);
      }
    }
  });
});
