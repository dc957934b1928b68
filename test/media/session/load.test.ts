import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { NodeLoad, type LoadSample } from '../../../media/session/load.ts';

/** A node that is as busy as the test says, sampled once a second. */
class Node {
  readonly load: NodeLoad;
  #latest: LoadSample = { nowMs: 1000, loadAverage: 0, threadCpuMs: [0, 0], bytes: 0 };

  constructor(...limits: ConstructorParameters<typeof NodeLoad>) {
    this.load = new NodeLoad(...limits);
    this.load.sample(this.#latest);
  }

  /** For so many seconds: percent of a core of each of two threads, megabits a second. */
  runs(seconds: number, percent: readonly [number, number], mbit = 0, loadAverage = 0): this['load']['exceeded'] {
    for (let i = 0; i < seconds; i++) {
      const { nowMs, threadCpuMs, bytes } = this.#latest;
      this.#latest = {
        nowMs: nowMs + 1000,
        loadAverage,
        threadCpuMs: threadCpuMs.map((ms, thread) => ms + 10 * (percent[thread] ?? 0)),
        bytes: bytes + (mbit * 1e6) / 8,
      };
      this.load.sample(this.#latest);
    }
    return this.load.exceeded;
  }
}

describe('the load of a node', () => {
  it('is no limit unless it is given one', () => {
    const node = new Node({});
    assert.equal(node.runs(10, [100, 100], 10_000, 64), undefined);
    assert.deepEqual(node.load.figures, { load: 64, cpu: 100, bandwidth: 10_000 });
  });

  it('is that of the busiest thread, as a mean of three seconds', () => {
    const node = new Node({ maxCpuPercent: 80 });
    assert.equal(node.runs(4, [70, 79]), undefined);
    assert.equal(node.load.figures.cpu, 79);
    assert.equal(node.runs(1, [0, 81]), undefined, 'a mean of 79.7');
    assert.equal(node.runs(2, [0, 81]), 'cpu');
    assert.equal(node.load.figures.cpu, 81);
  });

  it('takes calls again when it is clearly below the limit, not at it', () => {
    const node = new Node({ maxBandwidthMbit: 100 });
    assert.equal(node.runs(4, [0, 0], 100), 'bandwidth');
    assert.equal(node.runs(20, [0, 0], 91), 'bandwidth');
    assert.equal(node.runs(4, [0, 0], 89), undefined);
    assert.equal(node.runs(20, [0, 0], 99), undefined);
  });

  it('of several limits names the first', () => {
    const node = new Node({ maxLoad: 4, maxCpuPercent: 50, maxBandwidthMbit: 10 });
    assert.equal(node.runs(3, [60, 0], 20, 4.5), 'load');
    assert.equal(node.runs(3, [60, 0], 20, 1), 'cpu');
    assert.equal(node.runs(3, [10, 0], 20, 1), 'bandwidth');
    assert.equal(node.runs(3, [10, 0], 1, 1), undefined);
  });

  it('is measured over what it has when samples come late, or twice', () => {
    const node = new NodeLoad({ maxCpuPercent: 50 });
    const at = (nowMs: number, cpuMs: number) => node.sample({ nowMs, loadAverage: 0, threadCpuMs: [cpuMs], bytes: 0 });
    at(0, 0);
    at(20_000, 12_000);
    assert.equal(node.figures.cpu, 60);
    at(20_000, 99_000);
    assert.equal(node.figures.cpu, 60);
    at(30_000, 12_000);
    assert.equal(node.figures.cpu, 0);
    assert.equal(node.exceeded, undefined);
  });
});
