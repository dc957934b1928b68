// npm run bench -- sip: registrations a second and what each costs, Kamailio and our node in turn on the same core.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createSocket } from 'node:dgram';
import { join } from 'node:path';
import { ROOT } from '../install.mjs';
import { digits, spread, table } from './figures.mjs';
import { cpuSeconds, GENERATOR_CORE, RELAY_CORE, residentKib, startProcess } from './peers.mjs';
import { scratch } from './scratch.mjs';

const FOLDER = join(ROOT, 'tools/bench/sip');
const USERS = 50_000;
/** One REGISTER in a thousand may be sent again; whoever sends more of them again is not served. */
const MAX_REPEATED = 0.001;
const START_PATIENCE_MS = 30_000;

/** `steps`: the rates that are tried one after the other until one is not sustained. */
const MODES = {
  register: { scenario: 'register.xml', about: 'REGISTER, 200', bar: 7000 },
  digest: { scenario: 'digest.xml', about: 'REGISTER, 401, REGISTER, 200' },
};
const RATES = [1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000, 10_000, 12_000];
const COMMON_RATE = 2000;
const CPU_BAR = 3;
const P99_BAR_MS = 10;
const MEMORY_BAR_MB = 350;

const PEERS = { kamailio: kamailioCommand, causeway: causewayCommand };

function kamailioCommand(mode, folder) {
  const file = join(folder, 'kamailio.cfg');
  const defines = [`#!define USERS ${USERS}`, ...(mode === 'digest' ? ['#!define DIGEST'] : [])];
  const text = readFileSync(join(FOLDER, 'kamailio.cfg'), 'utf8').replace('#!KAMAILIO\n', '');
  writeFileSync(file, ['#!KAMAILIO', ...defines, text].join('\n'));
  return ['/usr/sbin/kamailio', '-DD', '-E', '-f', file, '-Y', folder, '-m', '512', '-M', '8'];
}

/** Without passwords the least that an application of drachtio-srf can be; with them the signaling node. */
function causewayCommand(mode, folder) {
  if (mode === 'register')
    return [process.execPath, '--disable-warning=ExperimentalWarning', join(FOLDER, 'register-app.mjs')];
  const file = join(folder, 'signaling.yaml');
  const accounts = Array.from({ length: USERS }, (_, n) => ({ user: `u${n}`, password: 'secret' }));
  const node = {
    ...{ id: 'bench', sip: ['udp:127.0.0.1:5060'], metrics: '127.0.0.1:5062', domains: { default: 'bench.local' } },
    ...{ accounts, limits: { bindings: 2 * USERS } },
  };
  // JSON is YAML.
  writeFileSync(file, JSON.stringify({ signaling: [node] }));
  return [
    join(ROOT, 'bin/causeway'),
    'signaling',
    '--config',
    file,
    '--data-dir',
    folder,
    '--log-level',
    'warn',
    '--drain-seconds',
    '0',
  ];
}

export async function sip({
  full,
  seconds = full ? 8 : 4,
  repeat = full ? 3 : 1,
  modes = Object.keys(MODES),
  peers = Object.keys(PEERS),
}) {
  for (const [what, given, known] of [
    ['mode', modes, MODES],
    ['peer', peers, PEERS],
  ])
    for (const name of given)
      if (!known[name]) throw new Error(`no such ${what}: ${name}; there are ${Object.keys(known).join(', ')}`);
  const runs = [];
  for (let round = 0; round < repeat; round++)
    for (const mode of modes)
      for (const peer of round % 2 ? peers.toReversed() : peers) runs.push(await once(peer, mode, seconds));
  const results = modes.flatMap((mode) => peers.map((peer) => summary(peer, mode, runs)));
  console.log(`\n${draw(results)}\n`);
  const bars = barsOf(results);
  for (const { bar, value, met } of bars) console.log(`${met ? 'met   ' : 'MISSED'} ${bar}: ${value}`);
  return { results, bars, seconds, repeat };
}

/** One process: the rates that it takes, then what it costs and how long it takes at two of them. */
async function once(name, mode, seconds) {
  const peer = await start(name, mode);
  try {
    // What every process does once is not what it does all day.
    await load(peer, mode, 1000, 3);
    const common = await load(peer, mode, COMMON_RATE, seconds);
    let best;
    for (const rate of RATES) {
      let run = await load(peer, mode, rate, seconds);
      // Once may be the machine's fault.
      if (!isSustained(run)) run = await load(peer, mode, rate, seconds);
      console.log(
        `${name} ${mode} ${rate}/s: ${digits(run.perS)}/s, ${digits(run.cpuUs)} µs each, ${run.repeated} repeated, ${run.failed} failed`,
      );
      if (!isSustained(run)) break;
      best = run;
    }
    const half = best && (await load(peer, mode, Math.round(best.rate / 2), seconds));
    await load(peer, mode, Math.min(3000, best?.rate ?? 1000), undefined, USERS);
    const residentMb = peer.pids().reduce((sum, pid) => sum + residentKib(pid), 0) / 1024;
    return { peer: name, mode, common, best, half, residentMb };
  } finally {
    await peer.stop();
  }
}

function isSustained({ failed, repeated, count, perS, rate }) {
  return failed === 0 && repeated <= count * MAX_REPEATED && perS >= 0.93 * rate;
}

/** SIPp on the generator's core. @returns what it counted, with the CPU of the peer */
async function load(peer, mode, rate, seconds, count = rate * seconds) {
  const folder = scratch();
  const before = peer.cpu();
  const started = performance.now();
  const args = [
    ...['-sf', join(FOLDER, MODES[mode].scenario), '-inf', users(), '127.0.0.1:5060', '-i', '127.0.0.1', '-p', '5070'],
    ...['-r', rate, '-m', count, '-l', 15_000, '-buff_size', 4 << 20, '-nostdin', '-timeout', '60s'],
    ...['-trace_stat', '-stf', join(folder, 'stat.csv'), '-fd', '1', '-trace_rtt', '-rtt_freq', '5000'],
  ];
  const child = startProcess('taskset', ['-c', GENERATOR_CORE, 'sipp', ...args.map(String)], {
    cwd: folder,
    quiet: true,
  });
  child.stdout.resume();
  await new Promise((resolve) => child.once('close', resolve));
  const took = (performance.now() - started) / 1000;
  const rows = readFileSync(join(folder, 'stat.csv'), 'utf8').trim().split('\n');
  const [names, last] = [rows[0].split(';'), rows.at(-1).split(';')];
  const value = (column) => Number(last[names.indexOf(column)]);
  const done = value('SuccessfulCall(C)');
  const times = roundTrips(folder);
  return {
    ...{ rate, count, done, failed: count - done, repeated: value('Retransmissions(C)') },
    ...{ perS: done / took, cpuUs: ((peer.cpu() - before) / done) * 1e6 },
    ...{ p50Ms: times[times.length >> 1], p99Ms: times[Math.floor(times.length * 0.99)] },
  };
}

function roundTrips(folder) {
  const file = readdirSync(folder).find((name) => name.endsWith('_rtt.csv'));
  if (!file) return [];
  const rows = readFileSync(join(folder, file), 'utf8').trim().split('\n').slice(1);
  return rows.map((row) => Number(row.split(';')[1])).sort((a, b) => a - b);
}

let csv;
function users() {
  if (csv) return csv;
  csv = join(scratch(), 'users.csv');
  const rows = Array.from({ length: USERS }, (_, n) => `u${n};[authentication username=u${n} password=secret]`);
  writeFileSync(csv, ['SEQUENTIAL', ...rows, ''].join('\n'));
  return csv;
}

async function start(name, mode) {
  const folder = scratch();
  mkdirSync(folder, { recursive: true });
  const [command, ...args] = PEERS[name](mode, folder);
  const child = startProcess('taskset', ['-c', RELAY_CORE, command, ...args]);
  child.stdout.resume();
  const pids = () => family(child.pid);
  const ended = new Promise((resolve) => child.once('close', resolve));
  const stop = async () => {
    child.kill('SIGTERM');
    const late = setTimeout(() => child.kill('SIGKILL'), 3000);
    await ended;
    clearTimeout(late);
  };
  const until = performance.now() + START_PATIENCE_MS;
  while (!(await answers())) {
    if (child.exitCode === null && performance.now() < until) continue;
    await stop();
    throw new Error(`${name} did not come up`);
  }
  return { pids, stop, cpu: () => pids().reduce((sum, pid) => sum + cpuSeconds(pid), 0) };
}

/** A process and those that it has started. */
function family(pid) {
  const parents = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
        return [[Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])]];
      } catch {
        return [];
      }
    });
  const all = [pid];
  for (const one of all) all.push(...parents.filter(([, parent]) => parent === one).map(([child]) => child));
  return all;
}

/** Whether anybody answers OPTIONS at 5060. */
function answers() {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    const end = (value) => {
      clearTimeout(timer);
      socket.close(() => resolve(value));
    };
    const timer = setTimeout(() => end(false), 250);
    socket.once('message', () => end(true));
    socket.once('error', () => end(false));
    socket.bind(0, '127.0.0.1', () => {
      const { port } = socket.address();
      const lines = [
        ...[
          'OPTIONS sip:bench.local SIP/2.0',
          `Via: SIP/2.0/UDP 127.0.0.1:${port};branch=z9hG4bK${port}${Math.random()}`,
        ],
        ...[
          'From: <sip:probe@bench.local>;tag=p',
          'To: <sip:bench.local>',
          `Call-ID: ${Math.random()}`,
          'CSeq: 1 OPTIONS',
        ],
        ...['Max-Forwards: 70', 'Content-Length: 0', '', ''],
      ];
      socket.send(lines.join('\r\n'), 5060, '127.0.0.1');
    });
  });
}

function summary(peer, mode, runs) {
  const own = runs.filter((run) => run.peer === peer && run.mode === mode);
  // What was not measured is no figure, and meets no bar.
  const of = (pick) => spread(own.map((run) => pick(run) ?? Number.NaN));
  return {
    ...{ peer, mode, sustained: of(({ best }) => best?.rate ?? 0), cpuUs: of(({ common }) => common.cpuUs) },
    ...{
      cpuUsAtBest: of(({ best }) => best?.cpuUs),
      p50Ms: of(({ half }) => half?.p50Ms),
      p99Ms: of(({ half }) => half?.p99Ms),
    },
    residentMb: of(({ residentMb }) => residentMb),
  };
}

function barsOf(results) {
  const bars = [];
  for (const result of results.filter(({ peer }) => peer === 'causeway')) {
    const { mode } = result;
    const theirs = results.find((other) => other.peer === 'kamailio' && other.mode === mode);
    const add = (bar, value, met) => bars.push({ bar: `${MODES[mode].about}: ${bar}`, value: digits(value), met });
    if (MODES[mode].bar)
      add(`≥ ${MODES[mode].bar} a second`, result.sustained.median, result.sustained.median >= MODES[mode].bar);
    if (mode === 'digest') {
      if (theirs) {
        const ratio = result.cpuUs.median / theirs.cpuUs.median;
        add(`≤ ${CPU_BAR} × Kamailio's CPU at ${COMMON_RATE} a second`, ratio, ratio <= CPU_BAR);
      }
      add(
        `${USERS} bindings in ≤ ${MEMORY_BAR_MB} MB`,
        result.residentMb.median,
        result.residentMb.median <= MEMORY_BAR_MB,
      );
    }
    add(`p99 < ${P99_BAR_MS} ms at half of what is sustained`, result.p99Ms.median, result.p99Ms.median < P99_BAR_MS);
  }
  return bars;
}

function draw(results) {
  const head =
    `mode,node,sustained/s,(min..max),CPU µs each at ${COMMON_RATE}/s,at most,p50 ms at half,p99 ms at half,MB with ${USERS} users`.split(
      ',',
    );
  const rows = results.map((result) => [
    ...[
      result.mode,
      result.peer,
      digits(result.sustained.median),
      `(${digits(result.sustained.min)}..${digits(result.sustained.max)})`,
    ],
    ...[
      digits(result.cpuUs.median),
      digits(result.cpuUsAtBest.median),
      digits(result.p50Ms.median),
      digits(result.p99Ms.median),
    ],
    digits(result.residentMb.median),
  ]);
  return table([head, ...rows]);
}
