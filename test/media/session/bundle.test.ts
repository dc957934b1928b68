import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'mocha';
import { parse } from 'sdp-transform';
import { runCommand } from '../../../media/ng/mod.ts';
import { readFlags, SessionManager } from '../../../media/session/mod.ts';
import type { Bencode } from '../../../vocabulary/mod.ts';
import { random } from '../../support/mutate.ts';
import { PlaneDouble } from './plane-double.ts';

type Dictionary = Record<string, Bencode>;

const MID = 'urn:ietf:params:rtp-hdrext:sdes:mid';
const NOW = 1_700_000_000_000;

const sdp = (head: readonly string[], ...lines: (readonly string[])[]) =>
  ['v=0', 'o=- 1 1 IN IP4 192.0.2.7', 's=-', 't=0 0', ...head, ...lines.flat(), ''].join('\r\n');
const audio = (port: number, ...more: string[]) => [
  ...[`m=audio ${port} RTP/AVP 0`, 'c=IN IP4 192.0.2.7', 'a=rtpmap:0 PCMU/8000'],
  ...more,
];
const video = (port: number, ...more: string[]) => [
  ...[`m=video ${port} RTP/AVP 96`, 'c=IN IP4 192.0.2.7', 'a=rtpmap:96 VP8/90000'],
  ...more,
];
const plain = sdp([], audio(4000), video(4002));

const KEYS = ['a=ice-ufrag:Yk2q', 'a=ice-pwd:8lQ2lTPk6cVNeN9Bv8XQnGzF', 'a=fingerprint:sha-256 7B:8B'];
/** As a browser says it: every line whole, or the second one only within the bundle. */
const browser = (setup: string, group = '0 1', second: 'whole' | 'bundle-only' | 'gone' = 'whole') => {
  const whole = [...KEYS, `a=setup:${setup}`, 'a=rtcp-mux'];
  const port = second === 'whole' ? 9 : 0;
  return sdp(
    [`a=group:BUNDLE ${group}`],
    [
      ...['m=audio 9 UDP/TLS/RTP/SAVPF 111', 'c=IN IP4 0.0.0.0', 'a=rtpmap:111 opus/48000/2', 'a=mid:0', 'a=sendrecv'],
      ...[`a=extmap:4 ${MID}`, 'a=ssrc:1001 cname:x', ...whole],
    ],
    [
      ...[`m=video ${port} UDP/TLS/RTP/SAVPF 96`, 'c=IN IP4 0.0.0.0', 'a=rtpmap:96 VP8/90000', 'a=mid:1', 'a=sendrecv'],
      ...[`a=extmap:4 ${MID}`, 'a=ssrc:1002 cname:x'],
      ...(second === 'whole' ? whole : second === 'bundle-only' ? ['a=bundle-only'] : []),
    ],
  );
};

const WEBRTC = { ICE: 'force', 'transport-protocol': 'UDP/TLS/RTP/SAVPF', SDES: ['off'], 'rtcp-mux': ['require'] };
const PLAIN = { ICE: 'remove', 'transport-protocol': 'RTP/AVP', DTLS: 'off', SDES: ['off'], 'rtcp-mux': ['demux'] };

describe('BUNDLE', () => {
  let plane: PlaneDouble;
  let manager: SessionManager;

  beforeEach(() => {
    plane = new PlaneDouble();
    manager = new SessionManager({ dataplane: plane, interfaces: ['default'], maxSessions: 10, timeoutSeconds: 60 });
  });

  const ng = (command: string, keys: Dictionary) => {
    const reply = runCommand(manager, { command, 'call-id': 'c', ...keys }, NOW).reply as Dictionary;
    assert.equal(reply['result'], 'ok', JSON.stringify(reply));
    return String(reply['sdp']);
  };
  const offer = (keys: Dictionary) => ng('offer', { 'from-tag': 'a', ...keys });
  const answer = (keys: Dictionary) => ng('answer', { 'from-tag': 'a', 'to-tag': 'b', ...keys });
  const carried = () => [...plane.open.values()].filter(({ spec }) => spec.socket === 'carried');
  const onlyBundle = () => {
    assert.equal(plane.bundles.size, 1);
    return [...plane.bundles.values()][0];
  };
  const gone = () => {
    runCommand(manager, { command: 'delete', 'call-id': 'c' }, NOW);
    assert.deepEqual([plane.open.size, plane.bundles.size], [0, 0]);
  };
  const group = (text: string) => /a=group:BUNDLE (.*)\r/.exec(text)?.[1];
  const has = (text: string, index: number, ...names: string[]) =>
    names.filter((name) => text.split('m=')[index + 1]?.includes(`a=${name}`));

  it('is not there without its key: a transport a line, no group', () => {
    const offered = offer({ sdp: browser('actpass'), ...WEBRTC });
    assert.equal(group(offered), undefined);
    const answered = answer({ sdp: browser('active') });
    assert.equal(group(answered), undefined);
    assert.equal(plane.open.size, 4);
    assert.equal(carried().length, 0);
    gone();
  });

  it('is taken from who offers it: one transport, told once; the other party has ports of its own', () => {
    const offered = offer({ sdp: browser('actpass'), ...PLAIN });
    assert.equal(group(offered), undefined);
    const answered = answer({ sdp: plain, bundle: ['accept'] });
    assert.equal(group(answered), '0 1');
    const { media } = parse(answered);
    assert.equal(media[0]?.port, media[1]?.port);
    assert.deepEqual(has(answered, 0, 'ice-ufrag', 'candidate', 'fingerprint', 'setup', 'rtcp-mux', 'bundle-only'), [
      ...['ice-ufrag', 'candidate', 'fingerprint', 'setup', 'rtcp-mux'],
    ]);
    assert.deepEqual(has(answered, 1, 'ice-ufrag', 'candidate', 'fingerprint', 'setup', 'rtcp:', 'rtcp-mux'), [
      'rtcp-mux',
    ]);
    assert.ok(
      answered
        .split('m=')
        .slice(1)
        .every((line) => line.includes(`a=extmap:4 ${MID}`)),
    );
    const [lead] = [...plane.open.values()].filter(({ spec }) => spec.socket === 'shared');
    const [rider] = carried();
    assert.equal(carried().length, 1);
    assert.equal(rider?.spec.carrier, lead?.id);
    // What is known of the party is told to whoever has the sockets.
    assert.deepEqual([rider?.remote, lead?.remote?.crypto.type], [undefined, 'dtls']);
    assert.deepEqual(onlyBundle(), {
      lines: [
        { endpoint: lead?.id, mid: '0', midExtension: 4, payloadTypes: [111], ssrcs: [1001] },
        { endpoint: rider?.id, mid: '1', midExtension: 4, payloadTypes: [96], ssrcs: [1002] },
      ],
    });
    assert.equal(plane.paths.size, 4);
    gone();
  });

  it('takes a line that has no address of its own; without the key it is refused', () => {
    const offered = offer({ sdp: browser('actpass', '0 1', 'bundle-only'), ...PLAIN, bundle: ['accept'] });
    assert.notEqual(parse(offered).media[1]?.port, 0);
    const answered = answer({ sdp: plain });
    assert.equal(group(answered), '0 1');
    assert.equal(parse(answered).media[1]?.port, parse(answered).media[0]?.port);
    assert.equal(carried().length, 1);
    gone();
    assert.equal(parse(offer({ sdp: browser('actpass', '0 1', 'bundle-only'), ...PLAIN })).media[1]?.port, 0);
    gone();
  });

  it('is offered with a transport for each line, and they become one when the answer says so', () => {
    const offered = offer({ sdp: plain, ...WEBRTC, bundle: ['offer'] });
    assert.equal(group(offered), '1 2');
    const { media } = parse(offered);
    assert.notEqual(media[0]?.port, media[1]?.port);
    assert.deepEqual(
      media.map(({ mid, rtcpMux, iceUfrag }) => [String(mid), rtcpMux, iceUfrag !== undefined]),
      [
        ...[
          ['1', 'rtcp-mux', true],
          ['2', 'rtcp-mux', true],
        ],
      ],
    );
    assert.notEqual(media[0]?.iceUfrag, media[1]?.iceUfrag);
    assert.ok(media.every(({ ext }) => ext?.some(({ uri }) => uri === MID)));
    const browsers = browser('active', '1 2').replace('a=mid:1', 'a=mid:2').replace('a=mid:0', 'a=mid:1');
    const answered = answer({ sdp: browsers });
    assert.equal(group(answered), undefined);
    // Only we have offered it.
    assert.ok(!answered.includes(MID));
    assert.equal(carried().length, 1);
    assert.deepEqual(
      onlyBundle()?.lines.map(({ mid }) => mid),
      ['1', '2'],
    );
    assert.equal(plane.open.size, 4);
    gone();
  });

  it('stays apart when who was offered it does not answer with a group', () => {
    offer({ sdp: plain, ...WEBRTC, bundle: ['offer'] });
    const apart = browser('active').replace('a=group:BUNDLE 0 1\r\n', '').replace('YK2q', 'Zk2q');
    answer({ sdp: apart });
    assert.equal(carried().length, 0);
    assert.equal(plane.bundles.size, 0);
    assert.ok([...plane.open.values()].every(({ remote }) => remote !== undefined));
    const again = offer({ sdp: plain, 'to-tag': 'b', ...WEBRTC, bundle: ['offer'] });
    assert.notEqual(parse(again).media[0]?.port, parse(again).media[1]?.port);
    assert.equal(plane.open.size, 4);
    gone();
  });

  it('that is required gives the other lines no address, and they go when there is no group in the answer', () => {
    const offered = offer({ sdp: plain, ...WEBRTC, bundle: ['require'] });
    assert.equal(parse(offered).media[1]?.port, 0);
    assert.deepEqual(has(offered, 1, 'bundle-only', 'ice-ufrag', 'fingerprint', 'rtcp-mux'), [
      'bundle-only',
      'rtcp-mux',
    ]);
    assert.deepEqual(has(offered, 0, 'bundle-only'), []);
    assert.equal(carried().length, 1);
    const answered = answer({ sdp: browser('active', '0').replaceAll('a=group:BUNDLE 0\r\n', '') });
    assert.deepEqual(
      parse(answered).media.map(({ port }) => port === 0),
      [false, true],
    );
    assert.equal(carried().length, 0);
    assert.equal(plane.bundles.size, 0);
    gone();
  });

  it('bundled to bundled: a transport a party, whatever the answerer leaves out of it', () => {
    offer({ sdp: browser('actpass'), ...WEBRTC, bundle: ['require', 'accept'] });
    const answered = answer({ sdp: browser('active') });
    assert.equal(group(answered), '0 1');
    assert.equal(carried().length, 2);
    assert.equal(plane.bundles.size, 2);
    gone();
    offer({ sdp: browser('actpass'), ...WEBRTC, bundle: ['require', 'accept'] });
    const without = answer({ sdp: browser('active', '0', 'gone') });
    assert.equal(group(without), '0');
    assert.equal(parse(without).media[1]?.port, 0);
    assert.deepEqual([carried().length, plane.open.size, plane.bundles.size], [0, 2, 0]);
    gone();
  });

  it('outlives the line that it began with', () => {
    const crypto = 'a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj';
    const both = (first: number, mids: string) =>
      sdp(
        [`a=group:BUNDLE ${mids}`],
        [`m=audio ${first} RTP/SAVP 0`, 'c=IN IP4 192.0.2.8', 'a=mid:0', 'a=rtcp-mux', crypto],
        ['m=video 5000 RTP/SAVP 96', 'c=IN IP4 192.0.2.8', 'a=rtpmap:96 VP8/90000', 'a=mid:1', 'a=rtcp-mux', crypto],
      );
    const keys = { ...PLAIN, bundle: ['accept'] };
    offer({ sdp: both(5000, '0 1'), ...keys });
    const first = answer({ sdp: plain });
    const [lead] = [...plane.open.values()].filter(({ remote }) => remote?.crypto.type === 'sdes');
    offer({ sdp: both(0, '1'), 'to-tag': 'b', ...keys });
    const second = answer({ sdp: sdp([], audio(0), video(4002)) });
    assert.equal(group(second), '1');
    const ports = (text: string) => parse(text).media.map(({ port }) => port);
    assert.deepEqual(ports(second), [0, ports(first)[1]]);
    // All of the transport is told with the line that is first now, and it is the same.
    assert.equal(/a=crypto.*/.exec(second)?.[0], /a=crypto.*/.exec(first)?.[0]);
    assert.ok(lead && plane.open.has(lead.id));
    assert.deepEqual(
      onlyBundle()?.lines.map(({ mid }) => mid),
      ['1'],
    );
    offer({ sdp: both(5000, '0 1'), 'to-tag': 'b', ...PLAIN });
    const third = answer({ sdp: plain });
    assert.deepEqual(ports(third), ports(first));
    assert.equal(/a=crypto.*/.exec(third)?.[0], /a=crypto.*/.exec(first)?.[0]);
    assert.equal(onlyBundle()?.lines.length, 2);
    gone();
  });

  it('of a browser begins anew when the line that spoke for it ends', () => {
    offer({ sdp: browser('actpass'), ...WEBRTC, bundle: ['require', 'accept'] });
    const first = answer({ sdp: browser('active') });
    const hungUp = browser('actpass', '1').replace('m=audio 9', 'm=audio 0');
    const offered = offer({ sdp: hungUp, 'to-tag': 'b', ...WEBRTC });
    assert.equal(parse(offered).media[1]?.setup, 'actpass');
    const second = answer({ sdp: hungUp.replace('actpass', 'active') });
    assert.equal(group(second), '1');
    assert.ok(parse(second).media[1]?.iceUfrag);
    assert.notEqual(parse(second).media[1]?.iceUfrag, parse(first).media[0]?.iceUfrag);
    assert.deepEqual([carried().length, plane.open.size], [0, 2]);
    gone();
  });

  it('takes another line in, and lets one go that leaves the group', () => {
    const one = browser('actpass', '0').replace(/m=video[^]*/, '');
    offer({ sdp: one, ...PLAIN, bundle: ['accept'] });
    const first = answer({ sdp: sdp([], audio(4000)) });
    assert.equal(carried().length, 0);
    offer({ sdp: browser('actpass', '0 1', 'bundle-only'), 'to-tag': 'b', ...PLAIN, bundle: ['accept'] });
    const second = answer({ sdp: plain });
    assert.equal(parse(second).media[0]?.iceUfrag, parse(first).media[0]?.iceUfrag);
    assert.equal(carried().length, 1);
    const own = browser('actpass', '0').replace(/Yk2q(?![^]*Yk2q)/, 'Other');
    offer({ sdp: own, 'to-tag': 'b', ...PLAIN, bundle: ['accept'] });
    const third = answer({ sdp: plain });
    assert.equal(group(third), '0');
    assert.equal(carried().length, 0);
    assert.equal(parse(third).media[0]?.iceUfrag, parse(first).media[0]?.iceUfrag);
    assert.notEqual(parse(third).media[1]?.iceUfrag, parse(first).media[0]?.iceUfrag);
    assert.equal(plane.bundles.size, 0);
    gone();
  });

  it('of one line is a name: its keys pass, and nothing is added but the name', () => {
    const crypto = 'a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj';
    const one = (key: string) =>
      sdp(
        [],
        audio(4000, crypto.replace('d0Rm', key)).map((line) => line.replace('RTP/AVP', 'RTP/SAVP')),
      );
    const keys = { 'transport-protocol': 'RTP/SAVP', DTLS: 'off', bundle: ['offer', 'accept'] };
    const offered = offer({ sdp: one('d0Rm'), ...keys });
    assert.equal(group(offered), '1');
    assert.ok(offered.includes('inline:d0Rm') && !offered.includes(MID) && !offered.includes('a=rtcp-mux'));
    const answered = answer({ sdp: one('e1Sn').replace('a=rtpmap', 'a=mid:1\r\na=rtpmap') });
    assert.ok(answered.includes('inline:e1Sn'));
    assert.ok([...plane.open.values()].every(({ remote }) => remote?.crypto.type === 'none'));
    gone();
  });

  it('goes on in a re-offer to who has answered with it: the same port, new lines without an address', () => {
    offer({ sdp: sdp([], audio(4000), audio(4002)), 'transport-protocol': 'RTP/SAVP', DTLS: 'off', bundle: ['offer'] });
    const crypto = 'a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj';
    const line = (mid: number, port: number, ...more: string[]) => [
      ...[`m=audio ${port} RTP/SAVP 0`, 'c=IN IP4 192.0.2.8', `a=mid:${mid}`, 'a=rtcp-mux', ...more],
    ];
    answer({ sdp: sdp(['a=group:BUNDLE 1 2'], line(1, 5000, crypto), line(2, 5000)) });
    assert.equal(onlyBundle()?.lines.length, 2);
    const again = offer({
      sdp: sdp([], audio(4000), audio(4002), audio(4004)),
      ...{ 'to-tag': 'b', 'transport-protocol': 'RTP/SAVP', DTLS: 'off' },
    });
    assert.equal(group(again), '1 2 3');
    const { media } = parse(again);
    assert.equal(media[0]?.port, media[1]?.port);
    assert.equal(media[2]?.port, 0);
    assert.deepEqual(
      media.map((own) => own.crypto !== undefined),
      [true, false, false],
    );
    assert.deepEqual(has(again, 2, 'bundle-only'), ['bundle-only']);
    assert.deepEqual(has(again, 1, 'bundle-only'), []);
    gone();
  });

  it('of a publisher is one transport too', () => {
    const flags = readFlags({ bundle: ['accept'] });
    const names = { callId: 'c', fromTag: 'p', toTag: undefined, viaBranch: undefined };
    const reply = manager.publish({ ...names, sdp: browser('actpass'), flags }, NOW);
    assert.equal(group(reply), '0 1');
    assert.equal(carried().length, 1);
    assert.equal(onlyBundle()?.lines.length, 2);
    gone();
  });

  it('gives the ports back when there are none for a line of it', () => {
    plane.portsLeft = 1;
    const reply = runCommand(
      manager,
      { command: 'offer', 'call-id': 'c', 'from-tag': 'a', sdp: plain, ...WEBRTC, bundle: ['require'] },
      NOW,
    ).reply as Dictionary;
    assert.equal(reply['result'], 'error');
    assert.deepEqual([plane.open.size, plane.bundles.size], [0, 0]);
  });

  it('comes and goes in any order of offers and answers, and nothing is left', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const pick = random(seed);
      const some = <T>(...of: readonly T[]) => of[pick(of.length)] as T;
      const describe3 = (answered: boolean): string => {
        const lines = [0, 1, 2].map((mid) => ({ mid, port: some(0, 9, 9, 9), bundleOnly: !answered && pick(4) === 0 }));
        const members = lines.filter(({ port, bundleOnly }) => (port > 0 || bundleOnly) && pick(5) > 0);
        const named = members.map(({ mid }) => mid).join(' ');
        return sdp(
          named === '' ? [] : [`a=group:BUNDLE ${named}`],
          ...lines.map(({ mid, port, bundleOnly }) => [
            ...[`m=audio ${bundleOnly ? 0 : port} UDP/TLS/RTP/SAVPF 0`, 'c=IN IP4 192.0.2.1', `a=mid:${mid}`],
            ...[...KEYS, `a=setup:${answered ? 'active' : 'actpass'}`, 'a=rtcp-mux'],
            ...(bundleOnly ? ['a=bundle-only'] : []),
          ]),
        );
      };
      for (let step = 0; step < 12; step++) {
        const turned = step > 1 && pick(2) === 0;
        const names = { 'call-id': 'c', 'from-tag': turned ? 'b' : 'a' };
        const tags = { ...names, ...(step > 1 ? { 'to-tag': turned ? 'a' : 'b' } : {}) };
        const keys = {
          ...some(WEBRTC, PLAIN),
          bundle: some([], ['accept'], ['offer', 'accept'], ['require', 'accept'], ['reject']),
        };
        plane.portsLeft = some(100, 100, 100, 3);
        const run = (command: string, more: Dictionary) =>
          runCommand(manager, { command, ...more }, NOW).reply as Dictionary;
        run('offer', { ...tags, ...keys, sdp: describe3(false) });
        const reply = run('answer', {
          ...names,
          'to-tag': turned ? 'a' : 'b',
          sdp: describe3(true),
          bundle: some([], ['accept']),
        });
        for (const { spec } of carried())
          assert.ok(plane.open.has(spec.carrier ?? 0), `seed ${seed}: a carrier is gone`);
        if (reply['result'] !== 'ok') continue;
        const answered = String(reply['sdp']);
        const mids = group(answered)?.split(' ') ?? [];
        const grouped = parse(answered).media.filter(({ mid }) => mids.includes(String(mid)));
        assert.equal(grouped.length, mids.length, `seed ${seed}`);
        assert.ok(
          grouped.every(({ port }) => port > 0 && port === grouped[0]?.port),
          `seed ${seed}: ${answered}`,
        );
        assert.equal(grouped.filter(({ fingerprint }) => fingerprint !== undefined).length, Math.min(1, mids.length));
      }
      gone();
    }
  });
});
