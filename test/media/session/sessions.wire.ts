// budget: 30 s, beside others
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { after, before, describe, it } from 'mocha';
import { parse } from 'sdp-transform';
import { createDataplane, type Dataplane } from '../../../media/dataplane/mod.ts';
import { runCommand } from '../../../media/ng/mod.ts';
import { SessionManager } from '../../../media/session/mod.ts';
import { answerKeys, offerKeys } from '../../../signaling/media-ng/policy.ts';
import type { Bencode } from '../../../vocabulary/mod.ts';

const CHROME_OFFER = [
  'v=0',
  'o=- 4611731400430051336 2 IN IP4 127.0.0.1',
  's=-',
  't=0 0',
  'a=group:BUNDLE 0',
  'a=extmap-allow-mixed',
  'a=msid-semantic: WMS stream1',
  'm=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126',
  'c=IN IP4 0.0.0.0',
  'a=rtcp:9 IN IP4 0.0.0.0',
  'a=ice-ufrag:Yk2q',
  'a=ice-pwd:8lQ2lTPk6cVNeN9Bv8XQnGzF',
  'a=ice-options:trickle',
  'a=fingerprint:sha-256 7B:8B:F0:65:5F:78:E2:51:3B:AC:6F:F3:3F:46:1B:35:DC:B8:5F:64:1A:24:C2:43:F0:A1:58:D0:A1:2C:19:08',
  'a=setup:actpass',
  'a=mid:0',
  'a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level',
  'a=sendrecv',
  'a=msid:stream1 track1',
  'a=rtcp-mux',
  'a=rtpmap:111 opus/48000/2',
  'a=rtcp-fb:111 transport-cc',
  'a=fmtp:111 minptime=10;useinbandfec=1',
  'a=rtpmap:63 red/48000/2',
  'a=fmtp:63 111/111',
  'a=rtpmap:9 G722/8000',
  'a=rtpmap:0 PCMU/8000',
  'a=rtpmap:8 PCMA/8000',
  'a=rtpmap:13 CN/8000',
  'a=rtpmap:110 telephone-event/48000',
  'a=rtpmap:126 telephone-event/8000',
  'a=ssrc:1001 cname:abc',
  '',
].join('\r\n');

const GATEWAY_SDP = [
  'v=0',
  'o=gw 1 1 IN IP4 127.0.0.1',
  's=-',
  'c=IN IP4 127.0.0.1',
  't=0 0',
  'm=audio 40000 RTP/AVP 0 126',
  'a=rtpmap:0 PCMU/8000',
  'a=rtpmap:126 telephone-event/8000',
  'a=x-unknown:kept',
  '',
].join('\r\n');

const phoneAt = (address: string, port: number) =>
  ['v=0', `o=- 1 1 IN ${address}`, 's=-', `c=IN ${address}`, 't=0 0', `m=audio ${port} RTP/AVP 0`, ''].join('\r\n');

describe('ng offer and answer on a real packet path', () => {
  let plane: Dataplane;
  let manager: SessionManager;

  before(() => {
    plane = createDataplane({
      interfaces: [{ name: 'default', address: '127.0.0.1', advertised: '127.0.0.1' }],
      portMin: 18_320,
      portMax: 18_399,
      webrtcPort: 17_995,
      threads: 1,
    });
    manager = new SessionManager({ dataplane: plane, interfaces: ['default'], maxSessions: 10, timeoutSeconds: 60 });
  });

  after(() => plane.close());

  function ng(command: Record<string, Bencode>): Record<string, Bencode> {
    return runCommand(manager, command, 1_700_000_000_000).reply as Record<string, Bencode>;
  }

  it('offers a browser to a gateway as plain G.711 and answers it with Opus', () => {
    const ids = { 'call-id': 'c1', 'from-tag': 'a', 'via-branch': 'b1' };
    const offered = ng({ command: 'offer', ...ids, sdp: CHROME_OFFER, ...offerKeys('webrtc', 'plain') });
    assert.equal(offered['result'], 'ok', JSON.stringify(offered));
    const toGateway = parse(offered['sdp'] as string);
    const [line] = toGateway.media;
    assert.equal(line?.protocol, 'RTP/AVP');
    assert.equal(line?.payloads, '0 8 110 126');
    assert.equal(toGateway.connection?.ip ?? line?.connection?.ip, '127.0.0.1');
    for (const gone of ['ice-ufrag', 'fingerprint', 'a=mid', 'ssrc', 'extmap', 'BUNDLE', 'opus', 'rtcp-mux', 'setup']) {
      assert.ok(!(offered['sdp'] as string).includes(gone), `${gone} is still there`);
    }
    const answered = ng({
      command: 'answer',
      ...ids,
      'to-tag': 'b',
      sdp: GATEWAY_SDP,
      ...answerKeys('plain', 'webrtc'),
    });
    assert.equal(answered['result'], 'ok', JSON.stringify(answered));
    const text = answered['sdp'] as string;
    const toBrowser = parse(text);
    const [media] = toBrowser.media;
    assert.equal(media?.protocol, 'UDP/TLS/RTP/SAVPF');
    assert.equal(media?.payloads, '111 110');
    assert.equal(media?.port, 17_995);
    assert.equal(String(media?.mid), '0');
    assert.equal(media?.setup, 'active');
    assert.equal(media?.fingerprint?.hash, plane.dtls.fingerprint);
    assert.ok(text.includes('a=group:BUNDLE 0') && text.includes('a=ice-lite') && text.includes('a=x-unknown:kept'));
    assert.equal(plane.totals().transcoders, 2);
    assert.equal(ng({ command: 'query', 'call-id': 'c1' })['result'], 'ok');
    assert.equal(ng({ command: 'delete', 'call-id': 'c1', 'delete-delay': 0 })['result'], 'ok');
    assert.equal(plane.totals().endpoints, 0);
    assert.equal(plane.totals().nativeBytes, 0);
  });

  it('offers a gateway to a browser as Opus over DTLS-SRTP and answers it with G.711', () => {
    const ids = { 'call-id': 'c2', 'from-tag': 'a', 'via-branch': 'b1' };
    const offered = ng({ command: 'offer', ...ids, sdp: GATEWAY_SDP, ...offerKeys('plain', 'webrtc') });
    const toBrowser = parse(offered['sdp'] as string);
    const [media] = toBrowser.media;
    assert.equal(media?.protocol, 'UDP/TLS/RTP/SAVPF');
    assert.equal(media?.payloads, '96 126');
    assert.equal(media?.setup, 'actpass');
    assert.ok((offered['sdp'] as string).includes('a=rtpmap:96 opus/48000/2'));
    const chrome = CHROME_OFFER.replace(/111 63 9 0 8 13 110 126/, '96 126')
      .replaceAll(':111 ', ':96 ')
      .replace('setup:actpass', 'setup:active')
      .replace(/a=(rtpmap|fmtp):(63|9|0|8|13|110) .*\r\n/g, '');
    const answered = ng({ command: 'answer', ...ids, 'to-tag': 'b', sdp: chrome, ...answerKeys('webrtc', 'plain') });
    assert.equal(answered['result'], 'ok', JSON.stringify(answered));
    const [line] = parse(answered['sdp'] as string).media;
    assert.equal(line?.protocol, 'RTP/AVP');
    assert.equal(line?.payloads, '0 126');
    assert.ok(!(answered['sdp'] as string).includes('fingerprint'));
    assert.equal(plane.totals().transcoders, 2);
    ng({ command: 'delete', 'call-id': 'c2' });
    assert.equal(plane.totals().portsInUse, 0);
  });

  it('relays between two browsers without coding', () => {
    const ids = { 'call-id': 'c3', 'from-tag': 'a', 'via-branch': 'b1' };
    ng({ command: 'offer', ...ids, sdp: CHROME_OFFER, ...offerKeys('webrtc', 'webrtc') });
    const answer = CHROME_OFFER.replace('setup:actpass', 'setup:active').replace('Yk2q', 'Zz9x');
    const answered = ng({ command: 'answer', ...ids, 'to-tag': 'b', sdp: answer, ...answerKeys('webrtc', 'webrtc') });
    assert.equal(answered['result'], 'ok', JSON.stringify(answered));
    assert.equal(plane.totals().transcoders, 0);
    assert.equal(plane.totals().paths, 2);
    ng({ command: 'delete', 'call-id': 'c3' });
    assert.equal(plane.totals().endpoints, 0);
  });

  it('keeps its ports over a re-INVITE from the other side', () => {
    const ids = { 'call-id': 'c4', 'from-tag': 'a', 'via-branch': 'b1' };
    const first = ng({ command: 'offer', ...ids, sdp: GATEWAY_SDP, ...offerKeys('plain', 'plain') });
    ng({
      command: 'answer',
      ...ids,
      'to-tag': 'b',
      sdp: GATEWAY_SDP.replace('40000', '40010'),
      ...answerKeys('plain', 'plain'),
    });
    const { portsInUse } = plane.totals();
    const back = { 'call-id': 'c4', 'from-tag': 'b', 'to-tag': 'a' };
    const hold = GATEWAY_SDP.replace('40000', '40010') + 'a=sendonly\r\n';
    ng({ command: 'offer', ...back, sdp: hold, ...offerKeys('plain', 'plain') });
    const answered = ng({
      command: 'answer',
      ...back,
      sdp: GATEWAY_SDP + 'a=recvonly\r\n',
      ...answerKeys('plain', 'plain'),
    });
    assert.equal(parse(answered['sdp'] as string).media[0]?.port, parse(first['sdp'] as string).media[0]?.port);
    assert.equal(plane.totals().portsInUse, portsInUse);
    ng({ command: 'delete', 'call-id': 'c4' });
    assert.equal(plane.totals().portsInUse, 0);
  });

  it('ends a call on which nothing is heard, but not one on hold', async () => {
    const impatient = new SessionManager({
      dataplane: plane,
      interfaces: ['default'],
      maxSessions: 10,
      timeoutSeconds: 0.3,
    });
    const now = Date.now();
    const held = GATEWAY_SDP + 'a=sendonly\r\n';
    for (const [callId, sdp] of [
      ['silent', GATEWAY_SDP],
      ['held', held],
    ] as const) {
      const command = { 'call-id': callId, 'from-tag': 'a' };
      runCommand(impatient, { command: 'offer', ...command, sdp, ...offerKeys('plain', 'plain') }, now);
      runCommand(
        impatient,
        { command: 'answer', ...command, 'to-tag': 'b', sdp, ...answerKeys('plain', 'plain') },
        now,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 400));
    assert.deepEqual(
      impatient.sweep(Date.now()).map(({ callId }) => callId),
      ['silent'],
    );
    assert.equal(impatient.size, 1);
    impatient.close();
    assert.equal(plane.totals().portsInUse, 0);
  });

  it('bridges the address families of one interface', async () => {
    const both = createDataplane({
      interfaces: [
        { name: 'default', address: '127.0.0.1', advertised: '127.0.0.1' },
        { name: 'default/IP6', address: '::1', advertised: '::1' },
      ],
      ...{ portMin: 18_400, portMax: 18_419, webrtcPort: 18_420, threads: 1 },
    });
    const sessions = new SessionManager({
      ...{ dataplane: both, interfaces: ['default', 'default/IP6'], maxSessions: 10, timeoutSeconds: 60 },
    });
    const [old, modern] = [createSocket('udp4'), createSocket('udp6')];
    old.bind(0, '127.0.0.1');
    modern.bind(0, '::1');
    await Promise.all([once(old, 'listening'), once(modern, 'listening')]);
    try {
      const ids = { 'call-id': 'c6', 'from-tag': 'a' };
      const run = (keys: Record<string, Bencode>) => String(runCommand(sessions, { ...ids, ...keys }, 0).reply['sdp']);
      const there = run({
        command: 'offer',
        sdp: phoneAt('IP4 127.0.0.1', old.address().port),
        'address family': 'IP6',
      });
      assert.ok(there.includes('c=IN IP6 ::1'));
      const back = run({ command: 'answer', 'to-tag': 'b', sdp: phoneAt('IP6 ::1', modern.address().port) });
      assert.ok(back.includes('c=IN IP4 127.0.0.1'));
      const packet = Buffer.alloc(172, 0x55);
      packet.set([0x80, 0]);
      const heard = [once(old, 'message'), once(modern, 'message')];
      old.send(packet, parse(back).media[0]?.port ?? 0, '127.0.0.1');
      modern.send(packet, parse(there).media[0]?.port ?? 0, '::1');
      for (const message of heard) assert.deepEqual((await message)[0], packet);
    } finally {
      old.close();
      modern.close();
      sessions.close();
      await both.close();
    }
  });

  it('takes no more calls than it is told, and none while it drains', () => {
    const small = new SessionManager({ dataplane: plane, interfaces: ['default'], maxSessions: 1, timeoutSeconds: 60 });
    const offer = (callId: string) =>
      runCommand(small, { command: 'offer', 'call-id': callId, 'from-tag': 'a', sdp: GATEWAY_SDP }, 0).reply;
    assert.equal(offer('one')['result'], 'ok');
    assert.match(String(offer('two')['error-reason']), /limit/);
    small.draining = true;
    assert.equal(offer('one')['result'], 'ok');
    assert.match(String(offer('three')['error-reason']), /draining/);
    small.close();
    assert.equal(plane.totals().portsInUse, 0);
  });

  for (const [what, command, reason] of [
    ['an unknown command', { command: 'dance' }, /Unrecognized command/],
    ['an offer without SDP', { command: 'offer', 'call-id': 'x', 'from-tag': 'a' }, /No SDP body/],
    ['SDP that is none', { command: 'offer', 'call-id': 'x', 'from-tag': 'a', sdp: 'hello' }, /parse SDP/],
    [
      'an answer to nothing',
      { command: 'answer', 'call-id': 'x', 'from-tag': 'a', 'to-tag': 'b', sdp: GATEWAY_SDP },
      /Unknown call-id/,
    ],
  ] as const) {
    it(`refuses ${what} with a reason and keeps nothing`, () => {
      const reply = ng(command);
      assert.equal(reply['result'], 'error');
      assert.match(reply['error-reason'] as string, reason);
      assert.equal(manager.size, 0);
    });
  }
});
