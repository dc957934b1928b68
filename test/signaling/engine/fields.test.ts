import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import {
  formatReason,
  formatReferTo,
  formatReplaces,
  formatRoutes,
  formatSessionExpires,
  gruuOf,
  gruusOf,
  hidesIdentity,
  Message,
  optionTags,
  outboundOf,
  parseAssertedIdentity,
  parseContacts,
  parseEvent,
  parseMinSe,
  parseNameAddr,
  parsePrivacy,
  parseRAck,
  parseReasons,
  parseReferTo,
  parseReplaces,
  parseRoutes,
  parseRSeq,
  parseSeconds,
  parseSessionExpires,
  parseSubscriptionState,
  parseUri,
  publicGruu,
  pushOf,
  refusalOf,
  requires,
  routeFor,
  supports,
  unsupportedOf,
  withoutPush,
  formatUri,
  type SipUri,
} from '../../../signaling/engine/message/mod.ts';

const uri = (text: string) => parseUri(text) as SipUri;

describe('headers of extensions', () => {
  it('session timers (RFC 4028)', () => {
    assert.deepEqual(parseSessionExpires('1800;refresher=UAS'), { seconds: 1800, refresher: 'uas' });
    assert.deepEqual(parseSessionExpires(' 90 ; x=y'), { seconds: 90, refresher: undefined });
    for (const text of ['', 'soon', '-1', '99999999999', ';refresher=uac'])
      assert.equal(parseSessionExpires(text), undefined);
    assert.equal(formatSessionExpires({ seconds: 120, refresher: 'uac' }), '120;refresher=uac');
    assert.deepEqual([parseMinSe(undefined), parseMinSe('240;x'), parseMinSe('x')], [90, 240, undefined]);
  });

  it('routes, Path and Service-Route (RFC 3261 §20.34, RFC 3327, RFC 3608)', () => {
    const routes = parseRoutes([
      '<sip:token@192.0.2.1;lr;ob>;x=1, <sip:[2001:db8::1]:5080>',
      '"p" <sips:p.example.test;lr>',
    ]);
    assert.deepEqual(
      routes?.map(({ parsed, loose, params }) => [parsed.user, parsed.host, loose, params.get('x')]),
      [
        ['token', '192.0.2.1', true, '1'],
        [undefined, '[2001:db8::1]', false, undefined],
        [undefined, 'p.example.test', true, undefined],
      ],
    );
    assert.deepEqual(formatRoutes(routes ?? []).slice(0, 2), [
      '<sip:token@192.0.2.1;lr;ob>;x=1',
      '<sip:[2001:db8::1]:5080>',
    ]);
    assert.equal(parseRoutes(['<tel:+1>']), undefined);
    assert.equal(parseRoutes(['nonsense']), undefined);
    assert.equal(
      routeFor(uri('sip:192.0.2.1:5060;transport=tcp'), 'flow token'),
      '<sip:flow%20token@192.0.2.1:5060;transport=tcp;lr>',
    );
  });

  it('asserted identity and privacy (RFC 3325, RFC 3323)', () => {
    const both = parseAssertedIdentity(['"Alice" <sip:alice@example.test>, <tel:+15550100>']);
    assert.deepEqual([both?.sip?.uri, both?.tel?.uri], ['sip:alice@example.test', 'tel:+15550100']);
    for (const bad of [[], ['<sip:a@b>, <sip:c@d>'], ['<http://x>'], ['<sip:a@b>', '<tel:1>', '<sip:c@d>']])
      assert.equal(parseAssertedIdentity(bad), undefined);
    assert.deepEqual([...parsePrivacy(['ID; critical', 'user'])], ['id', 'critical', 'user']);
    assert.deepEqual(
      [['id'], ['none'], ['id;none'], [''], ['session']].map((values) => hidesIdentity(parsePrivacy(values))),
      [true, false, false, false, false],
    );
  });

  it('reasons (RFC 3326)', () => {
    const reasons = parseReasons(['Q.850;cause=16;text="Terminated, as \\"asked\\"", SIP ;cause=600', '??? ;cause=1']);
    assert.deepEqual(reasons, [
      { protocol: 'Q.850', cause: 16, text: 'Terminated, as "asked"' },
      { protocol: 'SIP', cause: 600, text: undefined },
    ]);
    assert.deepEqual(parseReasons(reasons.map(formatReason)), reasons);
  });

  it('transfers (RFC 3515, RFC 3891)', () => {
    const replaces = { callId: 'a@b', toTag: 't 1', fromTag: 'f', earlyOnly: true };
    assert.deepEqual(parseReplaces('98732@host;from-tag=r33;to-tag=11'), {
      callId: '98732@host',
      toTag: '11',
      fromTag: 'r33',
      earlyOnly: false,
    });
    for (const bad of ['', 'a@b', 'a@b;to-tag=1', ';to-tag=1;from-tag=2', 'a,b;to-tag=1;from-tag=2'])
      assert.equal(parseReplaces(bad), undefined);
    assert.deepEqual(parseReplaces(formatReplaces({ ...replaces, toTag: 't' })), { ...replaces, toTag: 't' });
    const attended = formatReferTo('sip:bob@example.test;gr=1', { ...replaces, toTag: 't' });
    assert.equal(attended, '<sip:bob@example.test;gr=1?Replaces=a%40b%3Bto-tag%3Dt%3Bfrom-tag%3Df%3Bearly-only>');
    const read = parseReferTo(attended);
    assert.deepEqual(
      [read?.uri, read?.method, read?.replaces],
      ['sip:bob@example.test;gr=1', 'INVITE', { ...replaces, toTag: 't' }],
    );
    const plain = parseReferTo('"Bob" <sip:bob@example.test;method=BYE;x=y?Subject=a%20b&=x&Y=%0d%0aVia:z>');
    assert.deepEqual(
      [plain?.uri, plain?.method, [...(plain?.headers ?? [])]],
      ['sip:bob@example.test;x=y', 'BYE', [['subject', 'a b']]],
    );
    assert.equal(parseReferTo('<sip:bob@example.test?Replaces=nonsense>'), undefined);
    assert.equal(parseReferTo('bob'), undefined);
  });

  it('option tags', () => {
    const message = Message.request('INVITE', 'sip:a@b', [
      { name: 'k', value: 'Timer, path' },
      { name: 'Supported', value: ',gruu,' },
      { name: 'Require', value: '100rel, x-unheard' },
    ]);
    assert.deepEqual([...optionTags(message, 'supported')], ['timer', 'path', 'gruu']);
    assert.deepEqual([supports(message, '100rel'), requires(message, 'path')], [true, false]);
    assert.deepEqual(unsupportedOf(message, 'require', new Set(['100rel'])), ['x-unheard']);
    assert.deepEqual(refusalOf(message)?.headers, [{ name: 'Unsupported', value: 'x-unheard' }]);
  });

  it('events (RFC 6665)', () => {
    assert.deepEqual(
      [parseEvent('Presence.winfo;id=7')?.name, parseEvent('dialog; id=7')?.id],
      ['presence.winfo', '7'],
    );
    for (const bad of ['', ';id=1', 'a..b', 'a b']) assert.equal(parseEvent(bad), undefined);
    assert.deepEqual(parseSubscriptionState('Terminated;reason=Timeout;retry-after=5;expires=x'), {
      state: 'terminated',
      expiresSeconds: undefined,
      reason: 'timeout',
      retryAfterSeconds: 5,
    });
  });

  it('reliable provisional answers (RFC 3262)', () => {
    assert.deepEqual(parseRAck('776656 1  INVITE'), { rseq: 776_656, cseq: 1, method: 'INVITE' });
    for (const bad of ['', '1 1', '0 1 INVITE', '1 4294967296 INVITE', '4294967296 1 INVITE', '1 INVITE'])
      assert.equal(parseRAck(bad), undefined);
    assert.deepEqual(
      [parseRSeq('1'), parseRSeq('4294967295'), parseRSeq('0'), parseRSeq('x')],
      [1, 4_294_967_295, undefined, undefined],
    );
  });

  it('outbound (RFC 5626)', () => {
    const contact = (text: string) => outboundOf(parseNameAddr(text) as { uri: string; params: Map<string, string> });
    assert.deepEqual(contact('<sip:a@192.0.2.1;ob>;reg-id=2;+sip.instance="<URN:uuid:AB>"'), {
      instance: 'urn:uuid:ab',
      regId: 2,
      ob: true,
    });
    assert.deepEqual(contact('<sip:a@192.0.2.1>;reg-id=1'), { instance: undefined, regId: undefined, ob: false });
    assert.equal(contact('<sip:a@b>;+sip.instance="<urn:uuid:1>";reg-id=0').regId, undefined);
    assert.equal(contact('<sip:a@b>;+sip.instance="urn:uuid:1"').instance, undefined);
  });

  it('GRUU (RFC 5627)', () => {
    const text = publicGruu(uri('sip:alice@example.test:5060;transport=tcp'), 'urn:uuid:f81d;x');
    assert.equal(text, 'sip:alice@example.test;gr=urn:uuid:f81d%3Bx');
    assert.deepEqual(gruuOf(uri(text)), { type: 'public', instance: 'urn:uuid:f81d;x' });
    assert.deepEqual(gruuOf(uri('sip:tgruu.7hs@example.test;gr')), { type: 'temporary' });
    assert.equal(gruuOf(uri('sip:alice@example.test')), undefined);
    const contacts = parseContacts(['<sip:a@192.0.2.1>;pub-gruu="sip:a@x;gr=urn:1";temp-gruu="sip:t@x;gr"']);
    assert.ok(contacts?.type === 'list');
    assert.deepEqual(gruusOf(contacts.contacts[0]?.params ?? new Map()), {
      publicGruu: 'sip:a@x;gr=urn:1',
      temporaryGruu: 'sip:t@x;gr',
    });
  });

  it('push (RFC 8599)', () => {
    const phone = uri('sip:a@192.0.2.1;pn-provider=FCM;pn-prid=tok%3Aen;pn-param=app;x=1');
    assert.deepEqual(pushOf(phone), { provider: 'fcm', prid: 'tok:en', param: 'app', purr: undefined });
    assert.equal(formatUri(withoutPush(phone)), 'sip:a@192.0.2.1;pn-provider=FCM;x=1');
    for (const bad of [
      'sip:a@b',
      'sip:a@b;pn-provider=fcm',
      'sip:a@b;pn-prid=1',
      `sip:a@b;pn-provider=x;pn-prid=${'y'.repeat(3000)}`,
    ])
      assert.equal(pushOf(uri(bad)), undefined);
    assert.equal(pushOf(uri('sip:a@b;pn-provider=x;pn-prid=%0d%0a')), undefined);
  });

  it('seconds', () => {
    assert.deepEqual(['0', '4294967295', '4294967296', '', 'x', '1.5'].map(parseSeconds), [
      0,
      4_294_967_295,
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
  });
});

describe('what a server refuses', () => {
  const request = (method: string, target: string, ...headers: [string, string][]) =>
    Message.request(method, target, [
      { name: 'To', value: '<sip:b@x>' },
      ...headers.map(([name, value]) => ({ name, value })),
    ]);

  it('unknown methods, foreign schemes, no hops left, extensions that nobody knows', () => {
    const status = (...args: Parameters<typeof request>) => refusalOf(request(...args))?.status;
    assert.equal(status('BREW', 'sip:a@b'), 501);
    assert.equal(status('INVITE', 'http://a'), 416);
    assert.deepEqual(
      ['sips:a@b', 'tel:+1', 'urn:service:sos'].map((target) => status('INVITE', target)),
      [undefined, undefined, undefined],
    );
    assert.equal(status('INVITE', 'sip:a@b', ['Max-Forwards', '0']), 483);
    assert.equal(status('INVITE', 'sip:a@b', ['Max-Forwards', '0'], ['Require', 'x']), 483);
    assert.equal(status('INVITE', 'sip:a@b', ['Proxy-Require', 'x']), 420);
    assert.equal(status('INVITE', 'sip:a@b', ['Require', '100rel, Replaces']), undefined);
    const inside = request('INVITE', 'sip:a@b', ['Max-Forwards', '0']);
    inside.set('To', '<sip:b@x>;tag=1');
    assert.equal(refusalOf(inside), undefined);
  });
});
