import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'mocha';
import { gateOperations, type NgService } from '../../../media/ng/mod.ts';
import type { PathSpec } from '../../../media/dataplane/mod.ts';
import { SessionManager } from '../../../media/session/mod.ts';
import { PlaneDouble } from '../session/plane-double.ts';
import { ANSWER, OFFER, pureService } from './node.ts';

type Json = Record<string, unknown>;

const CALLER = { address: '127.0.0.1', transport: 'udp' } as const;
const IDS = { 'call-id': 'gates', 'from-tag': 'ft', 'to-tag': 'tt' };

describe('block and silence, as ng commands', () => {
  let service: NgService;
  let plane: PlaneDouble;

  beforeEach(() => {
    plane = new PlaneDouble();
    const manager = new SessionManager({
      ...{ dataplane: plane, interfaces: ['default'], maxSessions: 10, timeoutSeconds: 60 },
    });
    ({ service } = pureService({ manager, operations: gateOperations(manager) }));
    ask({ command: 'offer', ...IDS, sdp: OFFER, label: 'alice' });
    ask({ command: 'answer', ...IDS, sdp: ANSWER, label: 'bob' });
  });

  function ask(message: Json): Json {
    let text = '';
    service.handlePlain(Buffer.from(JSON.stringify(message)), CALLER, (bytes) => (text = bytes.toString()));
    return JSON.parse(text) as Json;
  }

  const held = (command: string, which: Json = {}): string[] => {
    assert.deepEqual(ask({ command, 'call-id': 'gates', ...which }), { result: 'ok' });
    return gates();
  };

  /** Of alice, then of bob: the gate, and `!` when telephone-events are dropped. */
  const gates = (): string[] =>
    [
      [...plane.paths.keys()].find((key) => key.startsWith('2 ')),
      [...plane.paths.keys()].find((key) => key.startsWith('1 ')),
    ]
      .map((key) => plane.paths.get(key ?? '') as PathSpec)
      .map(({ gate, events }) => `${gate ?? 'open'}${events?.block === true ? '!' : ''}`);

  it('holds back the flow of the party that is named', () => {
    assert.deepEqual(gates(), ['open', 'open']);
    assert.deepEqual(held('block media', { 'from-tag': 'ft' }), ['blocked', 'open']);
    assert.deepEqual(held('silence media', { label: 'bob' }), ['blocked', 'silent']);
    assert.deepEqual(held('unblock media', { address: '127.0.1.1' }), ['open', 'silent']);
    assert.deepEqual(held('block DTMF', { 'from-tag': 'tt' }), ['open', 'silent!']);
    assert.deepEqual(held('unblock DTMF', { 'from-tag': 'tt' }), ['open', 'silent']);
    assert.deepEqual(held('unsilence media', { 'from-tag': 'tt' }), ['open', 'open']);
  });

  it('without a party means the call, and leaves what a party was told by itself', () => {
    assert.deepEqual(held('block media', { label: 'alice' }), ['blocked', 'open']);
    assert.deepEqual(held('block media'), ['blocked', 'blocked']);
    assert.deepEqual(held('unblock media'), ['blocked', 'open']);
    assert.deepEqual(held('unblock media', { flags: ['all'] }), ['open', 'open']);
    assert.deepEqual(held('block media', { flags: ['all'] }), ['blocked', 'blocked']);
    assert.deepEqual(held('unblock media'), ['open', 'open']);
  });

  it('blocked media is not silent too', () => {
    assert.deepEqual(held('silence media'), ['silent', 'silent']);
    assert.deepEqual(held('block media'), ['blocked', 'blocked']);
    assert.deepEqual(held('unblock media'), ['silent', 'silent']);
  });

  it('stays over a re-INVITE, and holds for another branch of the same party', () => {
    held('block media', { 'from-tag': 'ft' });
    ask({ command: 'offer', ...IDS, sdp: OFFER });
    ask({ command: 'answer', ...IDS, sdp: ANSWER });
    assert.deepEqual(gates(), ['blocked', 'open']);
    ask({ command: 'offer', 'call-id': 'gates', 'from-tag': 'ft', 'via-branch': 'other', sdp: OFFER });
    ask({
      command: 'answer',
      'call-id': 'gates',
      'from-tag': 'ft',
      'to-tag': 'uu',
      'via-branch': 'other',
      sdp: ANSWER,
    });
    const blocked = [...plane.paths.values()].filter(({ gate }) => gate === 'blocked');
    assert.equal(blocked.length, 2);
  });

  it('is what explain says of a party that is not heard', () => {
    held('block media', { 'from-tag': 'ft' });
    held('silence media');
    const { explanation } = ask({ command: 'explain', 'call-id': 'gates' });
    const said = (explanation as string[]).filter((line) => /blocked|silenced/.test(line));
    assert.deepEqual(said, [
      '  blocked: dropped but for keys, of this party',
      '  silenced: silence in its place, of the whole call',
      '  silenced: silence in its place, of the whole call',
    ]);
  });

  it('tells the packet path which payload types are telephone-events, and wants to hear of them', () => {
    const [path] = [...plane.paths.values()];
    assert.deepEqual(path?.events, { formats: [{ pt: 101, clockRate: 8000 }], detect: true, block: false });
  });
});
