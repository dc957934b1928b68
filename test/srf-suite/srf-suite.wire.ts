// budget: 95 s, beside others
// drachtio-srf's own suite as it comes in its npm package, against the embedded engine: every file of it in a world of
// its own (world.ts). The one that waits for timers of SIP has a lane for itself.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';

const ROOT = new URL('../..', import.meta.url).pathname;
/** The files that `npm test` of the package runs, and how many assertions each one makes. */
const FILES = { unit: 52, b2b: 19, 'reinvite-tests': 1, uac: 19, uas: 8, proxy: 2, utils: 27, refer: 1 } as const;
type File = keyof typeof FILES;
const LANES: readonly (readonly File[])[] = [
  ['uas'],
  ['unit', 'b2b', 'reinvite-tests', 'uac', 'proxy', 'utils', 'refer'],
];

/** Whoever is not root gets a namespace of users first, in which it is. */
const NAMESPACES = [
  ...(process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']),
  ...['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'],
];

interface Outcome {
  readonly passed: number;
  readonly failures: readonly string[];
  readonly status: number | null;
  readonly dead: readonly string[];
  readonly complaints: readonly string[];
  readonly output: string;
}

describe('the suite of drachtio-srf', function () {
  this.timeout(90_000);
  const folder = mkdtempSync(join(tmpdir(), 'causeway-srf-'));
  const outcomes = new Map<File, Promise<Outcome>>();

  before(function () {
    // A container without CAP_SYS_ADMIN has no such worlds.
    if (spawnSync('unshare', [...NAMESPACES, 'true']).status !== 0) {
      console.error('this machine allows no namespaces: run it as root, or in a container with --cap-add SYS_ADMIN');
      this.skip();
    }
    for (const lane of LANES) {
      let turn: Promise<unknown> = Promise.resolve();
      for (const file of lane) {
        const outcome = turn.then(() => inWorld(prepare(folder, file), file));
        outcomes.set(file, outcome);
        turn = outcome.catch(() => undefined);
      }
    }
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  for (const file of Object.keys(FILES) as File[]) {
    it(`${file}: ${FILES[file]} assertions`, async () => {
      const { passed, failures, status, dead, complaints, output } = (await outcomes.get(file)) as Outcome;
      assert.deepEqual(failures, [], output);
      assert.deepEqual(dead, []);
      assert.deepEqual(complaints, []);
      assert.equal(passed, FILES[file], output);
      assert.equal(status, 0, output);
    });
  }

  it('129 of 129', async () => {
    const all = await Promise.all(outcomes.values());
    assert.equal(
      all.reduce((sum, { passed }) => sum + passed, 0),
      129,
    );
  });
});

/**
 * A copy of the package. Its tests are as they are; in three scenarios `>` inside an attribute is written as XML wants
 * it, which Debian's SIPp insists on.
 */
function prepare(folder: string, file: File): string {
  const place = join(folder, file);
  const suite = join(place, 'suite');
  cpSync(join(ROOT, 'node_modules/drachtio-srf'), suite, { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(place, 'node_modules'));
  const scenarios = join(suite, 'test/scenarios');
  for (const name of readdirSync(scenarios).filter((entry) => entry.endsWith('.xml'))) {
    const text = readFileSync(join(scenarios, name), 'utf8');
    const legal = text.replaceAll('regexp="<sip:(.*)>"', 'regexp="&lt;sip:(.*)&gt;"');
    if (legal !== text) writeFileSync(join(scenarios, name), legal);
  }
  return place;
}

/** Runs world.ts behind namespaces. */
function inWorld(place: string, file: File): Promise<Outcome> {
  const main = [process.execPath, '--disable-warning=ExperimentalWarning', join(import.meta.dirname, 'world.ts')];
  return new Promise((resolve, reject) => {
    const child = spawn('unshare', [...NAMESPACES, ...main, place, file], { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    let errors = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
    child.on('error', reject);
    child.on('close', (status) => {
      const last = output.trim().split('\n').at(-1) ?? '';
      if (status === 0 && last.startsWith('{')) resolve(JSON.parse(last) as Outcome);
      else reject(new Error(`the world of ${file} ended with ${status}:\n${errors}`));
    });
  });
}
