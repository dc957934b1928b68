// budget: 60 s, beside others
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { realService } from '../media/ng/node.ts';
import { until } from '../support/until.ts';
import { connectOperations, copyOperations, transformOperations } from '../../media/ng/mod.ts';
import { bencodeBytes, decodeBencode } from '../../vocabulary/mod.ts';
import { assertNothingLeft } from './back-to-zero.ts';
import { churn } from './churn.ts';
import { churnNode, TIMEOUT_SECONDS } from './node.ts';
import { KINDS, type Reply } from './plans.ts';

const SEED = 20_261_121;
const MEGABYTE = 1 << 20;

describe('2,000 calls of every kind, set up and torn down in random order', function () {
  this.timeout(110_000);

  it('leave nothing behind in a node: ports, native bytes, threads, descriptors; memory stays', async () => {
    await using node = await churnNode(15_200);
    const before = node.usage();
    let halfway = before;
    const done = await churn({
      calls: 2000,
      seed: SEED,
      ask: (command) => node.ask(command),
      every: 1000,
      pause: (calls) => {
        if (calls === 1000) halfway = node.usage();
        return Promise.resolve();
      },
    });
    assert.deepEqual(Object.keys(done.calls).toSorted(), [...KINDS].toSorted());
    assert.ok(done.withoutPorts > 0, 'ports ran out now and then');
    await assertNothingLeft(node, before, TIMEOUT_SECONDS);
    // Replies are kept for half a minute: so much may still be there.
    const growth = node.usage().bytes - halfway.bytes;
    assert.ok(growth < 40 * MEGABYTE, `the second half has cost ${(growth / MEGABYTE).toFixed(1)} MB`);
    assert.equal(node.log, '');
  });

  it('leave no timer and no handle behind in a process', async () => {
    // By now the runner has set its own timer.
    await new Promise((resolve) => setImmediate(resolve));
    const atFirst = resources();
    const { plane, manager, service } = realService(15_800, {}, (sessions) => ({
      ...copyOperations(sessions),
      ...connectOperations(sessions),
      ...transformOperations(sessions),
    }));
    let cookie = 0;
    const ask = (command: Parameters<typeof bencodeBytes>[0]): Reply => {
      let reply: Reply = {};
      const bytes = Buffer.concat([Buffer.from(`c${++cookie} `), bencodeBytes(command)]);
      service.handle(bytes, { address: '127.0.0.1', transport: 'udp' }, (answer) => {
        reply = decodeBencode(answer.subarray(answer.indexOf(0x20) + 1)) as Reply;
      });
      return reply;
    };
    await churn({ calls: 300, seed: SEED, live: 8, ask });
    manager.close();
    const { endpoints, paths, transcoders, portsInUse, nativeBytes } = plane.totals();
    assert.deepEqual({ endpoints, paths, transcoders, portsInUse, nativeBytes }, ZERO);
    await plane.close();
    // Sockets of the test itself are gone a moment after they were closed.
    await until('no timer and no handle', () => more(atFirst, resources()).length === 0, 3000, 20).catch(() =>
      assert.deepEqual(more(atFirst, resources()), []),
    );
  });
});

const ZERO = { endpoints: 0, paths: 0, transcoders: 0, portsInUse: 0, nativeBytes: 0 };

/** What keeps the event loop alive, by kind. */
function resources(): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const kind of process.getActiveResourcesInfo()) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return counts;
}

function more(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>): string[] {
  return [...after]
    .filter(([kind, count]) => count > (before.get(kind) ?? 0))
    .map(([kind, count]) => `${count} ${kind}`);
}
