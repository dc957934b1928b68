// What has to be on the machine before Causeway runs: Debian packages, npm packages with Node 24 among them, the native
// add-on, the page. Plain JavaScript for the distribution's own Node (18 or newer), without dependencies.
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';

export const ROOT = new URL('..', import.meta.url).pathname.replace(/\/$/, '');

/** By what each one is needed for. `probe`: the file that tells that it is there. */
const RUN = [
  { name: 'g++', probe: '/usr/bin/g++' },
  { name: 'make', probe: '/usr/bin/make' },
  { name: 'python3', probe: '/usr/bin/python3' },
  { name: 'pkg-config', probe: '/usr/bin/pkg-config' },
  { name: 'libopus-dev', probe: '/usr/include/opus/opus.h' },
];
const TEST = [
  { name: 'sip-tester', probe: '/usr/bin/sipp' },
  { name: 'iproute2', probe: '/bin/ip' },
  { name: 'chromium', probe: '/usr/bin/chromium' },
  { name: 'firefox-esr', probe: '/usr/bin/firefox-esr' },
  { name: 'libssl-dev', probe: '/usr/include/openssl/ssl.h' },
  { name: 'rtpengine-daemon', probe: '/usr/bin/rtpengine' },
  { name: 'kamailio', probe: '/usr/sbin/kamailio' },
  { name: 'kamailio-websocket-modules', probe: '/usr/share/doc/kamailio-websocket-modules/copyright' },
];

/** `tests`: also what only the tests need. Returns the folder's Node 24. */
export async function install({ tests = false } = {}) {
  const stamp = join(ROOT, '.stamp', tests ? 'test' : 'run');
  const wanted = fingerprint(tests);
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted && nodeOf() && packagesMissing(tests).length === 0)
    return nodeOf();
  await systemPackages(tests);
  npmPackages();
  const node = nodeOf();
  if (!node) fail(`npm has not brought Node 24 for ${process.arch}; only x64 and arm64 are known`);
  run(node, [join(ROOT, 'tools/build-native.mjs')], 'building the native add-on');
  run(node, [join(ROOT, 'tools/build-page.mjs')], 'building the softphone page');
  mkdirSync(join(ROOT, '.stamp'), { recursive: true });
  writeFileSync(stamp, wanted);
  return node;
}

/** Lock file, package list and everything that is built: when none has changed, nothing is to be done. */
function fingerprint(tests) {
  const hash = createHash('sha256');
  hash.update(JSON.stringify([RUN, tests ? TEST : [], process.arch]));
  for (const file of ['package-lock.json', 'tools/install.mjs', 'tools/build-native.mjs', 'tools/build-page.mjs']) {
    hash.update(readFileSync(join(ROOT, file)));
  }
  for (const folder of ['media/dataplane/native', 'console/page']) hashFolder(hash, join(ROOT, folder));
  return hash.digest('hex');
}

function hashFolder(hash, folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.name === 'build') continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) hashFolder(hash, path);
    else hash.update(path.slice(ROOT.length)).update(readFileSync(path));
  }
}

function packagesMissing(tests) {
  return [...RUN, ...(tests ? TEST : [])].filter(({ probe }) => !existsSync(probe)).map(({ name }) => name);
}

async function systemPackages(tests) {
  const missing = packagesMissing(tests);
  if (missing.length > 0) await debianPackages(missing);
}

/** Installs Debian packages by name, saying so; what they bring is kept from starting. Ends the process when it cannot. */
export async function debianPackages(missing) {
  const line = `apt-get install -y --no-install-recommends ${missing.join(' ')}`;
  const root = process.getuid?.() === 0;
  const sudo = !root && spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0;
  const interactive = process.stdin.isTTY && process.stdout.isTTY;
  if (!existsSync('/usr/bin/apt-get'))
    fail(`these packages are missing, and this system has no apt: ${missing.join(' ')}`);
  if (!root && !sudo && !interactive) {
    console.error(`causeway: these Debian packages are missing; as root run:\n  ${line}`);
    process.exit(1);
  }
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const prefix = root ? [] : ['sudo', ...(sudo ? ['-n'] : [])];
  const apt = (args, options = {}) => {
    const [command, ...rest] = [...prefix, 'apt-get', ...args];
    return spawnSync(command, rest, { stdio: 'inherit', env: environment, ...options });
  };
  console.log(`Missing Debian packages: ${missing.join(' ')}`);
  console.log(`  ${[...prefix, line].join(' ')}`);
  let size = simulate(missing, environment);
  if (size === undefined) {
    // The package lists of a fresh machine are empty.
    apt(['update', '-qq']);
    size = simulate(missing, environment);
  }
  if (size) console.log(`  ${size}`);
  if (interactive) {
    const reader = createInterface({ input: process.stdin, output: process.stdout });
    const answer = (await reader.question('Install them now? [Y/n] ')).trim().toLowerCase();
    reader.close();
    if (answer !== '' && !answer.startsWith('y')) {
      console.error(`causeway: not installed; later run:\n  ${line}`);
      process.exit(1);
    }
  }
  const undo = keepServicesFromStarting(root, prefix);
  try {
    const result = apt(['install', '-y', '--no-install-recommends', ...missing]);
    if (result.status !== 0)
      fail(`apt-get could not install them; run it yourself and look at what it says:\n  ${line}`);
  } finally {
    undo();
  }
}

/** How much would be downloaded; undefined when apt does not know the packages (yet). `--assume-no` alone would not do: apt asks only when there is more to install than was named. */
function simulate(packages, environment) {
  const args = ['install', '--no-install-recommends', '--print-uris', '-qq', ...packages];
  const result = spawnSync('apt-get', args, { encoding: 'utf8', env: { ...environment, LC_ALL: 'C' } });
  if (result.status !== 0) return undefined;
  // A line is: 'URI' file bytes checksum
  const bytes = `${result.stdout}`.split('\n').reduce((sum, line) => sum + (Number(line.split(' ')[2]) || 0), 0);
  return `Need to get ${(bytes / 1e6).toFixed(1)} MB`;
}

/** A package that brings a server must not start it: invoke-rc.d asks this file (Debian policy §9.3.3.1). */
function keepServicesFromStarting(root, prefix) {
  const file = '/usr/sbin/policy-rc.d';
  if (existsSync(file)) return () => undefined;
  const script = '#!/bin/sh\nexit 101\n';
  try {
    if (root) writeFileSync(file, script, { mode: 0o755 });
    else
      execFileSync(prefix[0], [
        ...prefix.slice(1),
        'sh',
        '-c',
        `printf '%s' "$1" > ${file} && chmod 755 ${file}`,
        'sh',
        script,
      ]);
  } catch {
    return () => undefined;
  }
  return () => {
    try {
      if (root) rmSync(file);
      else execFileSync(prefix[0], [...prefix.slice(1), 'rm', '-f', file]);
    } catch {
      console.error(`causeway: ${file} could not be removed; please do so`);
    }
  };
}

function npmPackages() {
  const hash = createHash('sha256')
    .update(readFileSync(join(ROOT, 'package-lock.json')))
    .digest('hex');
  const stamp = join(ROOT, 'node_modules', '.causeway-lock');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === hash && nodeOf()) return;
  console.log('Installing npm packages (Node 24 is one of them)');
  const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  const first = spawnSync('npm', args, { cwd: ROOT, stdio: 'inherit' });
  if (first.error) fail('npm is missing; install it: apt-get install -y npm');
  if (first.status !== 0) fail('npm ci failed; what it says stands above');
  if (Number(process.versions.node.split('.')[0]) < 22) {
    // An older npm leaves out, without a word, optional packages that ask for a newer Node than its own: the binaries
    // of some tools. Node 24 is here now, so npm does it once more with that.
    const cli = realpathSync(execFileSync('/bin/sh', ['-c', 'command -v npm'], { encoding: 'utf8' }).trim());
    // Debian's npm takes its modules from where Debian's Node looks by itself.
    const environment = { ...process.env, NODE_PATH: '/usr/share/nodejs:/usr/lib/nodejs', NODE_NO_WARNINGS: '1' };
    const again = spawnSync(nodeOf(), [cli, ...args], { cwd: ROOT, stdio: 'inherit', env: environment });
    if (again.status !== 0) fail('npm ci under Node 24 failed; what it says stands above');
  }
  writeFileSync(stamp, hash);
}

export function nodeOf() {
  for (const arch of ['x64', 'arm64']) {
    const node = join(ROOT, `node_modules/node-linux-${arch}/bin/node`);
    if (process.arch === arch && existsSync(node)) return node;
  }
  return undefined;
}

function run(command, args, what) {
  const result = spawnSync(command, args, { cwd: ROOT, stdio: 'inherit' });
  if (result.status !== 0) fail(`${what} failed; what it says stands above`);
}

function fail(text) {
  console.error(`causeway: ${text}`);
  process.exit(1);
}

if (process.argv[1] === new URL(import.meta.url).pathname) await install({ tests: process.argv.includes('--tests') });
