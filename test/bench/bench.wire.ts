// budget: 60 s, beside others
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { describe, it } from 'mocha';

const TOOL = new URL('../../tools/bench.mjs', import.meta.url).pathname;
/** tools/bench/native/netns.c */
const NO_NAMESPACE = 125;

/** The benchmarks in a form of seconds, against our node alone: they run, and what they measure is there. */
describe('npm run bench', function () {
  this.timeout(30_000);

  async function bench(context: Mocha.Context, ...args: string[]): Promise<{ status: number; last: string }> {
    const child = spawn(process.execPath, [TOOL, ...args, '--peer', 'causeway', '--json'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = new Promise<number>((resolve) => child.once('exit', (status) => resolve(status ?? 1)));
    const output = await text(child.stdout);
    const status = await ended;
    if (status === NO_NAMESPACE) context.skip();
    return { status, last: output.trimEnd().split('\n').pop() ?? '' };
  }

  it('relay: packets counted, nothing lost, CPU and latency', async function () {
    const { status, last } = await bench(this, 'relay', '--calls', '4', '--seconds', '1', '--repeat', '1');
    assert.equal(status, 0);
    const { results } = JSON.parse(last) as {
      results: { mode: string; sent: number; lost: number; cpuSPerMpkt: { median: number } }[];
    };
    assert.deepEqual(
      results.map(({ mode, sent, lost }) => ({ mode, sent, lost })),
      ['plain', 'srtp'].map((mode) => ({ mode, sent: 400, lost: 0 })),
    );
    for (const { cpuSPerMpkt } of results) assert.ok(cpuSPerMpkt.median > 1, String(cpuSPerMpkt.median));
  });

  it('calls: a rate for each phase', async function () {
    const { status, last } = await bench(this, 'calls', '--calls', '50', '--repeat', '1');
    assert.equal(status, 0);
    const { results } = JSON.parse(last) as {
      results: { mode: string; phase: string; callsPerS: { median: number } }[];
    };
    const phases = ['warm-up', 'first offer+answer', 'delete', 'offer+answer', 'offer+answer+delete'];
    assert.deepEqual(
      results.map(({ mode, phase }) => `${mode} ${phase}`),
      ['plain', 'srtp'].flatMap((mode) => phases.map((phase) => `${mode} ${phase}`)),
    );
    for (const { callsPerS } of results) assert.ok(callsPerS.median > 50, String(callsPerS.median));
  });

  it('handshakes: every one of them, with a packet each way', async function () {
    const { status, last } = await bench(this, 'handshakes', '--calls', '20', '--repeat', '1');
    assert.equal(status, 0);
    const { results } = JSON.parse(last) as { results: { handshakes: number; perCoreS: { median: number } }[] };
    assert.equal(results[0]?.handshakes, 20);
    assert.ok((results[0]?.perCoreS.median ?? 0) > 10);
  });

  it('says what it does not know', async function () {
    const { status } = await bench(this, 'relay', '--mode', 'carrier-pigeon');
    assert.equal(status, 1);
  });
});
