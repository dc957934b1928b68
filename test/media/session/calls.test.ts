import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'mocha';
import { parse } from 'sdp-transform';
import { runCommand } from '../../../media/ng/mod.ts';
import { SessionManager } from '../../../media/session/mod.ts';
import { answerKeys, offerKeys } from '../../../signaling/media-ng/policy.ts';
import type { Bencode } from '../../../vocabulary/mod.ts';
import { PlaneDouble } from './plane-double.ts';

type Dictionary = Record<string, Bencode>;

const phone = (port: number, ...more: string[]) =>
  [
    'v=0',
    'o=- 1 1 IN IP4 192.0.2.7',
    's=-',
    'c=IN IP4 192.0.2.7',
    't=0 0',
    `m=audio ${port} RTP/AVP 0 101`,
    'a=rtpmap:0 PCMU/8000',
    'a=rtpmap:101 telephone-event/8000',
    ...more,
    '',
  ].join('\r\n');

const browser = (setup: string, address = '192.0.2.9') =>
  [
    'v=0',
    'o=- 7 2 IN IP4 127.0.0.1',
    's=-',
    't=0 0',
    'a=group:BUNDLE 0',
    'm=audio 9 UDP/TLS/RTP/SAVPF 111 110',
    `c=IN IP4 ${address}`,
    'a=ice-ufrag:Yk2q',
    'a=ice-pwd:8lQ2lTPk6cVNeN9Bv8XQnGzF',
    'a=fingerprint:sha-256 7B:8B',
    `a=setup:${setup}`,
    'a=mid:0',
    'a=sendrecv',
    'a=rtcp-mux',
    'a=rtpmap:111 opus/48000/2',
    'a=rtpmap:110 telephone-event/48000',
    '',
  ].join('\r\n');

const PLAIN = offerKeys('plain', 'plain');
const SECOND = 1000;

describe('a call on a media node', () => {
  let plane: PlaneDouble;
  let manager: SessionManager;
  let now: number;

  beforeEach(() => {
    plane = new PlaneDouble();
    const interfaces = ['default', 'inside'];
    manager = new SessionManager({ dataplane: plane, interfaces, maxSessions: 10, timeoutSeconds: 60 });
    now = 1_700_000_000_000;
  });

  const ng = (command: string, keys: Dictionary): Dictionary =>
    runCommand(manager, { command, 'call-id': 'c', ...keys }, now).reply as Dictionary;
  const done = (reply: Dictionary): string => {
    assert.equal(reply['result'], 'ok', JSON.stringify(reply));
    return String(reply['sdp']);
  };
  const offer = (keys: Dictionary, policy: Readonly<Dictionary> = PLAIN) =>
    done(ng('offer', { 'from-tag': 'a', ...policy, ...keys }));
  const answer = (keys: Dictionary, policy: Readonly<Dictionary> = answerKeys('plain', 'plain')) =>
    done(ng('answer', { 'from-tag': 'a', 'to-tag': 'b', ...policy, ...keys }));
  const timedOut = (afterMs: number) => manager.sweep((now += afterMs)).length === 1;

  it('tells the packet path where the signaling of each party comes from, for who sits behind a NAT', () => {
    offer({ sdp: phone(4000), 'received-from': ['IP4', '198.51.100.1'] });
    answer({ sdp: phone(5000), 'received-from': ['IP4', 'proxy.example.com'] });
    const remotes = [...plane.open.values()].map(({ remote }) => remote);
    assert.deepEqual(
      remotes.map((remote) => [remote?.rtp?.port, remote?.signaling]),
      [
        [5000, undefined],
        [4000, '198.51.100.1'],
      ],
    );
  });

  it('may ring for longer than media may be silent', () => {
    offer({ sdp: phone(4000) });
    assert.equal(timedOut(180 * SECOND), false);
    answer({ sdp: phone(5000) });
    assert.equal(timedOut(59 * SECOND), false);
    assert.equal(timedOut(2 * SECOND), true);
    assert.equal(plane.open.size, 0);
  });

  it('that is never answered ends all the same', () => {
    offer({ sdp: phone(4000) });
    assert.equal(timedOut(3601 * SECOND), true);
  });

  it('has the whole time-out again when it comes back from hold', () => {
    offer({ sdp: phone(4000) });
    answer({ sdp: phone(5000) });
    offer({ sdp: phone(4000, 'a=inactive'), 'to-tag': 'b' });
    answer({ sdp: phone(5000, 'a=inactive') });
    assert.equal(timedOut(600 * SECOND), false);
    offer({ sdp: phone(4000), 'to-tag': 'b' });
    answer({ sdp: phone(5000) });
    assert.equal(timedOut(1 * SECOND), false);
    assert.equal(timedOut(61 * SECOND), true);
  });

  it('of a browser that names no address yet is not on hold', () => {
    offer({ sdp: browser('actpass', '0.0.0.0') }, offerKeys('webrtc', 'plain'));
    answer({ sdp: phone(5000) }, answerKeys('plain', 'webrtc'));
    assert.equal(timedOut(61 * SECOND), true);
  });

  it('on hold by 0.0.0.0 says so to the other party with a direction', () => {
    offer({ sdp: phone(4000) });
    answer({ sdp: phone(5000) });
    const held = offer({
      sdp: phone(4000, 'a=sendrecv').replace('c=IN IP4 192.0.2.7', 'c=IN IP4 0.0.0.0'),
      'to-tag': 'b',
    });
    assert.equal(parse(held).media[0]?.direction, 'sendonly');
    assert.ok(!held.includes('a=sendrecv'));
    assert.ok(held.includes('c=IN IP4 127.0.0.1'));
  });

  it('that forks has ports of its own for every branch, and a losing branch gives them back', () => {
    const ports = ['b1', 'b2', 'b3'].map(
      (branch) => parse(offer({ sdp: phone(4000), 'via-branch': branch })).media[0]?.port,
    );
    assert.equal(new Set(ports).size, 3);
    const early = answer({ sdp: phone(5000), 'via-branch': 'b1', 'to-tag': 'x' });
    const final = answer({ sdp: phone(6000), 'via-branch': 'b2', 'to-tag': 'y' });
    assert.notEqual(parse(early).media[0]?.port, parse(final).media[0]?.port);
    assert.equal(plane.open.size, 5);
    ng('delete', { 'from-tag': 'a', 'via-branch': 'b1' });
    ng('delete', { 'from-tag': 'a', 'via-branch': 'b3' });
    assert.equal(plane.open.size, 2);
    ng('delete', {});
    assert.equal(plane.open.size, 0);
    assert.equal(manager.size, 0);
  });

  it('gives back the ports of a branch that could not be offered, and goes on', () => {
    offer({ sdp: phone(4000), 'via-branch': 'b1' });
    plane.portsLeft = 1;
    const two = phone(4000) + 'm=audio 4002 RTP/AVP 0\r\n';
    const failed = ng('offer', { 'from-tag': 'a', 'via-branch': 'b2', sdp: two });
    assert.match(String(failed['error-reason']), /Ran out of ports/);
    assert.equal(plane.open.size, 1);
    assert.equal(manager.size, 1);
    answer({ sdp: phone(5000), 'via-branch': 'b1' });
  });

  it('is not ended by tags that are not its own', () => {
    offer({ sdp: phone(4000) });
    answer({ sdp: phone(5000) });
    for (const tags of [{ 'from-tag': 'z' }, { 'from-tag': 'a', 'to-tag': 'z' }, { 'via-branch': 'z' }]) {
      assert.match(String(ng('delete', tags)['warning']), /didn't match/);
    }
    assert.equal(plane.open.size, 2);
    assert.equal(ng('delete', { 'from-tag': 'b', 'to-tag': 'a' })['result'], 'ok');
    assert.equal(plane.open.size, 0);
  });

  it('names each interface towards its own party, though the answer does not repeat them', () => {
    const direction = ['default', 'inside'];
    assert.equal(parse(offer({ sdp: phone(4000), direction })).connection?.ip, '10.0.0.1');
    assert.equal(parse(answer({ sdp: phone(5000) })).connection?.ip, '127.0.0.1');
    assert.deepEqual(
      [...plane.open.values()].map(({ spec }) => spec.interface),
      ['inside', 'default'],
    );
    ng('delete', {});
    const turned = ['inside', 'default'];
    assert.equal(parse(offer({ sdp: phone(4000), direction: turned })).connection?.ip, '127.0.0.1');
    assert.equal(parse(answer({ sdp: phone(5000) })).connection?.ip, '10.0.0.1');
  });

  it('keeps its DTLS role when the browser offers again', () => {
    offer({ sdp: phone(4000) }, offerKeys('plain', 'webrtc'));
    answer({ sdp: browser('passive') }, answerKeys('webrtc', 'plain'));
    const again = { 'from-tag': 'b', 'to-tag': 'a' };
    offer({ sdp: browser('actpass'), ...again }, offerKeys('webrtc', 'plain'));
    const text = answer({ sdp: phone(4000), ...again }, answerKeys('plain', 'webrtc'));
    assert.equal(parse(text).media[0]?.setup, 'active');
    const ice = [...plane.open.values()].find(({ spec }) => spec.socket === 'shared');
    assert.deepEqual(ice?.remote?.crypto.type === 'dtls' && ice.remote.crypto.role, 'client');
  });

  it('restarts ICE with a browser that restarts it, on the same socket, and not otherwise', () => {
    const webrtc = () => [...plane.open.values()].find(({ spec }) => spec.socket === 'shared');
    const ufrag = (text: string) => /a=ice-ufrag:(\S+)/.exec(text)?.[1];
    offer({ sdp: browser('actpass') }, offerKeys('webrtc', 'plain'));
    const first = ufrag(answer({ sdp: phone(5000) }, answerKeys('plain', 'webrtc')));
    const { id } = webrtc() ?? { id: 0 };
    const again = { 'to-tag': 'b' };
    offer({ sdp: browser('actpass'), ...again }, offerKeys('webrtc', 'plain'));
    assert.equal(ufrag(answer({ sdp: phone(5000) }, answerKeys('plain', 'webrtc'))), first);
    offer({ sdp: browser('actpass').replace('Yk2q', 'Zz9x'), ...again }, offerKeys('webrtc', 'plain'));
    const restarted = ufrag(answer({ sdp: phone(5000) }, answerKeys('plain', 'webrtc')));
    assert.notEqual(restarted, first);
    assert.equal(webrtc()?.id, id);
    assert.equal(webrtc()?.remote?.localIce?.ufrag, restarted);
    assert.equal(webrtc()?.remote?.ice?.ufrag, 'Zz9x');
  });

  it('counts a voice that may be coded apart from the video beside it', () => {
    const wide = 'a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n';
    const voice = `${browser('actpass')}a=rtcp-fb:111 transport-cc\r\n${wide}`;
    const video = voice
      .slice(voice.indexOf('m='))
      .replace('audio', 'video')
      .replaceAll('111', '96')
      .replace('a=mid:0', 'a=mid:1')
      .replace('opus/48000/2', 'VP8/90000');
    const lines = (text: string) =>
      text
        .split(/^(?=m=)/m)
        .slice(1)
        .map((line) => (line.match(/transport-(cc|wide-cc)/g) ?? []).length);
    const coded = { ...offerKeys('plain', 'webrtc'), codec: { mask: ['opus'], transcode: ['PCMU'] } };
    assert.deepEqual(lines(offer({ sdp: voice + video }, coded)), [0, 2]);
    ng('delete', {});
    assert.deepEqual(lines(offer({ sdp: voice + video }, offerKeys('webrtc', 'webrtc'))), [2, 2]);
    ng('delete', {});
    // Alone it is left as it is, but for the codec that is hidden.
    assert.deepEqual(lines(offer({ sdp: voice }, coded)), [1]);
  });

  it('turns to fax: the line is passed on as it is, but for where it goes', () => {
    offer({ sdp: phone(4000) });
    answer({ sdp: phone(5000) });
    const fax = (port: number) =>
      [
        ...['v=0', 'o=- 1 2 IN IP4 192.0.2.7', 's=-', 'c=IN IP4 192.0.2.7', 't=0 0'],
        ...[`m=image ${port} udptl t38`, 'a=T38FaxVersion:0', 'a=T38MaxBitRate:14400', 'a=sendrecv', ''],
      ].join('\r\n');
    const told = offer({ sdp: fax(4002), 'to-tag': 'b' });
    const ends = [...plane.open.values()];
    assert.match(told, /m=image \d+ udptl t38\r\na=T38FaxVersion:0\r\na=T38MaxBitRate:14400\r\na=sendrecv\r\n$/);
    assert.ok(told.includes('c=IN IP4 127.0.0.1'));
    answer({ sdp: fax(5002) });
    assert.deepEqual(
      [...plane.open.values()].map(({ spec, remote }) => [spec.raw, spec.socket, remote?.rtp?.port]),
      [
        [true, 'single', 5002],
        [true, 'single', 4002],
      ],
    );
    assert.equal(ends.length, 2);
    assert.deepEqual(
      [...plane.paths.values()].map(({ mode }) => mode),
      ['relay', 'relay'],
    );
  });

  it('is refused when its SDP does not say where media goes', () => {
    const bare = phone(4000).replace('c=IN IP4 192.0.2.7\r\n', '');
    const reply = ng('offer', { 'from-tag': 'a', sdp: bare, ...PLAIN });
    assert.equal(reply['error-reason'], 'Incomplete SDP specification');
    assert.equal(manager.size, 0);
  });

  it('goes on until its deletion is due, and does not end when it is offered again', () => {
    offer({ sdp: phone(4000) });
    answer({ sdp: phone(5000) });
    assert.ok(manager.remove('c', {}, now + 30 * SECOND));
    manager.sweep((now += 29 * SECOND));
    assert.equal(plane.open.size, 2);
    offer({ sdp: phone(4000), 'to-tag': 'b' });
    manager.sweep((now += 2 * SECOND));
    assert.equal(plane.open.size, 2);
    manager.remove('c', {}, now + 30 * SECOND);
    manager.sweep((now += 30 * SECOND));
    assert.equal(plane.open.size, 0);
    assert.equal(manager.size, 0);
  });

  it('with keys that pass is relayed unopened; with others it is opened on both sides', () => {
    const key = (first: string) => `a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:${first.repeat(40)}`;
    const secure = (port: number, ...more: string[]) => phone(port, ...more).replace('RTP/AVP', 'RTP/SAVP');
    const ends = () => [...plane.open.values()].map(({ remote }) => remote?.crypto.type);
    offer({ sdp: secure(4000, key('A')) }, {});
    const passed = answer({ sdp: secure(5000, key('C')) }, {});
    assert.ok(passed.includes(key('C')));
    assert.deepEqual(ends(), ['none', 'none']);
    ng('delete', { 'delete-delay': 0 });
    offer({ sdp: secure(4000, key('A')) }, { SDES: ['no-AES_CM_128_HMAC_SHA1_80'] });
    const opened = answer({ sdp: secure(5000, key('C').replace('1_80', '1_32').replace(':1 ', ':7 ')) }, {});
    assert.ok(!opened.includes('C'.repeat(40)));
    assert.deepEqual(ends(), ['sdes', 'sdes']);
  });

  it('keeps rtcp apart for an offerer for whom the offer said reject', () => {
    offer({ sdp: phone(4000, 'a=rtcp-mux'), 'rtcp-mux': ['reject'] });
    const [media] = parse(answer({ sdp: phone(5000) })).media;
    assert.equal(media?.rtcpMux, undefined);
    assert.equal(media?.rtcp?.port, (media?.port ?? 0) + 1);
  });

  it('codes whatever packet time a party asks for', () => {
    for (const ptime of [5, 25, 120]) {
      offer({ sdp: phone(4000, `a=ptime:${ptime}`) }, offerKeys('plain', 'webrtc'));
      answer({ sdp: browser('active').replaceAll('111', '96') }, answerKeys('webrtc', 'plain'));
      for (const path of plane.paths.values()) {
        assert.ok(path.mode === 'transcode');
        assert.ok([10, 20, 30, 40, 60].includes(path.out.ptimeMs), `${path.out.ptimeMs} ms`);
      }
      ng('delete', {});
    }
  });

  it('hears a party by the numbers that it was offered and by those of its answer', () => {
    offer({ sdp: phone(4000) }, offerKeys('plain', 'webrtc'));
    const other = browser('active').replaceAll('111', '115').replaceAll('110', '116');
    answer({ sdp: other.replace('telephone-event/48000', 'telephone-event/8000') }, answerKeys('webrtc', 'plain'));
    const [toBrowser, toPhone] = [...plane.paths.values()];
    assert.ok(toBrowser?.mode === 'transcode' && toPhone?.mode === 'transcode');
    assert.deepEqual(
      toPhone.in.map(({ pt }) => pt),
      [115, 96],
    );
    assert.deepEqual(
      toPhone.dtmf.map(({ inPt, outPt }) => [inPt, outPt]),
      [
        [116, 101],
        [101, 101],
      ],
    );
    assert.equal(toBrowser.out.pt, 115);
    assert.deepEqual(toBrowser.dtmf, [{ inPt: 101, inClock: 8000, outPt: 116, outClock: 8000 }]);
  });

  it('shows its streams to a query and its totals to whoever ends it', () => {
    offer({ sdp: phone(4000), 'via-branch': 'b1' });
    answer({ sdp: phone(5000), 'via-branch': 'b1' });
    const tags = ng('query', {})['tags'] as Dictionary;
    assert.deepEqual(Object.keys(tags), ['a', 'b']);
    assert.deepEqual(ng('list', {})['calls'], ['c']);
    assert.deepEqual(ng('delete', {})['totals'], {
      RTP: { packets: 0, bytes: 0, errors: 0 },
      RTCP: { packets: 0, bytes: 0, errors: 0 },
    });
    assert.match(String(ng('query', {})['error-reason']), /Unknown call-id/);
  });

  for (const command of ['constructor', '__proto__', 'toString', 'hasOwnProperty', 'Offers', '']) {
    it(`does not know the command "${command}"`, () => {
      assert.equal(ng(command, {})['error-reason'], 'Unrecognized command');
    });
  }

  it('refuses names without end', () => {
    const reply = ng('offer', { 'from-tag': 'a'.repeat(2000), sdp: phone(4000) });
    assert.match(String(reply['error-reason']), /from-tag is longer than/);
    assert.equal(manager.size, 0);
  });
});
