// The fuzz targets of the packet path (media/dataplane/native/fuzz), under ASan and UBSan, each in a process of its own.
// Inputs of earlier finds and the seeds are replayed first, then inputs are made: by libFuzzer, which is guided by
// coverage, where clang is installed; otherwise by the driver beside the targets, by seeded mutation.
//   node tools/native-fuzz.mjs --inputs=100000 --seed=1 --driver=libfuzzer|mutation --only=rtp,stun --install
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, globSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { compile, LIBRARY, link, NATIVE } from './sanitized.mjs';

const option = (name, otherwise) =>
  process.argv.find((text) => text.startsWith(`--${name}=`))?.slice(name.length + 3) ?? otherwise;

/**
 * How many packets an input of the target counts for: `--inputs` is their number. Those of the transcoder bring as many
 * frames again that have to be coded, and a handshake is dear.
 */
const PACKETS = { rtp: 1, rtcp: 1, stun: 1, srtp: 4, srtcp: 4, transcoder: 50, demux: 24, dtls: 100 };
const PACKAGES = ['clang', 'libclang-rt-dev'];

if (process.argv.includes('--install') && !libFuzzer()) {
  const lists = spawnSync('apt-get', ['update', '-qq'], { stdio: 'inherit' });
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const args = ['install', '-y', '--no-install-recommends', ...PACKAGES];
  if (lists.status !== 0 || spawnSync('apt-get', args, { stdio: 'inherit', env: environment }).status !== 0)
    console.log(`clang could not be installed (apt-get ${args.join(' ')}): no coverage guides what follows`);
}
const driver = option('driver', libFuzzer() ? 'libfuzzer' : 'mutation');
const inputs = Number(option('inputs', '100000'));
const seed = option('seed', '1');
const targets = Object.keys(PACKETS).filter((name) => option('only', name).split(',').includes(name));
const folder = join(NATIVE, 'build/fuzz', driver);

if (!build()) process.exit(1);
let failed = 0;
const waiting = [...targets].sort((a, b) => PACKETS[b] - PACKETS[a]);
await Promise.all(
  Array.from({ length: Math.min(2, availableParallelism()) }, async () => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) await fuzz(name);
  }),
);
console.log(`fuzz: ${targets.length - failed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);

function libFuzzer() {
  return existsSync('/usr/bin/clang++') && globSync('/usr/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a').length > 0;
}

async function fuzz(name) {
  const runs = Math.ceil(inputs / PACKETS[name]);
  const seeds = binaries(name, 'corpus');
  const finds = binaries(name, 'finds');
  const found = join(folder, `found-${name}`);
  rmSync(found, { force: true });
  const grown = join(folder, `grown-${name}`);
  rmSync(grown, { recursive: true, force: true });
  mkdirSync(grown, { recursive: true });
  const started = Date.now();
  const steps =
    driver === 'libfuzzer'
      ? [
          // Files are replayed, folders are mutated.
          [`-exact_artifact_path=${found}`, '-timeout=20', ...finds],
          [
            `-exact_artifact_path=${found}`,
            '-timeout=20',
            `-runs=${runs}`,
            `-seed=${seed}`,
            '-max_len=4096',
            '-rss_limit_mb=1024',
            grown,
            ...new Set(seeds.map((file) => dirname(file))),
          ],
        ]
      : [[`--runs=${runs}`, `--seed=${seed}`, `--find=${found}`, ...finds, ...seeds]];
  let outcome = { status: 0, output: '' };
  for (const args of steps) {
    if (driver === 'libfuzzer' && args.length === 2) continue;
    outcome = await run(join(folder, name), args);
    if (outcome.status !== 0) break;
  }
  const seconds = ((Date.now() - started) / 1000).toFixed(1);
  const coverage = [...outcome.output.matchAll(/cov: (\d+)/g)].at(-1)?.[1];
  const guided = coverage === undefined ? '' : `, ${coverage} edges`;
  const good = outcome.status === 0;
  console.log(
    `${good ? 'ok  ' : 'FAIL'} fuzz ${name.padEnd(10)} ${runs} inputs of ${PACKETS[name]}, ${finds.length + seeds.length} replayed${guided} ${seconds} s`,
  );
  if (good) return;
  failed++;
  const about = /PROPERTY .*|SUMMARY: .*|runtime error: .*/.exec(outcome.output)?.[0] ?? 'ended by a signal';
  console.log(`     ${about}\n${outcome.output.slice(0, 4000)}`);
  if (!existsSync(found)) return;
  const text = `# ${about}\n${hex(readFileSync(found))}`;
  writeFileSync(`${found}.hex`, text);
  console.log(`     the input; once it is understood it belongs into fuzz/finds/${name}/\n${text}`);
}

/** Files of hex with comments, in the form that the programs read. */
function binaries(name, kind) {
  const from = join(NATIVE, 'fuzz', kind, name);
  if (!existsSync(from)) return [];
  const to = join(folder, kind, name);
  rmSync(to, { recursive: true, force: true });
  mkdirSync(to, { recursive: true });
  return readdirSync(from).map((file) => {
    const text = readFileSync(join(from, file), 'utf8').replaceAll(/#.*/g, '').replaceAll(/\s/g, '');
    if (!/^([\da-f]{2})*$/i.test(text)) throw new Error(`${join(from, file)} is not hex`);
    const path = join(to, basename(file, '.hex'));
    writeFileSync(path, Buffer.from(text, 'hex'));
    return path;
  });
}

function hex(bytes) {
  const lines = bytes.toString('hex').match(/.{1,64}/g) ?? [];
  return lines.map((line) => `${line.replaceAll(/(..)(?=.)/g, '$1 ')}\n`).join('');
}

function build() {
  const kind = driver === 'libfuzzer' ? 'libfuzzer' : 'asan';
  const own = driver === 'libfuzzer' ? [] : ['fuzz/mutation_driver.cc'];
  const objects = compile(kind, [...targets.map((name) => `fuzz/${name}.cc`), ...own, ...LIBRARY]);
  if (objects === undefined) return false;
  mkdirSync(folder, { recursive: true });
  const shared = objects.slice(targets.length);
  return targets.every((name, index) => link(kind, join(folder, name), [objects[index], ...shared]));
}

function run(command, args) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: folder });
    let output = '';
    // libFuzzer says much on the way: its beginning and its end tell.
    const keep = (chunk) => (output = output.length > 40_000 ? output.slice(-20_000) + chunk : output + chunk);
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.on('close', (status) => resolve({ status: status ?? 1, output }));
  });
}
