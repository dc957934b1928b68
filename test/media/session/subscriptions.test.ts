import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { copyOperations, recordingOperations } from '../../../media/ng/mod.ts';
import { Recordings } from '../../../media/recording/mod.ts';
import { explain as explainCall, type SessionManager } from '../../../media/session/mod.ts';
import type { Bencode } from '../../../vocabulary/mod.ts';
import { mutate, random } from '../../support/mutate.ts';
import { ANSWER, OFFER, pureService } from '../ng/node.ts';
import { PlaneDouble } from './plane-double.ts';

type Message = Record<string, Bencode>;
type Reply = Record<string, unknown>;

const CALLER = { address: '127.0.0.1', transport: 'udp' } as const;

function node() {
  const { manager, plane, time, service } = pureService({}, 10, copyOperations);
  const ask = (message: Message): Reply => {
    let reply: Reply = {};
    const text = JSON.stringify({ 'call-id': 'c', ...message });
    service.handlePlain(Buffer.from(text), CALLER, (bytes) => (reply = JSON.parse(bytes.toString()) as Reply));
    return reply;
  };
  const call = () => {
    assert.equal(ask({ command: 'offer', 'from-tag': 'a', sdp: OFFER })['result'], 'ok');
    assert.equal(ask({ command: 'answer', 'from-tag': 'a', 'to-tag': 'b', sdp: ANSWER })['result'], 'ok');
  };
  return { manager, plane, time, ask, call };
}

/** Takes whatever is offered, at a port of its own. */
function accept(offer: unknown, more = ''): string {
  return String(offer)
    .replaceAll('a=sendonly', 'a=recvonly')
    .replace(/^a=(crypto|setup|fingerprint|rtcp).*\r\n/gm, '')
    .concat(more);
}

const reasonOf = (reply: Reply) => reply['error-reason'] ?? reply['result'];

describe('subscriptions to the media of a call', () => {
  it('copy when they are answered, as long as the subscriber wants it', () => {
    const { ask, call, plane, manager } = node();
    const explain = () => explainCall(manager.get('c') ?? assert.fail(), 0).join('\n');
    call();
    const before = plane.open.size;
    const offer = ask({ command: 'subscribe request', 'from-tag': 'a', 'to-tag': 's' });
    assert.equal(plane.taps.size, 0);
    assert.equal(ask({ command: 'subscribe answer', 'to-tag': 's', sdp: accept(offer['sdp']) })['result'], 'ok');
    const [tap] = plane.taps;
    const [from = '', to = ''] = tap?.split(' ') ?? [];
    assert.match(
      explain(),
      /^subscriber s: hears line 1 of a: copied, at 127\.0\.0\.1:20006; keys: none: plain RTP; 0 sent/m,
    );
    assert.deepEqual(plane.open.get(Number(from))?.remote?.rtp, { address: '127.0.1.1', port: 6000 });
    assert.equal(plane.open.get(Number(to))?.spec.affinity, 'c');
    const held = accept(offer['sdp']).replace('recvonly', 'inactive');
    assert.equal(ask({ command: 'subscribe answer', 'to-tag': 's', sdp: held })['result'], 'ok');
    assert.equal(plane.taps.size, 0);
    assert.equal(ask({ command: 'unsubscribe', 'to-tag': 's' })['result'], 'ok');
    assert.equal(plane.open.size, before);
    assert.equal(reasonOf(ask({ command: 'unsubscribe', 'to-tag': 's' })), 'To-tag not found');
  });

  it('follow a party to another endpoint, and go with the call', () => {
    const { ask, call, plane, manager } = node();
    call();
    const offer = ask({ command: 'subscribe request', 'from-tag': 'b', 'to-tag': 's' });
    ask({ command: 'subscribe answer', 'to-tag': 's', sdp: accept(offer['sdp']) });
    const [before] = plane.taps;
    // Towards b it becomes WebRTC: another socket.
    const webrtc = { ICE: 'force', 'transport-protocol': 'UDP/TLS/RTP/SAVPF', 'rtcp-mux': ['require'] };
    assert.equal(ask({ command: 'offer', 'from-tag': 'a', 'to-tag': 'b', sdp: OFFER, ...webrtc })['result'], 'ok');
    const [after] = plane.taps;
    assert.equal(plane.taps.size, 1);
    assert.notEqual(after, before);
    assert.equal(ask({ command: 'delete' })['result'], 'ok');
    assert.equal(manager.size, 0);
    assert.equal(plane.open.size, 0);
    assert.equal(plane.taps.size, 0);
  });

  it('hear a party on every branch that it may speak on', () => {
    const { ask, plane } = node();
    for (const branch of ['1', '2']) ask({ command: 'offer', 'from-tag': 'a', 'via-branch': branch, sdp: OFFER });
    for (const branch of ['1', '2'])
      ask({ command: 'answer', 'from-tag': 'a', 'to-tag': `b${branch}`, 'via-branch': branch, sdp: ANSWER });
    const offer = ask({ command: 'subscribe request', 'from-tag': 'a', 'to-tag': 's' });
    assert.equal(String(offer['sdp']).match(/^m=/gm)?.length, 1);
    ask({ command: 'subscribe answer', 'to-tag': 's', sdp: accept(offer['sdp']) });
    assert.equal(plane.taps.size, 2);
  });

  it('are offered by the protocol that is asked for, with keys of their own', () => {
    const { ask, call, plane } = node();
    call();
    const request = { command: 'subscribe request', 'from-tag': 'a', 'to-tag': 's', 'transport-protocol': 'RTP/SAVP' };
    const sdp = String(ask({ ...request, DTLS: 'off' })['sdp']);
    assert.match(sdp, /^m=audio \d+ RTP\/SAVP 0 101\r$/m);
    const [line = ''] = /^a=crypto:7 .*$/m.exec(sdp) ?? [];
    const answer = accept(sdp, line.replace(/inline:.*/, `inline:${Buffer.alloc(30, 5).toString('base64')}\r\n`));
    assert.equal(reasonOf(ask({ command: 'subscribe answer', 'to-tag': 's', sdp: answer })), 'ok');
    const crypto = [...plane.open.values()].at(-1)?.remote?.crypto;
    assert.equal(crypto?.type, 'sdes');
    assert.deepEqual(crypto?.type === 'sdes' && Buffer.from(crypto.receive.keySalt), Buffer.alloc(30, 5));
    // Without a key it would leave in the clear.
    assert.equal(
      reasonOf(ask({ command: 'subscribe answer', 'to-tag': 's', sdp: accept(sdp) })),
      'Failed to process subscription answer',
    );
    assert.equal(
      reasonOf(ask({ command: 'subscribe answer', 'to-tag': 's', sdp: accept(sdp).replace('SAVP', 'AVP') })),
      'Failed to process subscription answer',
    );
    const dtls = String(
      ask({ ...request, 'transport-protocol': 'UDP/TLS/RTP/SAVPF', SDES: ['off'], ICE: 'force' })['sdp'],
    );
    assert.match(dtls, /^a=setup:actpass\r$/m);
    assert.match(dtls, /^a=ice-ufrag:/m);
    assert.doesNotMatch(dtls, /^a=crypto/m);
  });

  it('of SRTP that passes unopened have its key, and a re-INVITE opens nothing', () => {
    const { ask, plane } = node();
    const crypto = (seed: number, tag = 1) =>
      `a=crypto:${tag} AES_CM_128_HMAC_SHA1_80 inline:${Buffer.alloc(30, seed).toString('base64')}\r\n`;
    const secure = (sdp: string, ...lines: string[]) => sdp.replace('RTP/AVP', 'RTP/SAVP') + lines.join('');
    // The second of two keys is taken.
    const other = crypto(9).replace('128_HMAC_SHA1_80', '128_HMAC_SHA1_32');
    const offer = { command: 'offer', 'from-tag': 'a', DTLS: 'off', sdp: secure(OFFER, other, crypto(1, 2)) };
    ask(offer);
    ask({ command: 'answer', 'from-tag': 'a', 'to-tag': 'b', sdp: secure(ANSWER, crypto(2, 2)) });
    const known = () =>
      [...plane.open.values()].map(({ remote }) => [
        remote?.rtp?.port,
        remote?.crypto.type,
        remote?.copyKey && Buffer.from(remote.copyKey.keySalt)[0],
      ]);
    const passing = [
      [7000, 'none', 2],
      [6000, 'none', 1],
    ];
    assert.deepEqual(known(), passing);
    assert.equal(ask({ ...offer, 'to-tag': 'b' })['result'], 'ok');
    assert.deepEqual(known(), passing);
  });

  it('take an answer with part of the formats only where that is asked for', () => {
    const { ask, call } = node();
    call();
    const offer = String(ask({ command: 'subscribe request', 'from-tag': 'b', 'to-tag': 's' })['sdp']);
    const answer = (formats: string, flags: string[] = []) =>
      reasonOf(
        ask({
          ...{ command: 'subscribe answer', 'to-tag': 's', flags },
          sdp: accept(offer).replace(/^m=audio.*$/m, `m=audio 9000 RTP/AVP ${formats}`),
        }),
      );
    assert.equal(answer('0'), 'Failed to process subscription answer');
    assert.equal(answer('0', ['allow-transcoding']), 'ok');
    assert.equal(answer('8'), 'Failed to process subscription answer');
    assert.equal(answer('9', ['allow transcoding']), 'Failed to process subscription answer');
    assert.equal(answer('0 101'), 'ok');
  });

  it('are of all the parties that a list or flags name', () => {
    const { ask, call } = node();
    call();
    const tags = (keys: Message) => ask({ command: 'subscribe request', ...keys })['from-tags'];
    assert.deepEqual(tags({ 'from-tags': ['b', 'a'] }), ['b', 'a']);
    assert.deepEqual(tags({ flags: ['from-tags-a', 'from-tags-b'] }), ['a', 'b']);
  });

  it('are coded where that is allowed, and where the subscriber does not take what is sent', () => {
    const { ask, call, plane } = node();
    call();
    const offer = ask({ command: 'subscribe request', 'from-tag': 'a', 'to-tag': 's', codec: { transcode: ['opus'] } });
    assert.match(String(offer['sdp']), /^m=audio \d+ RTP\/AVP 0 96 101\r\n[^]*a=rtpmap:96 opus\/48000\/2/m);
    const answer = (formats: string, more = '', flags = ['allow-transcoding']) =>
      ask({
        ...{ command: 'subscribe answer', 'to-tag': 's', flags },
        sdp: `v=0\r\no=- 1 1 IN IP4 127.0.1.3\r\ns=-\r\nc=IN IP4 127.0.1.3\r\nt=0 0\r\nm=audio 9 RTP/AVP ${formats}\r\na=recvonly\r\n${more}`,
      })['result'];
    const coding = () =>
      [...plane.codings.values()].map(({ in: from, out, dtmf, untouched }) => ({
        from: from.map(({ codec, pt }) => `${pt} ${codec}`),
        to: `${out.pt} ${out.codec} ${out.ptimeMs}`,
        dtmf: dtmf.map(({ inPt, outPt }) => `${inPt} ${outPt}`),
        untouched: untouched.map(({ pt }) => pt),
      }));
    assert.equal(answer('96 102', 'a=rtpmap:96 opus/48000/2\r\na=rtpmap:102 telephone-event/48000\r\n'), 'ok');
    assert.deepEqual(coding(), [{ from: ['0 PCMU'], to: '96 opus 20', dtmf: ['101 102'], untouched: [] }]);
    const { tags } = ask({ command: 'query' }) as { tags: Record<string, { medias: { flags: string[] }[] }> };
    assert.equal(tags['s']?.medias[0]?.flags.includes('transcoding'), true);
    const { explanation } = ask({ command: 'explain' }) as { explanation: string[] };
    assert.match(explanation.join('\n'), /subscriber s: hears line 1 of a: coded,/);
    assert.equal(answer('8', 'a=ptime:40\r\n'), 'ok');
    assert.deepEqual(coding(), [{ from: ['0 PCMU'], to: '8 PCMA 40', dtmf: [], untouched: [] }]);
    assert.equal(answer('0 8'), 'ok');
    assert.deepEqual([coding(), plane.taps.size], [[], 1]);
    // The party may speak another codec from now on.
    const both = ANSWER.replace('AVP 0 101', 'AVP 0 8 101');
    ask({ command: 'offer', 'from-tag': 'a', 'to-tag': 'b', sdp: OFFER });
    assert.equal(ask({ command: 'answer', 'from-tag': 'a', 'to-tag': 'b', sdp: both })['result'], 'ok');
    assert.equal(answer('8'), 'ok');
    assert.deepEqual(coding(), [{ from: ['0 PCMU'], to: '8 PCMA 20', dtmf: [], untouched: [8] }]);
  });

  it('are offered anew under the same to-tag, with ports that stay where the source does', () => {
    const { ask, call, plane } = node();
    call();
    const first = ask({ command: 'subscribe request', flags: ['all'], 'to-tag': 's' });
    ask({ command: 'subscribe answer', 'to-tag': 's', sdp: accept(first['sdp']) });
    assert.equal(plane.taps.size, 2);
    const second = ask({ command: 'subscribe request', 'from-tag': 'a', 'to-tag': 's' });
    const ports = (reply: Reply) => [...String(reply['sdp']).matchAll(/^m=audio (\d+)/gm)].map(([, port]) => port);
    assert.deepEqual(ports(second), ports(first).slice(0, 1));
    assert.equal(plane.taps.size, 1);
  });

  it('are so many at most, and none without a port or a party', () => {
    const { ask, call, plane } = node();
    call();
    const before = plane.open.size;
    for (let i = 0; i < 32; i++)
      assert.equal(ask({ command: 'subscribe request', 'from-tag': 'a', 'to-tag': `s${i}` })['result'], 'ok');
    const request = { command: 'subscribe request', 'from-tag': 'a' };
    assert.equal(reasonOf(ask(request)), 'more than 32 subscriptions in one call');
    for (let i = 0; i < 32; i++) ask({ command: 'unsubscribe', 'to-tag': `s${i}` });
    assert.equal(plane.open.size, before);
    assert.equal(reasonOf(ask({ ...request, 'to-tag': 'b' })), 'Failed to request subscription');
    assert.equal(reasonOf(ask({ ...request, 'from-tag': 'zz' })), 'From-tag given, but no such tag exists');
    plane.portsLeft = 0;
    assert.equal(reasonOf(ask({ ...request, 'to-tag': 'none' })), 'Ran out of ports');
    assert.equal(reasonOf(ask({ command: 'unsubscribe', 'to-tag': 'none' })), 'To-tag not found');
  });
});

describe('publishers', () => {
  const publish = { command: 'publish', 'call-id': 'p', 'from-tag': 'p', sdp: OFFER };

  it('are heard by subscribers and end like calls', () => {
    const { ask, plane, manager, time } = node();
    const reply = ask(publish);
    assert.match(String(reply['sdp']), /^m=audio \d+ RTP\/AVP 0\r\n(?:.*\r\n)*a=recvonly\r$/m);
    assert.equal(plane.open.size, 1);
    const offer = ask({ command: 'subscribe request', 'call-id': 'p', 'from-tag': 'p', 'to-tag': 's' });
    ask({ command: 'subscribe answer', 'call-id': 'p', 'to-tag': 's', sdp: accept(offer['sdp']) });
    assert.equal(plane.taps.size, 1);
    const query = ask({ command: 'query', 'call-id': 'p' });
    assert.deepEqual(Object.keys(query['tags'] as object), ['p', 's']);
    manager.sweep(time.now + 61_000);
    assert.deepEqual([manager.size, plane.open.size, plane.taps.size], [0, 0, 0]);
  });

  it('say which of their formats they may send', () => {
    const { ask } = node();
    assert.match(String(ask({ ...publish, codec: { accept: ['PCMA'] } })['sdp']), /^m=audio \d+ RTP\/AVP 8\r$/m);
    const none = ask({ ...publish, 'from-tag': 'q', codec: { accept: ['opus'] } });
    assert.equal(none['error-reason'], 'No media that can be published');
  });

  it('leave nothing behind when they are refused, and are no party of a call', () => {
    const { ask, plane, manager } = node();
    assert.equal(ask({ ...publish, sdp: OFFER.replace('audio 6000', 'audio 0') })['result'], 'error');
    plane.portsLeft = 0;
    assert.equal(ask(publish)['error-reason'], 'Ran out of ports');
    assert.deepEqual([manager.size, plane.open.size], [0, 0]);
    plane.portsLeft = 100;
    ask(publish);
    ask({ command: 'offer', 'call-id': 'p', 'from-tag': 'x', sdp: OFFER });
    assert.equal(ask({ ...publish, 'from-tag': 'x' })['error-reason'], 'This from-tag is that of a party of the call');
    // What a party offers under a publisher's tag is another branch.
    ask({ command: 'offer', 'call-id': 'p', 'from-tag': 'p', sdp: OFFER });
    assert.equal(manager.get('p')?.dialogues.length, 3);
  });
});

describe('copies of calls', () => {
  it('in any order, with bodies that are broken, leave nothing behind', async () => {
    const pick = random(7);
    const one = <T>(list: readonly T[]): T => list[pick(list.length)] as T;
    const plane = new PlaneDouble();
    const recordings = new Recordings({
      ...{ dataplane: plane, now: () => 0, unique: () => String(pick(2 ** 32)), closed: () => undefined },
      folder: { pcap: (name) => name, usedBytes: () => Promise.resolve(0), writeMetadata: () => Promise.resolve() },
    });
    const operations = (manager: SessionManager) => ({
      ...copyOperations(manager),
      ...recordingOperations(recordings),
    });
    const { service, manager, time } = pureService({}, 5, operations, plane);
    const results = new Map<string, number>();
    let offered = ANSWER;
    const calls = ['1', '2', '3', '4', '5', '6', '7'];
    for (let i = 0; i < 3000; i++) {
      plane.portsLeft = pick(20) === 0 ? 0 : 100;
      plane.diskFull = pick(20) === 0;
      time.now += pick(100);
      const sdp = one([OFFER, ANSWER, offered, offered, mutate(Buffer.from(offered), pick).toString('latin1')]);
      const [tag, other, subscriber] = [one(['a', 'b', 'p']), one(['a', 'b']), one(['s', 't'])];
      const message: Message = one<Message>([
        {
          command: 'offer',
          'from-tag': tag,
          sdp,
          ...(pick(2) ? { 'to-tag': other } : {}),
          'record-call': one(['yes', '']),
        },
        { command: 'answer', 'from-tag': tag, 'to-tag': other, sdp },
        { command: 'publish', 'from-tag': 'p', sdp },
        { command: 'subscribe request', 'from-tag': tag, 'to-tag': subscriber, SDES: [one(['off', 'pad'])] },
        { command: 'subscribe request', flags: ['all', 'SIPREC'], 'transport-protocol': one(['RTP/SAVP', 'RTP/AVP']) },
        { command: 'subscribe answer', 'to-tag': subscriber, sdp, flags: one([[], ['allow-transcoding']]) },
        { command: 'subscribe answer', 'to-tag': subscriber, sdp },
        { command: 'unsubscribe', 'to-tag': subscriber },
        ...['start', 'pause', 'stop'].map((verb) => ({ command: `${verb} recording`, metadata: 'x' })),
        { command: 'query' },
        { command: 'delete', ...(pick(3) ? { 'from-tag': tag } : {}), 'delete-delay': pick(2) },
      ]);
      service.handlePlain(Buffer.from(JSON.stringify({ 'call-id': one(calls), ...message })), CALLER, (bytes) => {
        const reply = JSON.parse(bytes.toString()) as Reply;
        assert.doesNotMatch(String(reply['error-reason']), /Internal error/, JSON.stringify(message));
        const key = `${message['command'] as string} ${String(reply['result'])}`;
        results.set(key, (results.get(key) ?? 0) + 1);
        if (typeof reply['sdp'] === 'string') offered = accept(reply['sdp']);
      });
      if (pick(50) === 0) service.sweep();
    }
    // It was about something: all of them have been done, and refused.
    for (const name of ['publish', 'subscribe request', 'subscribe answer', 'unsubscribe', 'start recording'])
      for (const result of ['ok', 'error'])
        assert.ok((results.get(`${name} ${result}`) ?? 0) > 10, `${name} ${result}`);
    for (const session of manager.all()) manager.release(manager.remove(session.callId, {}) ?? assert.fail());
    await recordings.close();
    assert.deepEqual([manager.size, plane.open.size, plane.taps.size, recordings.size], [0, 0, 0, 0]);
    assert.equal(plane.recordings.size, 0);
  }).timeout(20_000);
});
