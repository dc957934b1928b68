// The two media nodes that are compared, each started as a process of its own, on one core.
import { spawn } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../install.mjs';
import { NgClient } from './ng.mjs';
import { scratch } from './scratch.mjs';

/** Generators on the first core, what is measured on the last. */
export const GENERATOR_CORE = '0';
export const RELAY_CORE = String(availableParallelism() - 1);

/** 22,000 ports, clear of the kernel's ephemeral range (from 32768). */
const PORTS = { min: 10_000, max: 31_999 };
const START_PATIENCE_MS = 20_000;

export const PEERS = { rtpengine: rtpengineCommand, causeway: causewayCommand };

function rtpengineCommand({ address, ngPort }) {
  return {
    command: '/usr/bin/rtpengine',
    args: [
      '--config-file=none',
      '--table=-1',
      '--foreground',
      '--log-stderr',
      '--log-level=3',
      `--interface=${address}`,
      `--listen-ng=${address}:${ngPort}`,
      `--port-min=${PORTS.min}`,
      `--port-max=${PORTS.max}`,
      // Calls without media stand for as long as the bench looks at them, as they do in the other.
      '--timeout=3600',
    ],
  };
}

function causewayCommand({ address, ngPort, folder }) {
  const file = join(folder, 'media.yaml');
  // JSON is YAML.
  const media = {
    id: 'bench',
    listenNg: `${address}:${ngPort}`,
    interfaces: [address],
    portMin: PORTS.min,
    portMax: PORTS.max,
    webrtcPort: PORTS.min - 1,
    metrics: `${address}:${ngPort + 1}`,
    floor: 'native',
    timeoutSeconds: 3600,
    maxSessions: 20_000,
  };
  writeFileSync(file, JSON.stringify({ media: [media] }));
  return {
    command: join(ROOT, 'bin/causeway'),
    args: ['media', '--config', file, '--data-dir', folder, '--log-level', 'warn', '--drain-seconds', '0'],
  };
}

const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

/** A child that does not outlive the bench; standard output is read by the caller. */
export function startProcess(command, args, { cwd = ROOT, quiet = false } = {}) {
  const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', quiet ? 'ignore' : 'inherit'] });
  running.add(child);
  child.once('close', () => running.delete(child));
  return child;
}

/**
 * Starts one and waits until it answers pings. `core: undefined` leaves it unpinned.
 * @throws Error with what it wrote when it does not come up.
 */
export async function startPeer(name, { address = '127.0.0.1', ngPort = 2223, core = RELAY_CORE } = {}) {
  if (!PEERS[name]) throw new Error(`--peer: there are ${Object.keys(PEERS).join(', ')}`);
  const folder = scratch();
  const logFile = join(folder, 'log');
  const log = openSync(logFile, 'w');
  const { command, args } = PEERS[name]({ address, ngPort, folder });
  const pinned = core === undefined ? [command, ...args] : ['taskset', '-c', core, command, ...args];
  const child = spawn(pinned[0], pinned.slice(1), { stdio: ['ignore', log, log] });
  closeSync(log);
  running.add(child);
  let over = false;
  const ended = new Promise((resolve) => {
    const end = () => {
      over = true;
      running.delete(child);
      resolve();
    };
    child.once('exit', end);
    child.once('error', end);
  });
  const at = { address, port: ngPort };
  const until = performance.now() + START_PATIENCE_MS;
  let ng;
  for (;;) {
    ng = await NgClient.open(at);
    const pong = await Promise.race([ng.request({ command: 'ping' }).catch(() => undefined), pause(250)]);
    if (pong?.result === 'pong') break;
    ng.close();
    if (over || performance.now() > until) {
      child.kill('SIGKILL');
      throw new Error(`${name} did not come up:\n${readFileSync(logFile, 'utf8').slice(-2000)}`);
    }
  }
  return {
    name,
    pid: child.pid,
    at,
    ng,
    /** What it has written, its last 2,000 characters. */
    log: () => readFileSync(logFile, 'utf8').slice(-2000),
    async stop() {
      ng.close();
      child.kill('SIGTERM');
      const late = setTimeout(() => child.kill('SIGKILL'), 3000);
      await ended;
      clearTimeout(late);
    },
  };
}

/** utime + stime of all threads, in seconds. */
export function cpuSeconds(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  // The kernel's USER_HZ is 100 on every architecture that Node runs on.
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

export function residentKib(pid) {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
}

export function descriptors(pid) {
  const limit = /Max open files\s+(\S+)\s+(\S+)/.exec(readFileSync(`/proc/${pid}/limits`, 'utf8'));
  return { open: readdirSync(`/proc/${pid}/fd`).length, soft: Number(limit?.[1]), hard: Number(limit?.[2]) };
}

/**
 * Runs a tool on the generator's core to its end. Resolves with its standard output.
 * @throws Error when it ends with another status than those of `fine`.
 */
export function runTool(path, args, fine = [0]) {
  return new Promise((resolve, reject) => {
    const child = spawn('taskset', ['-c', GENERATOR_CORE, path, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    running.add(child);
    let output = '';
    let errors = '';
    child.stdout.on('data', (chunk) => (output += chunk));
    child.stderr.on('data', (chunk) => (errors += chunk));
    child.once('error', reject);
    child.once('close', (status) => {
      running.delete(child);
      if (fine.includes(status)) resolve(output);
      else reject(new Error(`${path.split('/').pop()} ended with ${status}: ${errors}${output}`));
    });
  });
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
