import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'mocha';
import { ANSWER, NO_TOTALS, OFFER, pureService } from './node.ts';

const IDS = { 'call-id': 'c', 'from-tag': 'ft' };

describe('delete with a delay', () => {
  let node: ReturnType<typeof pureService>;

  beforeEach(() => {
    node = pureService({ deleteDelaySeconds: 30 });
    ask({ command: 'offer', ...IDS, sdp: OFFER });
    ask({ command: 'answer', ...IDS, 'to-tag': 'tt', sdp: ANSWER });
  });

  function ask(message: Record<string, unknown>): Record<string, unknown> {
    let text = '';
    const caller = { address: '127.0.0.1', transport: 'udp' } as const;
    node.service.handlePlain(Buffer.from(JSON.stringify(message)), caller, (bytes) => (text = bytes.toString()));
    return JSON.parse(text) as Record<string, unknown>;
  }

  function totals(): Record<string, unknown> {
    return node.service.statistics.reply(NO_TOTALS, 0, [], 0)['totalstatistics'] as Record<string, unknown>;
  }

  function pass(seconds: number): void {
    for (let n = 0; n < seconds; n++) {
      node.time.now += 1000;
      node.service.sweep();
    }
  }

  it('leaves the call as it is for 30 seconds', () => {
    const reply = ask({ command: 'delete', ...IDS, 'to-tag': 'tt' });
    assert.deepEqual(Object.keys(reply['tags'] as object), ['ft', 'tt']);
    pass(29);
    assert.equal(ask({ command: 'query', 'call-id': 'c' })['result'], 'ok');
    assert.equal(node.plane.open.size, 2);
    pass(1);
    assert.equal(ask({ command: 'query', 'call-id': 'c' })['error-reason'], 'Unknown call-id');
    assert.equal(node.plane.open.size, 0);
    assert.equal(node.service.calls.size, 0);
    assert.equal(totals()['regularterminatedsessions'], 1);
  });

  it('is at once when the command says so, and then nothing is left to do', () => {
    ask({ command: 'delete', ...IDS });
    ask({ command: 'delete', 'call-id': 'c', 'delete delay': 0 });
    assert.equal(node.manager.size, 0);
    pass(40);
    assert.equal(totals()['regularterminatedsessions'], 1);
    assert.match(String(ask({ command: 'delete', ...IDS })['warning']), /didn't match/);
  });

  it('waits as long as the command says', () => {
    ask({ command: 'delete', ...IDS, 'delete-delay': '2' });
    pass(1);
    assert.equal(node.manager.size, 1);
    pass(1);
    assert.equal(node.manager.size, 0);
  });

  it('is off when the call is offered anew', () => {
    ask({ command: 'delete', ...IDS, 'delete-delay': 2 });
    ask({ command: 'offer', ...IDS, 'to-tag': 'tt', sdp: OFFER });
    pass(10);
    assert.equal(node.manager.size, 1);
  });

  it('of one branch leaves the others', () => {
    ask({ command: 'offer', ...IDS, 'via-branch': 'b2', sdp: OFFER });
    ask({ command: 'delete', ...IDS, 'via-branch': 'b2', 'delete-delay': 1 });
    pass(2);
    assert.deepEqual(Object.keys(ask({ command: 'query', 'call-id': 'c' })['tags'] as object), ['ft', 'tt']);
    assert.equal(node.service.calls.ends, 2);
  });

  it('is not needed by a call that fell silent, which is told and counted as that', () => {
    const told: string[] = [];
    node.service.hub.add({ take: ({ notify, data }) => told.push(`${notify} ${JSON.stringify(data['tags'])}`) });
    pass(61);
    assert.deepEqual(told, ['onMediaTimeout ["ft","tt"]']);
    assert.equal(totals()['timeoutsessions'], 1);
    assert.equal(totals()['zerowaystreams'], 2);
    assert.equal(node.service.calls.size, 0);
  });

  it('does not keep a node that drains', () => {
    ask({ command: 'delete', ...IDS });
    node.manager.draining = true;
    pass(1);
    assert.equal(node.manager.size, 0);
  });
});
