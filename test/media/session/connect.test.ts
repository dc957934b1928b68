import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { connectOperations, copyOperations, recordingOperations } from '../../../media/ng/mod.ts';
import { Recordings, type ClosedRecording } from '../../../media/recording/mod.ts';
import type { Session } from '../../../media/session/mod.ts';
import type { Bencode } from '../../../vocabulary/mod.ts';
import { random } from '../../support/mutate.ts';
import { ANSWER, OFFER, pureService } from '../ng/node.ts';
import { PlaneDouble } from './plane-double.ts';

type Message = Record<string, Bencode>;
type Reply = Record<string, unknown>;

const CALLER = { address: '127.0.0.1', transport: 'http' } as const;

function node() {
  const plane = new PlaneDouble();
  const closed: ClosedRecording[] = [];
  const recordings = new Recordings({
    ...{ dataplane: plane, now: () => 0, unique: () => String(plane.recordings.size) },
    folder: { pcap: (name) => name, usedBytes: () => Promise.resolve(0), writeMetadata: () => Promise.resolve() },
    closed: (one) => closed.push(one),
  });
  const { manager, service, time } = pureService(
    {},
    10,
    (sessions) => ({
      ...connectOperations(sessions),
      ...copyOperations(sessions),
      ...recordingOperations(recordings),
    }),
    plane,
  );
  const ask = (message: Message): Reply => {
    let reply = '';
    service.handlePlain(Buffer.from(JSON.stringify(message)), CALLER, (bytes) => (reply = bytes.toString()));
    return JSON.parse(reply) as Reply;
  };
  /** A call of `<name>1` and `<name>2`, who take these formats. */
  const call = (name: string, offer = OFFER, answer = ANSWER, keys: Message = {}): void => {
    const ids = { 'call-id': name, 'from-tag': `${name}1` };
    assert.equal(ask({ command: 'offer', ...ids, ...keys, sdp: offer })['result'], 'ok');
    assert.equal(ask({ command: 'answer', ...ids, 'to-tag': `${name}2`, sdp: answer })['result'], 'ok');
  };
  const connect = (from: string, to: string, more: Message = {}) => {
    const reply = ask({
      ...{ command: 'connect', 'call-id': from[0] as string, 'from-tag': from, 'to-tag': to },
      ...(from[0] === to[0] ? {} : { 'to-call-id': to[0] as string }),
      ...more,
    });
    return reply['error-reason'] ?? reply['result'];
  };
  /** Who is heard by whom. */
  const heard = (): string[] => {
    const tags = new Map<number, string>();
    for (const { dialogues } of manager.all())
      for (const { a, b, lines } of dialogues)
        for (const line of lines) {
          if (line.a.endpoint) tags.set(line.a.endpoint.id, a.tag ?? '?');
          if (line.b.endpoint) tags.set(line.b.endpoint.id, b.tag ?? '?');
        }
    return [...plane.paths]
      .map(([key, { mode }]) => {
        const [from = '', to = ''] = key.split(' ').map((id) => tags.get(Number(id)) ?? 'nobody');
        return `${from}>${to}${mode === 'transcode' ? ' coded' : ''}`;
      })
      .sort();
  };
  return { plane, manager, service, time, ask, call, connect, heard, closed, recordings };
}

const OPUS = OFFER.replace('0 8 101', '96 101').replace(/a=rtpmap:0[^]*PCMA\/8000/, 'a=rtpmap:96 opus/48000/2');
const G729 = OFFER.replace('0 8 101', '18').replace(/a=rtpmap:0[^]*0-15\r\n/, '');

describe('connect', () => {
  it('lets parties of two calls hear each other, in one call with both names', () => {
    const { connect, heard, call, manager, ask, service } = node();
    call('x');
    call('y');
    assert.deepEqual(heard(), ['x1>x2', 'x2>x1', 'y1>y2', 'y2>y1']);
    assert.equal(connect('x1', 'y1'), 'ok');
    assert.deepEqual(heard(), ['x1>y1', 'y1>x1']);
    assert.equal(manager.get('x'), manager.get('y'));
    assert.deepEqual([manager.size, manager.all().length, service.calls.size], [1, 1, 1]);
    assert.deepEqual(ask({ command: 'list' })['calls'], ['x', 'y']);
    const tags = ask({ command: 'query', 'call-id': 'y' })['tags'] as Record<
      string,
      { subscriptions: object[]; medias: { streams: object[] }[] }
    >;
    assert.deepEqual(Object.keys(tags).sort(), ['x1', 'x2', 'y1', 'y2']);
    assert.deepEqual(tags['y1']?.subscriptions, [{ tag: 'x1', type: 'offer/answer' }]);
    assert.deepEqual(tags['x2']?.subscriptions, []);
    assert.equal(tags['x2']?.medias[0]?.streams.length, 2);
    const { explanation } = ask({ command: 'explain', 'call-id': 'y' }) as { explanation: string[] };
    assert.equal(explanation.filter((line) => line.startsWith('line 1, ')).length, 4);
    // Once more is nothing new.
    assert.equal(connect('x1', 'y1'), 'ok');
    assert.deepEqual(heard(), ['x1>y1', 'y1>x1']);
  });

  it('and back again, and offers between the two go on where they are', () => {
    const { connect, heard, call, ask, plane, manager } = node();
    call('x');
    call('y');
    connect('x1', 'y2');
    const before = plane.open.size;
    const ids = { 'call-id': 'y', 'from-tag': 'x1', 'to-tag': 'y2' };
    assert.equal(ask({ command: 'offer', ...ids, sdp: OFFER })['result'], 'ok');
    assert.equal(ask({ command: 'answer', ...ids, sdp: ANSWER })['result'], 'ok');
    assert.deepEqual([heard(), plane.open.size], [['x1>y2', 'y2>x1'], before]);
    assert.equal(connect('x1', 'x2'), 'ok');
    assert.equal(connect('y2', 'y1'), 'ok');
    assert.deepEqual(heard(), ['x1>x2', 'x2>x1', 'y1>y2', 'y2>y1']);
    assert.equal(manager.get('x')?.dialogues.length, 2);
  });

  it('codes where the two do not speak the same, and refuses where nothing can be done', () => {
    const { connect, heard, call } = node();
    call('x', OPUS, OPUS);
    call('y');
    call('z', G729, G729);
    assert.equal(connect('x2', 'z1'), 'The two parties have no media in common');
    assert.equal(connect('x2', 'y2'), 'ok');
    assert.deepEqual(heard(), ['x2>y2 coded', 'y2>x2 coded', 'z1>z2', 'z2>z1']);
  });

  it('opens what passed unopened, with the keys that the party has and was told', () => {
    const { connect, call, plane, manager } = node();
    const key = (letter: string) => `inline:${Buffer.alloc(30, letter).toString('base64')}`;
    const line = (tag: number, suite: string, letter: string) => `a=crypto:${tag} ${suite} ${key(letter)}\r\n`;
    const secure = (text: string, ...lines: string[]) => text.replace('RTP/AVP', 'RTP/SAVP') + lines.join('');
    const [long, short] = ['AES_256_CM_HMAC_SHA1_80', 'AES_CM_128_HMAC_SHA1_80'];
    const first = line(1, long, 'x').replace(key('x'), `inline:${Buffer.alloc(46, 'x').toString('base64')}`);
    // The second of two is taken, and the key of the answer goes through.
    call('x', secure(OFFER, first, line(2, short, 'a')), secure(ANSWER, line(2, short, 'b')), { DTLS: 'off' });
    call('y');
    const [side] = manager.get('x')?.dialogues[0]?.lines.map(({ a }) => a) ?? [];
    const cryptoOf = () => plane.open.get(side?.endpoint?.id ?? 0)?.remote?.crypto;
    assert.equal(cryptoOf()?.type, 'none');
    assert.equal(connect('x1', 'y1'), 'ok');
    const crypto = cryptoOf();
    assert.ok(crypto?.type === 'sdes');
    assert.deepEqual(
      [crypto.receive, crypto.send].map(({ keySalt }) => String.fromCharCode(keySalt[0] ?? 0)),
      ['a', 'b'],
    );
  });

  it('refuses what is not there, and changes nothing', () => {
    const { connect, heard, call } = node();
    call('x');
    call('y');
    assert.equal(connect('n1', 'x1'), 'Unknown call-ID');
    assert.equal(connect('x1', 'n1'), 'Unknown to-tag call-ID');
    assert.equal(connect('x9', 'y1'), 'From-tag given, but no such tag exists');
    assert.equal(connect('x1', 'y9'), 'To-tag not found');
    assert.equal(connect('x1', 'x1'), 'A party cannot be connected to itself');
    assert.equal(connect('x1', 'y1', { 'from-tag': '' }), 'No participant party specified');
    assert.equal(connect('x1', 'y1', { 'to-tag': '' }), 'No to-tag in message');
    assert.match(String(connect('x1', 'y1', { flags: ['directional'] })), /one stream/);
    assert.deepEqual(heard(), ['x1>x2', 'x2>x1', 'y1>y2', 'y2>y1']);
    call('x', OFFER, ANSWER);
    assert.equal(heard().length, 4);
  });

  it('cannot make one call of two in which somebody has the same tag', () => {
    const { connect, call, ask, manager } = node();
    call('x');
    call('y');
    const ids = { 'call-id': 'y', 'from-tag': 'y1', 'via-branch': 'other' };
    ask({ command: 'offer', ...ids, sdp: OFFER });
    ask({ command: 'answer', ...ids, 'to-tag': 'x2', sdp: ANSWER });
    assert.equal(connect('x1', 'y1'), 'Failed to merge two calls into one (tag collision)');
    assert.equal(manager.size, 2);
  });

  it('ends by the names that the parties have with each other, or all at once', () => {
    const { connect, call, ask, manager, plane, time } = node();
    const gone = (message: Message) =>
      ask({ command: 'delete', 'delete-delay': 0, ...message })['warning'] === undefined;
    const parties = () => manager.get('x')?.dialogues.map(({ a, b }) => `${a.tag ?? ''}-${b.tag ?? ''}`);
    call('x');
    call('y');
    connect('x1', 'y1');
    assert.deepEqual(parties(), ['-x2', '-y2', 'x1-y1']);
    // The parties that were left hang up, each in a dialogue of its own.
    assert.equal(gone({ 'call-id': 'x', 'from-tag': 'x1', 'to-tag': 'x2' }), true);
    assert.equal(gone({ 'call-id': 'y', 'from-tag': 'y2' }), true);
    assert.deepEqual(parties(), ['x1-y1']);
    assert.equal(gone({ 'call-id': 'y', 'from-tag': 'y1' }), true);
    assert.deepEqual([manager.size, plane.open.size], [0, 0]);
    assert.equal(gone({ 'call-id': 'x' }), false);
    assert.equal(manager.get('y'), undefined);
    call('x');
    call('y');
    connect('x1', 'y1');
    assert.equal(gone({ 'call-id': 'y' }), true);
    assert.deepEqual([manager.size, plane.open.size], [0, 0]);
    // And both names are free.
    call('x');
    call('y');
    assert.equal(manager.size, 2);
    time.now += 100_000;
  });

  it('takes subscribers and recordings along', async () => {
    const { connect, call, ask, plane, closed, recordings } = node();
    call('x');
    call('y');
    for (const name of ['x', 'y']) {
      const { sdp } = ask({
        command: 'subscribe request',
        'call-id': name,
        'from-tag': `${name}1`,
        'to-tag': `${name}s`,
      });
      const answer = String(sdp).replace('sendonly', 'recvonly');
      ask({ command: 'subscribe answer', 'call-id': name, 'to-tag': `${name}s`, sdp: answer });
      ask({ command: 'start recording', 'call-id': name });
    }
    assert.deepEqual([plane.taps.size, recordings.size], [2, 2]);
    assert.equal(connect('y1', 'x2'), 'ok');
    assert.equal(plane.taps.size, 2);
    for (const { spec } of plane.open.values()) assert.equal(spec.affinity, 'y');
    // One call, one recording: of all its parties.
    assert.equal(recordings.size, 1);
    assert.deepEqual(
      [...plane.recordings.values()].map(({ size }) => size),
      [4],
    );
    assert.equal(ask({ command: 'unsubscribe', 'call-id': 'x', 'to-tag': 'xs' })['result'], 'ok');
    ask({ command: 'delete', 'call-id': 'x', 'delete-delay': 0 });
    assert.deepEqual([plane.taps.size, plane.open.size, recordings.size], [0, 0, 0]);
    await recordings.close();
    assert.deepEqual(closed.map(({ callId }) => callId).sort(), ['x', 'y']);
  });

  it('in any order with everything else leaves nothing behind', async () => {
    const { ask, manager, plane, recordings, service, time } = node();
    const pick = random(26);
    const one = <T>(list: readonly T[]): T => list[pick(list.length)] as T;
    const results = new Map<string, number>();
    const calls = ['1', '2', '3', '4'];
    for (let i = 0; i < 800; i++) {
      plane.portsLeft = pick(30) === 0 ? 0 : 200;
      time.now += pick(200);
      const [id, other] = [one(calls), one(calls)];
      const [tag, peer] = [`${one([id, other])}${one(['a', 'b'])}`, `${other}${one(['a', 'b', 'c'])}`];
      const own = { 'call-id': id, 'from-tag': `${id}a` };
      const sdp = one([OFFER, ANSWER, OPUS]);
      const message = one<Message>([
        { command: 'offer', ...own, sdp, ...(pick(2) ? { 'to-tag': `${id}b` } : {}) },
        { command: 'answer', ...own, 'to-tag': `${id}b`, sdp },
        { command: 'answer', ...own, 'to-tag': `${id}b`, sdp, 'media-echo': one(['both', 'forward']) },
        { command: 'offer', 'call-id': id, 'from-tag': tag, 'to-tag': peer, sdp, TOS: pick(300) },
        { command: 'connect', 'call-id': id, 'from-tag': tag, 'to-tag': peer, 'to-call-id': other },
        { command: 'connect', 'call-id': id, 'from-tag': tag, 'to-tag': peer, 'to-call-id': other },
        { command: 'connect', 'call-id': id, 'from-tag': tag, 'to-tag': peer },
        { command: 'subscribe request', 'call-id': id, 'from-tag': tag, 'to-tag': `${id}s` },
        { command: 'subscribe answer', 'call-id': id, 'to-tag': `${id}s`, sdp, flags: ['allow-transcoding'] },
        { command: 'start recording', 'call-id': id },
        { command: 'query', 'call-id': id },
        { command: 'delete', 'call-id': id, 'delete-delay': pick(2), ...(pick(4) ? { 'from-tag': tag } : {}) },
      ]);
      const reply = ask(message);
      assert.doesNotMatch(String(reply['error-reason']), /Internal error/, JSON.stringify(message));
      const key = `${message['command'] as string} ${String(reply['result'])}`;
      results.set(key, (results.get(key) ?? 0) + 1);
      if (pick(20) === 0) service.sweep();
      // What is connected is open, and of a call that is there.
      const open = new Set(manager.all().flatMap((session) => endpointsOf(session)));
      assert.deepEqual([...open].sort(), [...plane.open.keys()].sort(), JSON.stringify(message));
      for (const path of plane.paths.keys())
        for (const end of path.split(' ')) assert.equal(plane.open.has(Number(end)), true, path);
      assert.equal(manager.size, manager.all().length);
    }
    for (const name of ['connect', 'answer', 'delete', 'subscribe answer', 'start recording'])
      assert.ok((results.get(`${name} ok`) ?? 0) > 5, `${name}: ${results.get(`${name} ok`)}`);
    for (const id of calls) ask({ command: 'delete', 'call-id': id, 'delete-delay': 0 });
    await recordings.close();
    assert.deepEqual([manager.size, plane.open.size, plane.taps.size, recordings.size], [0, 0, 0, 0]);
    assert.deepEqual([service.calls.size, service.calls.ends], [0, 0]);
  });
});

function endpointsOf({ dialogues, subscriptions }: Session): number[] {
  const sides = [
    ...dialogues.flatMap(({ lines }) => lines.flatMap(({ a, b }) => [a, b])),
    ...[...subscriptions.values()].flatMap(({ lines }) => lines.map(({ side }) => side)),
  ];
  return sides.flatMap(({ endpoint }) => (endpoint ? [endpoint.id] : []));
}
