// npm run nightly -- NAME: what takes longer than a test may. The last result of each stands in docs/results/.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { install, ROOT } from './install.mjs';

const [name] = process.argv.slice(2);
const RUNS = {
  /** A Debian 12 root of its own, and in it the two commands, as a newcomer types them. */
  bare: () => bare(),
  /** Ten million inputs for every parser, native ones and those in TypeScript; guided by coverage where clang can be had. */
  fuzz: async () => {
    const node = await install({ tests: true });
    const seed = `--seed=${Math.floor(Date.now() / 86_400_000)}`;
    const native = await run(node, [join(ROOT, 'tools/native-fuzz.mjs'), '--install', '--inputs=10000000', seed]);
    const parsers = await run(node, [join(ROOT, 'test/fuzz/run.ts'), '--inputs=10000000', seed]);
    return { status: native.status || parsers.status, output: `${native.output}\n${parsers.output}` };
  },
  /** A hundred thousand calls of every kind, set up and torn down in random order. */
  churn: async () =>
    run(await install(), [
      join(ROOT, 'test/churn/run.ts'),
      '--calls=100000',
      `--seed=${Math.floor(Date.now() / 86_400_000)}`,
    ]),
  /** Figures of the benchmarks in their long form. */
  bench: async () => {
    const node = await install();
    const outputs = [];
    for (const bench of ['transcode', 'setup', 'calls', 'handshakes', 'idle', 'relay'])
      outputs.push(await run(node, [join(ROOT, 'tools/bench.mjs'), bench, '--full', '--json']));
    return {
      status: outputs.every(({ status }) => status === 0) ? 0 : 1,
      output: outputs.map(({ output }) => output).join('\n'),
    };
  },
};
if (!RUNS[name]) {
  console.error(`npm run nightly -- NAME, where NAME is one of: ${Object.keys(RUNS).join(', ')}`);
  process.exit(2);
}
const started = new Date();
const outcome = await RUNS[name]();
mkdirSync(join(ROOT, 'docs/results'), { recursive: true });
const seconds = Math.round((Date.now() - started.getTime()) / 1000);
const result = `${name}: ${outcome.status === 0 ? 'passed' : 'failed'} in ${seconds} s, ${started.toISOString().slice(0, 10)}\n\n${kept(outcome.output)}`;
writeFileSync(join(ROOT, `docs/results/${name}.txt`), `${result.trimEnd()}\n`);
console.log(`${name}: ${outcome.status === 0 ? 'passed' : 'failed'} in ${seconds} s`);
process.exit(outcome.status);

/** What is worth keeping: results, without addresses, paths and the chatter of package managers. */
function kept(output) {
  const noise =
    /:\/\/|\/tmp\/|^npm |^[WEI]: |"ready"|^debconf|^(Get|Hit|Ign|Reading|Building dependency|Fetched|Setting up|Unpacking|Preparing|Selecting|Processing|Regenerating|Extracting)|^update-alternatives|^invoke-rc/;
  const lines = output.split(/\r?\n/).filter((line) => line.trim() !== '' && !noise.test(line));
  return lines.slice(-120).join('\n');
}

function run(command, args, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: ROOT, ...options });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        output += chunk;
        process.stdout.write(chunk);
      });
    }
    child.on('close', (code) => resolve({ status: code ?? 1, output }));
  });
}

async function bare() {
  if (process.getuid?.() !== 0) return { status: 1, output: 'making a root file system needs root' };
  if (
    !existsSync('/usr/sbin/debootstrap') &&
    spawnSync('apt-get', ['install', '-y', '--no-install-recommends', 'debootstrap'], { stdio: 'inherit' }).status !== 0
  ) {
    return { status: 1, output: 'debootstrap is missing; install it: apt-get install -y debootstrap' };
  }
  const root = mkdtempSync(join(tmpdir(), 'causeway-bare-'));
  try {
    const base = await run('debootstrap', ['--variant=minbase', '--include=ca-certificates', 'bookworm', root]);
    if (base.status !== 0) return base;
    for (const file of ['/etc/resolv.conf', '/etc/apt/sources.list', '/etc/hosts', '/root/.npmrc'])
      if (existsSync(file)) spawnSync('cp', [file, join(root, file)]);
    for (const folder of [
      '/etc/apt/apt.conf.d',
      '/etc/apt/sources.list.d',
      '/etc/apt/trusted.gpg.d',
      '/usr/share/keyrings',
      '/usr/local/share/ca-certificates',
      '/etc/ssl/certs',
    ]) {
      if (existsSync(folder)) spawnSync('cp', ['-rL', `${folder}/.`, join(root, folder)]);
    }
    spawnSync('mount', ['-t', 'proc', 'proc', join(root, 'proc')]);
    spawnSync('mount', ['--rbind', '/dev', join(root, 'dev')]);
    spawnSync('git', ['clone', '-q', ROOT, join(root, 'srv/causeway')]);
    const inside = (script) =>
      run('chroot', [root, '/bin/sh', '-ec', `cd /srv/causeway; ${script}`], {
        env: {
          ...process.env,
          HOME: '/root',
          DEBIAN_FRONTEND: 'noninteractive',
          PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
        },
      });
    // What a person has before the first command.
    const distribution = await inside(
      'apt-get update -qq && apt-get install -y -qq --no-install-recommends nodejs npm git > /dev/null && node --version',
    );
    if (distribution.status !== 0) return distribution;
    // Up, then Ctrl-C, which goes to the whole process group: two seconds later its ports are free again.
    const start = await inside(`
      perl -e 'setpgrp; $SIG{INT} = "DEFAULT"; exec @ARGV' npm start > ../start.out 2>&1 & pid=$!
      for i in $(seq 290); do grep -q '"role":"up"' ../start.out && break; sleep 1; done
      grep -v '"ready"' ../start.out | tail -20
      grep -q '"role":"up"' ../start.out
      perl -e 'kill INT => -$ARGV[0]' $pid; sleep 2
      node -e "require('net').connect(7070, '127.0.0.1').on('error', () => process.exit(0)).on('connect', () => process.exit(1))"
    `);
    if (start.status !== 0) return start;
    const test = await inside('npm test');
    return { status: test.status, output: `${start.output}\n${test.output}` };
  } finally {
    spawnSync('umount', ['-l', join(root, 'dev')]);
    spawnSync('umount', ['-l', join(root, 'proc')]);
    rmSync(root, { recursive: true, force: true });
  }
}
