import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { copyOperations, recordingOperations, transformOperations } from '../../../media/ng/mod.ts';
import type { Bencode } from '../../../vocabulary/mod.ts';
import { ANSWER, OFFER, pureService } from '../ng/node.ts';

type Message = Record<string, Bencode>;
type Reply = Record<string, unknown>;

const CALLER = { address: '127.0.0.1', transport: 'http' } as const;

function node() {
  const { manager, plane, service } = pureService({}, 10, (sessions) => ({
    ...copyOperations(sessions),
    ...transformOperations(sessions),
    ...recordingOperations(undefined),
  }));
  const ask = (message: Message): Reply => {
    let reply = '';
    const text = JSON.stringify({ 'call-id': 'c', ...message });
    service.handlePlain(Buffer.from(text), CALLER, (bytes) => (reply = bytes.toString()));
    return JSON.parse(reply) as Reply;
  };
  const offer = (keys: Message = {}) => ask({ command: 'offer', 'from-tag': 'a', sdp: OFFER, ...keys });
  const answer = (keys: Message = {}) =>
    ask({ command: 'answer', 'from-tag': 'a', 'to-tag': 'b', sdp: ANSWER, ...keys });
  return { manager, plane, service, ask, offer, answer };
}

describe('what an offer or answer wants of the whole call', () => {
  it('TOS marks every stream, is kept below zero, and left without the key', () => {
    const { plane, offer, answer, ask } = node();
    const marks = () => [...plane.open.values()].map(({ tos }) => tos);
    offer({ TOS: 96 });
    assert.deepEqual(marks(), [96]);
    // Of both directions; an answer does not speak of it.
    answer();
    assert.deepEqual(marks(), [96, 96]);
    answer({ TOS: 8 });
    assert.deepEqual(marks(), [96, 96]);
    const { sdp } = ask({ command: 'subscribe request', 'from-tag': 'a', 'to-tag': 's' });
    assert.notEqual(sdp, undefined);
    assert.deepEqual(marks(), [96, 96, 96]);
    offer({ tos: '-1' });
    assert.deepEqual(marks(), [96, 96, 96]);
    offer({ TOS: 256 });
    assert.deepEqual(marks(), [undefined, undefined, undefined]);
    offer({ TOS: 0 });
    assert.deepEqual(marks(), [0, 0, 0]);
    offer();
    assert.deepEqual(marks(), [undefined, undefined, undefined]);
  });

  it('drop-traffic holds everything back, keys too, until it is stopped', () => {
    const { plane, offer, answer } = node();
    const held = () =>
      [...plane.paths.values()].map(({ gate, events }) => `${gate ?? 'open'} ${events?.block === true}`);
    offer({ 'drop-traffic': 'start' });
    answer();
    assert.deepEqual(held(), ['blocked true', 'blocked true']);
    offer({ 'drop traffic': 'stop' });
    assert.deepEqual(held(), ['open false', 'open false']);
    offer({ 'drop-traffic': 'nonsense' });
    assert.deepEqual(held(), ['open false', 'open false']);
  });

  it('generate-RTCP makes reports ours, where packets are relayed and can be read', () => {
    const { plane, offer, answer } = node();
    const own = () => [...plane.paths.values()].map((path) => path.mode === 'relay' && path.ownReports === true);
    offer({ 'generate RTCP': 'on' });
    answer();
    assert.deepEqual(own(), [true, true]);
    offer();
    assert.deepEqual(own(), [true, true]);
    answer({ 'generate-RTCP': 'off' });
    assert.deepEqual(own(), [false, false]);
    offer({ flags: ['generate RTCP'] });
    answer();
    assert.deepEqual(own(), [true, true]);
  });

  it('media-echo sends back to whom it names, and nothing to anybody else', () => {
    const paths = (echo: string, inAnswer = false): string[] => {
      const { plane, offer, answer, manager } = node();
      offer(inAnswer ? {} : { 'media-echo': echo });
      answer(inAnswer ? { 'media-echo': echo } : {});
      const line = manager.get('c')?.dialogues[0]?.lines[0] ?? assert.fail();
      const name = (id: string) => (Number(id) === line.a.endpoint?.id ? 'a' : 'b');
      return [...plane.paths]
        .map(([key, { mode, gate }]) => `${key.split(' ').map(name).join('>')} ${gate ?? mode}`)
        .sort();
    };
    assert.deepEqual(paths('blackhole'), ['a>b blocked', 'b>a blocked']);
    assert.deepEqual(paths('sinkhole'), ['a>b blocked', 'b>a blocked']);
    assert.deepEqual(paths('forward'), ['a>b blocked', 'b>b transcode']);
    assert.deepEqual(paths('backwards'), ['a>a transcode', 'b>a blocked']);
    assert.deepEqual(paths('both'), ['a>a transcode', 'b>b transcode']);
    // Of an answer the receiver is who has offered.
    assert.deepEqual(paths('forward', true), ['a>a transcode', 'b>a blocked']);
    assert.deepEqual(paths('nonsense'), ['a>b relay', 'b>a relay']);
  });
});

describe('transform', () => {
  const codec = (name: string, pt: number, rate = 8000, more: Message = {}): Message => ({
    ...{ codec: name, 'payload type': pt, 'clock rate': rate },
    ...more,
  });
  const destination = { family: 'IP4', address: '127.0.1.9', port: 4444 };
  const pcmuToOpus = {
    input: codec('PCMU', 0),
    output: codec('opus', 96, 48_000, { channels: 2, options: 'bitrate=20000' }),
  };
  const events = { input: codec('telephone-event', 101), output: codec('telephone-event', 97, 48_000) };

  it('opens an end for each stream, and tells where it is', () => {
    const { ask, plane, manager, service } = node();
    const media = [
      { id: 'one', type: 'audio', codec: [pcmuToOpus, events], destination },
      { type: 'video', codec: [{ input: codec('VP8', 98, 90_000), output: codec('VP8', 98, 90_000) }], destination },
    ];
    const reply = ask({ command: 'transform', 'call-id': '', media });
    assert.deepEqual(reply['media'], [
      { id: 'one', family: 'IP4', address: '127.0.0.1', port: 20_002 },
      { id: '2', family: 'IP4', address: '127.0.0.1', port: 20_004 },
    ]);
    assert.deepEqual(Object.keys(reply), ['call-id', 'from-tag', 'media', 'result']);
    const [coded, passed] = [plane.paths.get('1 1'), plane.paths.get('2 2')];
    assert.ok(coded?.mode === 'transcode');
    assert.deepEqual(
      coded.in.map(({ codec: name }) => name),
      ['PCMU'],
    );
    assert.deepEqual([coded.out.codec, coded.out.pt, coded.out.opus?.bitrate], ['opus', 96, 20_000]);
    assert.deepEqual(
      coded.dtmf.map(({ inPt, outPt }) => [inPt, outPt]),
      [[101, 97]],
    );
    assert.equal(passed?.mode, 'relay');
    assert.deepEqual(plane.open.get(1)?.remote?.rtp, { address: '127.0.1.9', port: 4444 });
    assert.equal(plane.open.get(1)?.remote?.learning, 'asymmetric');
    assert.equal(service.calls.size, 1);
    assert.equal(ask({ command: 'explain', 'call-id': String(reply['call-id']) })['result'], 'ok');
    assert.equal(ask({ command: 'query', 'call-id': String(reply['call-id']) })['result'], 'ok');
    // Once more under the same names: in its place.
    const names = { 'call-id': String(reply['call-id']), 'from-tag': String(reply['from-tag']) };
    assert.equal(ask({ command: 'transform', ...names, media: media.slice(0, 1) })['result'], 'ok');
    assert.deepEqual([plane.open.size, manager.size], [1, 1]);
    assert.equal(ask({ command: 'delete', ...names, 'delete-delay': 0 })['warning'], undefined);
    assert.deepEqual([plane.open.size, manager.size], [0, 0]);
  });

  it('refuses what cannot be coded or makes no sense, and leaves nothing', () => {
    const { ask, plane, manager, offer, answer } = node();
    const one = (pairs: Bencode, more: Message = {}) =>
      ask({
        ...{ command: 'transform', 'call-id': 't', 'from-tag': 'x' },
        media: [{ type: 'audio', codec: pairs, destination, ...more }],
      })['error-reason'];
    const failed = 'Failed to set up transform';
    assert.equal(one([{ input: codec('G729', 18), output: codec('PCMU', 0) }]), failed);
    assert.equal(one([pcmuToOpus, { input: codec('PCMA', 8), output: codec('PCMU', 0) }]), failed);
    assert.equal(one([pcmuToOpus], { destination: { address: 'nowhere', port: 1 } }), failed);
    assert.equal(one([pcmuToOpus], { destination: { address: '127.0.1.9', port: 0 } }), failed);
    assert.equal(one([{ input: codec('PCMU', 128), output: codec('PCMU', 0) }]), failed);
    assert.equal(one([]), failed);
    assert.equal(one('x'), failed);
    assert.equal(ask({ command: 'transform', media: 'x' })['error-reason'], failed);
    assert.equal(ask({ command: 'transform' })['error-reason'], failed);
    plane.portsLeft = 1;
    const two = [
      { codec: [pcmuToOpus], destination },
      { codec: [pcmuToOpus], destination },
    ];
    assert.equal(ask({ command: 'transform', media: two })['error-reason'], 'Ran out of ports');
    assert.deepEqual([plane.open.size, manager.size, plane.portsLeft], [0, 0, 1]);
    plane.portsLeft = 10;
    offer();
    answer();
    assert.equal(ask({ command: 'transform', 'from-tag': 'a', media: two })['error-reason'], failed);
  });
});

describe('forwarding to a daemon that there is not', () => {
  it('is ok, and nothing happens', () => {
    const { ask, offer } = node();
    assert.equal(ask({ command: 'start forwarding' })['error-reason'], 'Unknown call-ID');
    offer();
    for (const command of ['start forwarding', 'stop forwarding'])
      assert.deepEqual(ask({ command, 'from-tag': 'a' }), { result: 'ok' });
  });
});
