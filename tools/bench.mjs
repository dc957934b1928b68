// npm run bench -- NAME [--json] [--full] [--save] [...]: figures for people, with --json one last line for machines, with
// --save kept in docs/results/.
import { spawn } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, release } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { debianPackages, install, ROOT } from './install.mjs';

const RTPENGINE = { name: 'rtpengine-daemon', probe: '/usr/bin/rtpengine' };
const KAMAILIO = { name: 'kamailio', probe: '/usr/sbin/kamailio' };
const SIPP = { name: 'sip-tester', probe: '/usr/bin/sipp' };
const OPENSSL = { name: 'libssl-dev', probe: '/usr/include/openssl/ssl.h' };

/** What each one measures, and the Debian packages that it needs beside the node's own. */
const BENCHES = {
  relay: {
    about: 'CPU, loss and latency of relayed packets, rtpengine and our node in turn',
    packages: [RTPENGINE, OPENSSL],
  },
  calls: { about: 'offers and answers a second, rtpengine and our node in turn', packages: [RTPENGINE] },
  idle: { about: 'memory and descriptors of sessions that stand idle', packages: [RTPENGINE] },
  handshakes: { about: 'ICE and DTLS-SRTP handshakes a second and core', packages: [RTPENGINE, OPENSSL] },
  transcode: { about: 'CPU of calls between PCMU and Opus', packages: [] },
  sip: { about: 'registrations a second, Kamailio and our node in turn', packages: [KAMAILIO, SIPP] },
  setup: { about: 'an INVITE through a whole PoP', packages: [] },
  'sip-parse': { about: 'CPU of reading and writing SIP messages', packages: [] },
};
const NO_NAMESPACE = 125;

let options;
try {
  options = read();
} catch (error) {
  usage(error.message);
}
const { name, inside, json, save, ...wishes } = options;
if (!BENCHES[name]) usage(name ? `no benchmark "${name}"` : 'which one?');

if (!inside) {
  const node = await install({ tests: false });
  const wanted = BENCHES[name].packages.filter(
    (entry) => entry !== RTPENGINE || wishes.peers?.includes('rtpengine') !== false,
  );
  const missing = wanted.filter(({ probe }) => !existsSync(probe)).map((entry) => entry.name);
  if (missing.length > 0) await debianPackages(missing);
  const { tool } = await import('./bench/native.mjs');
  const again = [
    node,
    '--disable-warning=ExperimentalWarning',
    new URL(import.meta.url).pathname,
    ...process.argv.slice(2),
    '--inside',
  ];
  // Fixed ports and floods of packets: all of it stays in a network namespace where nothing but loopback is.
  const child = spawn(tool('netns'), again, { stdio: ['ignore', save ? 'pipe' : 'inherit', 'inherit'] });
  let output = '';
  child.stdout?.on('data', (chunk) => {
    output += chunk;
    process.stdout.write(chunk);
  });
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
  const status = await new Promise((resolve) => child.on('close', (code) => resolve(code ?? 1)));
  if (save && status === 0) writeFileSync(join(ROOT, `docs/results/bench-${name}.txt`), kept(output));
  if (status === NO_NAMESPACE)
    console.error(
      'bench: this machine does not allow a network namespace. Run it as root, or in a container of its own started with --cap-add SYS_ADMIN.',
    );
  process.exit(status);
}

if (BENCHES[name].packages.length > 0 && availableParallelism() < 2) {
  console.error('bench: two cores are needed, one for the generator and one for what is measured');
  process.exit(2);
}
const { [name]: bench } = await import(`./bench/${name}.mjs`);
let status = 0;
let figures;
try {
  figures = await bench(wishes);
} catch (error) {
  console.error(`bench: ${error.message}`);
  figures = { failed: error.message };
  status = 1;
}
for (const [key, value] of Object.entries(figures))
  if (typeof value !== 'object')
    console.log(`${key.padEnd(34)} ${typeof value === 'number' ? Number(value.toFixed(3)) : value}`);
if (json) console.log(JSON.stringify({ bench: name, ...figures }));
process.exit(status);

/** The table and what stands under it, with the day and the machine. */
function kept(output) {
  const lines = output.split('\n').filter((line) => !line.startsWith('{'));
  const from = lines.findIndex((line) => /^(mode|node) /.test(line));
  const day = new Date().toISOString().slice(0, 10);
  const machine = `${availableParallelism()} cores, ${cpus()[0]?.model.trim() ?? process.arch}, Linux ${release().replace(/^(\d+\.\d+).*/, '$1')}`;
  return `${name}${wishes.full ? ' --full' : ''}: ${day}; ${machine}\n\n${lines.slice(Math.max(from, 0)).join('\n').trim()}\n`;
}

/** @throws Error in words when an option is unknown or not a number. */
function read() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      full: { type: 'boolean', default: false },
      save: { type: 'boolean', default: false },
      inside: { type: 'boolean', default: false },
      calls: { type: 'string' },
      seconds: { type: 'string' },
      repeat: { type: 'string' },
      mode: { type: 'string' },
      peer: { type: 'string' },
    },
  });
  const number = (key, max) => {
    if (values[key] === undefined) return {};
    const value = Number(values[key]);
    if (!Number.isInteger(value) || value < 1 || value > max) throw new Error(`--${key}: a whole number up to ${max}`);
    return { [key]: value };
  };
  const list = (key, as, convert = (text) => text) =>
    values[key] === undefined ? {} : { [as]: values[key].split(',').map(convert) };
  const counts = list('calls', 'calls', Number);
  if (counts.calls?.some((count) => !Number.isInteger(count) || count < 1 || count > 5000))
    throw new Error('--calls: whole numbers up to 5000, with commas');
  return {
    name: positionals[0],
    inside: values.inside,
    json: values.json,
    save: values.save,
    full: values.full,
    ...number('seconds', 120),
    ...number('repeat', 20),
    ...counts,
    ...list('mode', 'modes'),
    ...list('peer', 'peers'),
  };
}

function usage(message) {
  console.error(`bench: ${message}\nnpm run bench -- NAME [--json] [--full] [--save], where NAME is one of:`);
  for (const [key, { about }] of Object.entries(BENCHES)) console.error(`  ${key.padEnd(12)}${about}`);
  console.error('relay, calls: --calls 100,500 --seconds 6 --repeat 3 --mode plain,srtp --peer rtpengine,causeway');
  console.error('sip: --seconds 4 --repeat 1 --mode register,digest --peer kamailio,causeway');
  process.exit(2);
}
