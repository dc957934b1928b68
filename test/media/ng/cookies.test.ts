import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { ReplyCache } from '../../../media/ng/cookies.ts';
import { pureService } from './node.ts';

const reply = Buffer.from('1 d6:result4:ponge');

describe('replies that are kept for requests sent again', () => {
  it('are found for 30 to 60 seconds', () => {
    const replies = new ReplyCache();
    replies.keep('a 1', reply, 100_000);
    replies.keep('a 2', reply, 129_999);
    assert.deepEqual(replies.find('a 1', 130_000), reply);
    assert.deepEqual(replies.find('a 2', 159_000), reply);
    assert.equal(replies.find('a 2', 160_001), undefined);
    assert.equal(replies.find('b 1', 100_000), undefined);
  });

  it('leave no trace once they are old', () => {
    const replies = new ReplyCache();
    for (let n = 0; n < 50; n++) replies.keep(`a ${n}`, reply, 100_000);
    replies.keep('b 1', reply, 200_000);
    assert.equal(replies.size, 1);
    // With what an entry costs by itself: a flood of pings is to stay below the bound, too.
    assert.equal(replies.bytes, reply.length + 3 + 300);
  });

  it('are found whatever their size', () => {
    const replies = new ReplyCache(16 << 20);
    const sizes = [0, 1, 500_000, 700_000, 2_000_000, 17, (1 << 20) - 4, 1 << 20];
    const all = sizes.map((size, n) => Buffer.alloc(size, n + 1));
    for (const [n, bytes] of all.entries()) replies.keep(`a ${n}`, bytes, 100_000);
    for (const [n, bytes] of all.entries())
      assert.ok(bytes.equals(replies.find(`a ${n}`, 100_000) as Buffer), String(n));
  });

  it('never hold more bytes than the bound, and the oldest go first', () => {
    const replies = new ReplyCache(10_000);
    for (let n = 0; n < 500; n++) {
      replies.keep(`a ${n}`, reply, 100_000 + n);
      assert.ok(replies.bytes <= 10_000);
    }
    assert.deepEqual(replies.find('a 499', 100_500), reply);
    assert.equal(replies.find('a 0', 100_500), undefined);
    assert.ok(replies.counters.forgotten > 400);
  });
});

describe('a request that comes again while it is at work', () => {
  it('is not done twice: both get the one reply', async () => {
    let runs = 0;
    let finish: (details: { duration: number }) => void = () => undefined;
    const { service } = pureService({
      operations: {
        publish: () => {
          runs++;
          return new Promise((resolve) => (finish = resolve));
        },
      },
    });
    const got: string[] = [];
    const before: string[] = [];
    const request = Buffer.from('7 {"command":"publish","sdp":"x","call-id":"c","from-tag":"f"}');
    const from = { address: '127.0.0.1', transport: 'udp' } as const;
    for (let n = 0; n < 3; n++) service.handle(request, from, (bytes) => got.push(bytes.toString()));
    assert.deepEqual(got, before);
    finish({ duration: 3 });
    await new Promise((resolve) => setImmediate(resolve));
    service.handle(request, from, (bytes) => got.push(bytes.toString()));
    assert.equal(runs, 1);
    assert.deepEqual(
      got,
      Array.from({ length: 4 }, () => '7 {"duration":3,"result":"ok"}'),
    );
    assert.deepEqual(service.replies.counters, { duplicates: 1, waited: 2, forgotten: 0 });
  });

  it('gets the reason when the work fails', async () => {
    const { service } = pureService({ operations: { publish: () => Promise.reject(new Error('no disk')) } });
    const told = await new Promise((resolve) =>
      service.handlePlain(
        Buffer.from('{"command":"publish","sdp":"x","call-id":"c","from-tag":"f"}'),
        { address: '::1', transport: 'tcp' },
        (bytes) => resolve(bytes.toString()),
      ),
    );
    assert.equal(told, '{"result":"error","error-reason":"Internal error: no disk"}');
  });

  it('gets none above the bound', () => {
    const replies = new ReplyCache(1 << 20, 2);
    replies.begin('a 1');
    assert.deepEqual(
      [1, 2, 3].map(() => replies.wait('a 1', () => undefined)),
      [true, true, false],
    );
    assert.equal(replies.find('a 1', 0), 'working');
    replies.keep('a 1', reply, 0);
    assert.deepEqual(replies.find('a 1', 0), reply);
    replies.begin('a 2');
    assert.equal(
      replies.wait('a 2', () => undefined),
      true,
    );
  });
});
