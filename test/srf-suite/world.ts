// A machine of its own for one file of the suite: run by srf-suite.wire.ts as the first process of a network, mount and
// process namespace. Two engines stand where the suite's servers would, native SIPps where its containers would. The last
// line of the output is JSON: what passed and what did not.
//   world.ts FOLDER FILE, where FOLDER holds `suite`, the unpacked package, and FILE is a name of its test folder or `unit`.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RoleProcess } from '../roles/process.ts';
import { until } from '../support/until.ts';
import { NETWORK, topology, type Host } from './topology.ts';

const [folder = '', file = ''] = process.argv.slice(2);
const SUITE = join(folder, 'suite');
const ROOT = new URL('../..', import.meta.url).pathname;
const SECRET = 'cymru';
/** The suite's configuration names these two control ports. */
const ENGINES = { 'drachtio-sut': '127.0.0.1:9061', 'drachtio-uas': '127.0.0.1:9062' } as const;

const hosts = topology(SUITE);
network();
const sipps = hosts.filter(({ scenario }) => scenario !== undefined).map(startSipp);
const engines = Object.entries(ENGINES).map(([name, control]) => startEngine(name, control));
await Promise.all(engines.map((engine) => engine.ready('engine')));
await until('every SIPp listens', () => hosts.every(({ scenario, address }) => !scenario || listens(address)));
const { output, status } = await run(file);
const dead = engines.filter((engine) => engine.lines.length === 0 || !alive(engine.pid)).map(({ errors }) => errors);
const complaints = engines.map(({ errors }) => errors).filter((text) => text !== '');
for (const sipp of sipps) sipp.kill('SIGKILL');
await Promise.all(engines.map((engine) => engine[Symbol.asyncDispose]()));
const counted = file === 'unit' ? countMocha(output) : countTap(output);
console.log(JSON.stringify({ ...counted, status, dead, complaints, output: output.slice(-6000) }));
process.exit(0);

/** Nothing but loopback, on which the whole of the suite's network lives; names come from a file alone. */
function network(): void {
  command('ip', ['link', 'set', 'lo', 'up']);
  command('ip', ['route', 'add', 'local', NETWORK, 'dev', 'lo']);
  const names = hosts.map(({ name, address }) => `${address} ${name}\n`).join('');
  for (const [path, text] of [
    ['hosts', `127.0.0.1 localhost\n${names}`],
    ['resolv.conf', 'nameserver 127.0.0.1\noptions ndots:0 timeout:1 attempts:1\n'],
  ] as const) {
    writeFileSync(join(folder, path), text);
    command('mount', ['--bind', join(folder, path), join('/etc', path)]);
  }
}

function command(name: string, args: readonly string[]): void {
  const { status: code, stderr } = spawnSync(name, args, { encoding: 'utf8' });
  if (code !== 0) throw new Error(`${name} ${args.join(' ')}: ${stderr}`);
}

function startSipp({ name, address, scenario }: Host): ChildProcess {
  const place = join(folder, name);
  mkdirSync(place);
  const path = join(SUITE, 'test/scenarios', scenario as string);
  const args = ['-sf', path, '-i', address, '-mi', address, '-p', '5060', '-nostdin'];
  return spawn('sipp', args, { cwd: place, stdio: 'ignore' });
}

function startEngine(name: string, control: string): RoleProcess {
  const { address } = hosts.find((host) => host.name === name) as Host;
  const secret = join(folder, `${name}.secret`);
  writeFileSync(secret, SECRET, { mode: 0o600 });
  return new RoleProcess(['engine', '--sip', `udp:${address}:5060`, '--control', control, '--secret-file', secret]);
}

/** Whether somebody has bound UDP port 5060 of the address. */
function listens(address: string): boolean {
  const hex = address
    .split('.')
    .map((part) => Number(part).toString(16).padStart(2, '0'))
    .toReversed()
    .join('')
    .toUpperCase();
  return readFileSync('/proc/net/udp', 'utf8').includes(` ${hex}:13C4 `);
}

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

function run(what: string): Promise<{ output: string; status: number | null }> {
  const shims = join(folder, 'bin');
  mkdirSync(shims);
  const docker = join(shims, 'docker');
  writeFileSync(docker, `#!/bin/sh\nexec '${process.execPath}' '${join(import.meta.dirname, 'docker.ts')}' "$@"\n`);
  chmodSync(docker, 0o755);
  const args =
    what === 'unit'
      ? [join(ROOT, 'node_modules/mocha/bin/mocha.js'), '--reporter', 'json', 'test/unit-tests/']
      : [`test/${what}.js`];
  const child = spawn(process.execPath, args, {
    cwd: SUITE,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      NODE_ENV: 'test',
      SUITE_FOLDER: SUITE,
      PATH: `${shims}:${process.env['PATH']}`,
      TERM: 'xterm',
    },
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const timer = setTimeout(() => child.kill('SIGKILL'), 80_000);
  return new Promise((resolve) => {
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ output: text, status: code });
    });
  });
}

interface Counted {
  readonly passed: number;
  readonly failures: readonly string[];
}

function countTap(text: string): Counted {
  const lines = text.split('\n');
  return {
    passed: lines.filter((line) => /^ok \d+/.test(line)).length,
    failures: lines.filter((line) => /^not ok \d+/.test(line) || line.includes('Unhandled Rejection')),
  };
}

function countMocha(text: string): Counted {
  const report = JSON.parse(text.slice(text.indexOf('{\n'), text.lastIndexOf('}') + 1)) as {
    readonly stats: { readonly passes: number };
    readonly failures: readonly { readonly fullTitle: string; readonly err: { readonly message?: string } }[];
  };
  const failures = report.failures.map(({ fullTitle, err }) => `${fullTitle}: ${err.message ?? ''}`);
  return { passed: report.stats.passes, failures };
}
