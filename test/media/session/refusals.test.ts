import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'mocha';
import { runCommand } from '../../../media/ng/mod.ts';
import { readFlags, SessionManager } from '../../../media/session/mod.ts';
import type { Bencode } from '../../../vocabulary/mod.ts';
import { PlaneDouble } from './plane-double.ts';

type Dictionary = Record<string, Bencode>;

const FINGERPRINT = Array(32).fill('7B').join(':');
const KEY = 'AES_CM_128_HMAC_SHA1_80 inline:MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkw';

function sdp(media: readonly string[], address = '192.0.2.7'): string {
  return ['v=0', 'o=- 1 1 IN IP4 192.0.2.7', 's=-', `c=IN IP4 ${address}`, 't=0 0', ...media, ''].join('\r\n');
}
const lines = (count: number) => Array.from({ length: count }, (_, n) => `m=audio ${4000 + 2 * n} RTP/AVP 0`);
const secure = (...attributes: readonly string[]) => ['m=audio 4000 UDP/TLS/RTP/SAVP 0', ...attributes];

describe('what is refused', () => {
  let plane: PlaneDouble;
  let manager: SessionManager;

  beforeEach(() => {
    plane = new PlaneDouble();
    manager = new SessionManager({ dataplane: plane, interfaces: ['default'], maxSessions: 10, timeoutSeconds: 60 });
  });

  const ng = (command: string, keys: Dictionary): Dictionary =>
    runCommand(manager, { command, 'call-id': 'c', 'from-tag': 'a', ...keys }, 1_700_000_000_000).reply as Dictionary;
  const ok = (command: string, keys: Dictionary): Dictionary => {
    const reply = ng(command, keys);
    assert.equal(reply['result'], 'ok', JSON.stringify(reply));
    return reply;
  };
  const reason = (command: string, keys: Dictionary) => ng(command, keys)['error-reason'];

  it('for want of ports halfway through an offer holds none of them', () => {
    plane.portsLeft = 2;
    assert.equal(reason('offer', { sdp: sdp(lines(3)) }), 'Ran out of ports');
    assert.equal(plane.open.size, 0);
    assert.equal(manager.size, 0);
    assert.equal(manager.refused.ports, 1);
  });

  it('in a call that stands takes no port from it, and holds none', () => {
    ok('offer', { sdp: sdp(lines(1)) });
    ok('answer', { 'to-tag': 'b', sdp: sdp(lines(1)) });
    const before = [...plane.open.keys()];
    plane.portsLeft = 2;
    assert.equal(reason('offer', { 'to-tag': 'b', sdp: sdp(lines(4)) }), 'Ran out of ports');
    assert.deepEqual([...plane.open.keys()], before);
    assert.equal(plane.portsLeft, 2);
    assert.equal(manager.get('c')?.dialogues[0]?.lines.length, 1);
    // The next one finds the call as it was.
    plane.portsLeft = 100;
    ok('offer', { 'to-tag': 'b', sdp: sdp(lines(2)) });
    assert.equal(plane.open.size, 3);
  });

  for (const [how, keys] of [
    ['for want of a codec', { codec: { strip: ['all'] } }],
    ['for want of ports', { 'transport-protocol': 'UDP/TLS/RTP/SAVPF', ICE: 'force' }],
  ] as const)
    it(`in a call that stands leaves its parties where they were: ${how}`, () => {
      const keyed = (suite: string, port: number) => [
        `m=audio ${port} RTP/SAVP 0`,
        `a=crypto:1 ${KEY.replace('80', suite)}`,
      ];
      ok('offer', { sdp: sdp(keyed('80', 4000)), 'transport-protocol': 'RTP/AVP' });
      ok('answer', { 'to-tag': 'b', sdp: sdp(lines(1)) });
      const ends = () => [...plane.open.values()].map((end) => ({ ...end }));
      const before = ends();
      const codecs = manager.get('c')?.dialogues[0]?.lines[0]?.a.codecs;
      plane.portsLeft = 0;
      const moved = [...keyed('32', 4002), 'a=ptime:40', 'm=video 4004 RTP/AVP 96'];
      assert.ok(reason('offer', { 'to-tag': 'b', sdp: sdp(moved, '192.0.2.8'), ...keys }));
      assert.deepEqual(ends(), before);
      assert.deepEqual(manager.get('c')?.dialogues[0]?.lines[0]?.a.codecs, codecs);
      assert.equal(manager.get('c')?.dialogues[0]?.lines[0]?.a.remote?.rtp?.address, '192.0.2.7');
    });

  it('line by line by its offerer is a call that ends all the same', () => {
    ok('offer', { sdp: sdp(['m=audio 0 RTP/AVP 0']) });
    assert.equal(plane.open.size, 0);
    assert.equal(manager.sweep(1_700_000_059_000).length, 0);
    assert.equal(manager.sweep(1_700_000_061_000).length, 1);
    assert.equal(manager.size, 0);
  });

  it('of a publisher that stands leaves it its ports and no more', () => {
    const codecs = { flags: [], codec: { accept: ['PCMU'] } };
    const publish = (count: number) => manager.publish(request(count), 0);
    const request = (count: number) => ({
      ...{ callId: 'c', fromTag: 'p', toTag: undefined, viaBranch: undefined, sdp: sdp(lines(count)) },
      flags: readFlags(codecs),
    });
    publish(1);
    plane.portsLeft = 1;
    assert.throws(() => publish(3), { code: 'no-ports' });
    assert.equal(plane.open.size, 1);
  });

  it('does not call off a deletion', () => {
    ok('offer', { sdp: sdp(lines(1)) });
    ok('delete', { 'delete-delay': 5 });
    plane.portsLeft = 0;
    assert.equal(reason('offer', { sdp: sdp(lines(2)) }), 'Ran out of ports');
    manager.sweep(1_700_000_006_000);
    assert.equal(manager.size, 0);
    assert.equal(plane.open.size, 0);
  });

  it('is not another branch than the one that was deleted', () => {
    ok('offer', { 'via-branch': 'one', sdp: sdp(lines(1)) });
    ok('delete', { 'via-branch': 'one', 'delete-delay': 5 });
    ok('offer', { 'via-branch': 'two', sdp: sdp(lines(1)) });
    manager.sweep(1_700_000_006_000);
    assert.deepEqual(
      manager.get('c')?.dialogues.map(({ viaBranch }) => viaBranch),
      ['two'],
    );
    assert.equal(plane.open.size, 1);
  });

  for (const address of ['media.example.com', '192.0.2', '192.0.2.7.1', 'fe80::1%eth0', '-'])
    it(`is an address that is none, when it is offered and not when it is answered: ${address}`, () => {
      assert.equal(reason('offer', { sdp: sdp(lines(1), address) }), 'Failed to parse SDP');
      assert.equal(manager.size, 0);
      ok('offer', { sdp: sdp(lines(1)) });
      assert.equal(reason('answer', { 'to-tag': 'b', sdp: sdp(lines(1), address) }), 'Failed to parse SDP');
    });

  it('is no address that does not matter: of RTCP, of the sender, of a line without media', () => {
    const odd = [
      ...lines(1),
      'a=rtcp:5 IN IP4 media.example.com',
      'm=video 0 RTP/AVP 96',
      'c=IN IP4 nowhere.example.com',
    ];
    const keys = { flags: ['SIP-source-address'], 'received-from': ['IP4', 'proxy.example.com'] };
    ok('offer', { sdp: sdp(odd), ...keys });
    ok('answer', { 'to-tag': 'b', sdp: sdp([...lines(1), 'a=rtcp:0']), ...keys });
    const remotes = [...plane.open.values()].map(({ remote }) => [remote?.rtp?.address, remote?.rtcp]);
    assert.deepEqual(remotes, [
      ['192.0.2.7', undefined],
      ['192.0.2.7', { address: '192.0.2.7', port: 5 }],
    ]);
  });

  it('is no media address that is none; it is not written into SDP', () => {
    for (const address of ['media.example.com', '192.0.2.1\r\na=inactive']) {
      const reply = ok('offer', { sdp: sdp(lines(1)), 'media-address': address, replace: ['session-connection'] });
      assert.match(String(reply['sdp']), /^c=IN IP4 127\.0\.0\.1\r$/m);
    }
  });

  for (const [what, attributes] of [
    ['nothing', []],
    ['a fingerprint that is none', ['a=fingerprint:sha-256 7B:zz']],
    ['a suite that was not offered', ['a=crypto:9 NULL_HMAC_SHA1_32 inline:AAAA']],
  ] as const)
    it(`is an answer of SRTP with ${what}: it would be sent in the clear`, () => {
      ok('offer', { sdp: sdp(lines(1)), 'transport-protocol': 'UDP/TLS/RTP/SAVP' });
      assert.match(
        String(reason('answer', { 'to-tag': 'b', sdp: sdp(secure(...attributes)) })),
        /^the answer asks for SRTP but carries neither/,
      );
      assert.equal(plane.paths.size, 0);
      ok('answer', { 'to-tag': 'b', sdp: sdp(secure(`a=fingerprint:sha-256 ${FINGERPRINT}`)) });
      assert.equal(plane.paths.size, 2);
    });

  it('is no answer by another number than that of its suite', () => {
    ok('offer', { sdp: sdp(lines(1)), 'transport-protocol': 'RTP/SAVP', DTLS: 'off' });
    ok('answer', { 'to-tag': 'b', sdp: sdp(['m=audio 4000 RTP/SAVP 0', `a=crypto:1 ${KEY}`]) });
    assert.deepEqual(
      [...plane.open.values()].map(({ remote }) => remote?.crypto.type),
      ['sdes', 'none'],
    );
  });

  it('does not open a stream that stands while keys are offered anew', () => {
    const keyed = (line: string) => sdp(['m=audio 4000 RTP/SAVP 0', `a=crypto:${line}`]);
    const toPlain = { 'transport-protocol': 'RTP/AVP' };
    ok('offer', { sdp: keyed(`1 ${KEY}`), ...toPlain });
    ok('answer', { 'to-tag': 'b', sdp: sdp(lines(1)) });
    const caller = () => [...plane.open.values()].find(({ remote }) => remote?.crypto.type === 'sdes');
    assert.ok(caller());
    ok('offer', { 'to-tag': 'b', sdp: keyed(`1 ${KEY.replace('_80', '_32')}`), ...toPlain });
    assert.ok(caller(), 'its old keys until the answer');
    ok('answer', { 'to-tag': 'b', sdp: sdp(lines(1)) });
    const { crypto } = caller()?.remote ?? assert.fail();
    assert.equal(crypto.type === 'sdes' && crypto.receive.suite, 'AES_CM_128_HMAC_SHA1_32');
  });

  it('is no answer of SRTP whose key passes through', () => {
    const keyed = ['m=audio 4000 RTP/SAVP 0', `a=crypto:1 ${KEY}`];
    ok('offer', { sdp: sdp(keyed) });
    ok('answer', { 'to-tag': 'b', sdp: sdp(keyed) });
    assert.deepEqual(
      [...plane.open.values()].map(({ remote }) => remote?.crypto.type),
      ['none', 'none'],
    );
  });
});
