import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'mocha';
import { runCommand } from '../../../media/ng/mod.ts';
import { SessionManager } from '../../../media/session/mod.ts';
import { readCandidate } from '../../../media/session/candidates.ts';
import { readFragment, WaitingFragments } from '../../../media/session/fragments.ts';
import type { Bencode } from '../../../vocabulary/mod.ts';
import { PlaneDouble } from './plane-double.ts';

type Dictionary = Record<string, Bencode>;

const HOST = 'candidate:1 1 udp 2113937151 192.0.2.9 50000 typ host generation 0 network-cost 50';
const REFLEXIVE = 'candidate:2 1 UDP 1677729535 198.51.100.7 60000 typ srflx raddr 192.0.2.9 rport 50000';
const PHONE = [
  ...['v=0', 'o=- 1 1 IN IP4 192.0.2.7', 's=-', 'c=IN IP4 192.0.2.7', 't=0 0', 'm=audio 4000 RTP/AVP 0', ''],
].join('\r\n');
const WEBRTC = { ICE: 'force', 'transport-protocol': 'UDP/TLS/RTP/SAVPF', 'rtcp-mux': ['offer', 'require'] };
const PLAIN = { ICE: 'remove', 'transport-protocol': 'RTP/AVP', 'rtcp-mux': ['demux'] };

const browser = (ufrag: string, ...more: string[]) =>
  [
    ...['v=0', 'o=- 7 2 IN IP4 127.0.0.1', 's=-', 't=0 0', 'm=audio 9 UDP/TLS/RTP/SAVPF 0', 'c=IN IP4 0.0.0.0'],
    ...[`a=ice-ufrag:${ufrag}`, 'a=ice-pwd:8lQ2lTPk6cVNeN9Bv8XQnGzF', 'a=fingerprint:sha-256 7B:8B', 'a=setup:actpass'],
    ...['a=mid:0', 'a=rtcp-mux', ...more, ''],
  ].join('\r\n');

const fragment = (ufrag: string, ...candidates: string[]) =>
  [
    ...[`a=ice-ufrag:${ufrag}`, 'a=ice-pwd:8lQ2lTPk6cVNeN9Bv8XQnGzF', 'm=audio 9 UDP/TLS/RTP/SAVPF 0', 'a=mid:0'],
    ...[...candidates.map((line) => `a=${line}`), 'a=end-of-candidates', ''],
  ].join('\r\n');

describe('a candidate of SDP', () => {
  it('is read with its type, priority and address', () => {
    assert.deepEqual(readCandidate(`a=${HOST}`), {
      ...{ component: 1, type: 'host', priority: 2_113_937_151 },
      at: { address: '192.0.2.9', port: 50_000 },
    });
    assert.equal(readCandidate(`a=${REFLEXIVE}`)?.type, 'srflx');
    assert.equal(
      readCandidate('a=candidate:1 2 UDP 5 2001:db8::1 9 typ relay raddr :: rport 1')?.at.address,
      '2001:db8::1',
    );
  });

  for (const [what, text] of Object.entries({
    'of TCP': 'candidate:1 1 tcp 1518280447 192.0.2.9 9 typ host tcptype active',
    'with a name': 'candidate:1 1 udp 1 5f4b8c0a-77b6-4b2e.local 50000 typ host',
    'of a third component': 'candidate:1 3 udp 1 192.0.2.9 50000 typ host',
    'without a port': 'candidate:1 1 udp 1 192.0.2.9 0 typ host',
    'with a port too high': 'candidate:1 1 udp 1 192.0.2.9 65536 typ host',
    'with a priority too high': 'candidate:1 1 udp 4294967296 192.0.2.9 1 typ host',
    'of no type': 'candidate:1 1 udp 1 192.0.2.9 50000 typ',
    'cut off': 'candidate:1 1 udp',
    'that is nothing': 'candidate:',
  })) {
    it(`${what} is passed over`, () => assert.equal(readCandidate(`a=${text}`), undefined));
  }
});

describe('fragments of ICE', () => {
  let plane: PlaneDouble;
  let manager: SessionManager;
  let now: number;

  beforeEach(() => {
    plane = new PlaneDouble();
    manager = new SessionManager({ dataplane: plane, interfaces: ['default'], maxSessions: 10, timeoutSeconds: 60 });
    now = 1_700_000_000_000;
  });

  const ng = (message: Dictionary) => runCommand(manager, { 'call-id': 'c', ...message }, now).reply as Dictionary;
  const trickle = (tag: string, sdp: string) => ng({ command: 'offer', 'from-tag': tag, flags: ['fragment'], sdp });
  const offer = (sdp: string) => ng({ command: 'offer', 'from-tag': 'a', ...PLAIN, sdp });
  const answer = () => ng({ command: 'answer', 'from-tag': 'a', 'to-tag': 'b', ...WEBRTC, sdp: PHONE });
  /** What the packet path knows of the browser. */
  const known = () => [...plane.open.values()].find(({ spec }) => spec.ice)?.remote;
  const places = () => known()?.candidates?.map(({ at }) => at.port);

  it('are added to those of the SDP, once', () => {
    offer(browser('Yk2q', `a=${HOST}`));
    answer();
    assert.deepEqual(places(), [50_000]);
    assert.equal(known()?.iceRole, 'controlled');
    assert.deepEqual(trickle('a', fragment('Yk2q', HOST, REFLEXIVE)), { result: 'ok' });
    assert.deepEqual(places(), [50_000, 60_000]);
  });

  it('wait for the answer that says who we are', () => {
    offer(browser('Yk2q'));
    trickle('a', fragment('Yk2q', HOST));
    assert.equal(manager.fragmentsWaiting, 0);
    answer();
    assert.deepEqual(places(), [50_000]);
  });

  it('may come before the offer, by 3 s', () => {
    assert.equal(trickle('a', fragment('Yk2q', HOST))['result'], 'ok');
    assert.equal(manager.fragmentsWaiting, 1);
    now += 2000;
    offer(browser('Yk2q'));
    assert.equal(manager.fragmentsWaiting, 0);
    answer();
    assert.deepEqual(places(), [50_000]);
    ng({ command: 'delete', 'delete-delay': 0 });

    trickle('a', fragment('Yk2q', HOST));
    now += 3001;
    manager.sweep(now);
    assert.equal(manager.fragmentsWaiting, 0);
  });

  it('of a party that has not answered wait until it does, or the call ends', () => {
    const asked = () => ng({ command: 'offer', 'from-tag': 'a', ...WEBRTC, sdp: PHONE });
    asked();
    trickle('b', fragment('Zx3r', HOST));
    now += 30_000;
    manager.sweep(now);
    assert.equal(manager.fragmentsWaiting, 1);
    ng({ command: 'answer', 'from-tag': 'a', 'to-tag': 'b', ...PLAIN, sdp: browser('Zx3r') });
    assert.deepEqual(places(), [50_000]);
    assert.equal(known()?.iceRole, 'controlling');

    trickle('other', fragment('Zx3r', HOST));
    assert.equal(manager.fragmentsWaiting, 1);
    ng({ command: 'delete', 'delete-delay': 0 });
    assert.equal(manager.fragmentsWaiting, 0);
  });

  it('of another ICE generation are refused', () => {
    offer(browser('Yk2q'));
    answer();
    assert.deepEqual(trickle('a', fragment('late', HOST)), { result: 'error', 'error-reason': 'Unknown ICE ufrag' });
    assert.deepEqual(places(), []);
    // Of one that the peer has begun and we have not answered they wait for the answer: the old pair is in use.
    offer(browser('next'));
    assert.equal(trickle('a', fragment('next', HOST))['result'], 'ok');
    assert.deepEqual([known()?.ice?.ufrag, places()], ['Yk2q', []]);
    answer();
    assert.deepEqual([known()?.ice?.ufrag, places()], ['next', [50_000]]);
  });

  it('that hold nothing are refused', () => {
    for (const sdp of ['x', 'a=sendrecv\r\n', 'm=audio 9 RTP/AVP 0\r\n', 'a=x\r\n'.repeat(600)])
      assert.equal(trickle('a', sdp)['error-reason'], 'Failed to parse SDP', sdp.slice(0, 20));
  });

  it('do not wait in any number', () => {
    for (let i = 0; i < 16; i++) assert.equal(trickle('a', fragment('Yk2q', HOST))['result'], 'ok');
    assert.equal(trickle('a', fragment('Yk2q', HOST))['error-reason'], 'Too many ICE fragments are waiting');
    const waiting = new WaitingFragments(() => false);
    const read = readFragment(fragment('Yk2q', HOST));
    assert.ok(read);
    for (let i = 0; i < 1000; i++) waiting.add(`call ${i}`, 'a', read, now);
    assert.throws(() => waiting.add('one more', 'a', read, now), /Too many/);
    waiting.add('one more', 'a', read, now + 3000);
    assert.equal(waiting.size, 1);
  });

  it('name their line by its mid, or by its place', () => {
    const two = [
      ...[
        'a=ice-ufrag:Yk2q',
        `a=${REFLEXIVE}`,
        'm=audio 9 RTP/AVP 0',
        'm=video 9 RTP/AVP 96',
        'a=mid:v',
        `a=${HOST}`,
        '',
      ],
    ].join('\n');
    const parts = readFragment(two)?.parts;
    assert.deepEqual(
      parts?.map(({ mid, index, ufrag, candidates }) => [mid, index, ufrag, candidates.map(({ at }) => at.port)]),
      [
        [undefined, 0, 'Yk2q', [60_000]],
        ['v', 1, 'Yk2q', [50_000]],
      ],
    );
  });
});

describe('who is controlling in ICE', () => {
  const roles = (toBrowser: Dictionary, lite = false, fromBrowser: Dictionary = {}) => {
    const plane = new PlaneDouble();
    const manager = new SessionManager({
      dataplane: plane,
      interfaces: ['default'],
      maxSessions: 9,
      timeoutSeconds: 60,
    });
    const ng = (message: Dictionary) => runCommand(manager, { 'call-id': 'c', ...message }, 1).reply as Dictionary;
    const sdp = browser('Yk2q', `a=${HOST}`).replace('t=0 0\r\n', lite ? 't=0 0\r\na=ice-lite\r\n' : 't=0 0\r\n');
    const known = () => [...plane.open.values()].find(({ spec }) => spec.ice)?.remote;
    ng({ command: 'offer', 'from-tag': 'a', ...WEBRTC, ...toBrowser, sdp: PHONE });
    const before = [...plane.open.values()].find(({ spec }) => spec.ice)?.spec.iceRole;
    ng({ command: 'answer', 'from-tag': 'a', 'to-tag': 'b', ...PLAIN, sdp });
    const offered = known();
    ng({ command: 'delete', 'delete-delay': 0 });
    ng({ command: 'offer', 'from-tag': 'a', ...PLAIN, ...fromBrowser, sdp });
    ng({ command: 'answer', 'from-tag': 'a', 'to-tag': 'b', ...WEBRTC, sdp: PHONE });
    return [before, offered?.iceRole, known()?.iceRole, offered?.rtp?.port];
  };

  it('we towards whom we offer to, the peer when it offers', () =>
    assert.deepEqual(roles({}), ['controlling', 'controlling', 'controlled', undefined]));

  it('we towards a lite peer, whoever offers', () =>
    assert.deepEqual(roles({}, true), ['controlling', 'controlling', 'controlling', undefined]));

  it('never we where we have said that we are lite', () =>
    assert.deepEqual(roles({ 'ICE-lite': 'forward' }, false, { 'ICE-lite': 'backward' }), [
      ...['lite', 'lite', 'lite', undefined],
    ]));

  it('nobody where the party answers without ICE: it is heard as others are', () => {
    const plane = new PlaneDouble();
    const manager = new SessionManager({
      dataplane: plane,
      interfaces: ['default'],
      maxSessions: 9,
      timeoutSeconds: 60,
    });
    const ng = (message: Dictionary) => runCommand(manager, { 'call-id': 'c', ...message }, 1);
    ng({ command: 'offer', 'from-tag': 'a', ICE: 'force', sdp: PHONE });
    ng({ command: 'answer', 'from-tag': 'a', 'to-tag': 'b', sdp: PHONE.replace('4000', '6000') });
    const end = [...plane.open.values()].find(({ spec }) => spec.ice);
    assert.equal(end?.spec.iceRole, 'controlling');
    const { iceRole, learning, rtp } = end.remote ?? {};
    assert.deepEqual({ iceRole, learning, port: rtp?.port }, { iceRole: 'unchecked', learning: 'delayed', port: 6000 });
  });

  it('nobody where both are lite: media goes to the address of SDP', () =>
    assert.deepEqual(roles({ 'ICE-lite': 'forward' }, true, { 'ICE-lite': 'backward' }).slice(0, 3), [
      ...['lite', 'unchecked', 'unchecked'],
    ]));
});
