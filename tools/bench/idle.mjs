// npm run bench -- idle: what a session costs that stands idle, in one process and in several.
import { digits, table } from './figures.mjs';
import { tool } from './native.mjs';
import { cpuSeconds, descriptors, residentKib, runTool, startPeer } from './peers.mjs';

const ONE_PROCESS = 4500;
const SEVERAL = { sessions: 10_000, processes: 3 };
const KIB_BAR = 20;
/** Logs, HTTP and a new control connection need some, however many calls there are. */
const DESCRIPTORS_KEPT_FREE = 64;
const IDLE_SECONDS = 5;
/** The shape of memory before it is measured: code compiled, tables grown once, nothing of it counted as a session's. */
const WARM_UP_CALLS = 1000;

export async function idle({ calls = [ONE_PROCESS], peers = ['rtpengine', 'causeway'], seconds = IDLE_SECONDS }) {
  const results = [];
  for (const name of peers) {
    results.push(await stand(name, calls[0], 1, seconds));
    // As many processes as it takes; the peer's figure in one is enough to compare with.
    if (name === 'causeway' && calls[0] === ONE_PROCESS)
      results.push(await stand(name, SEVERAL.sessions, SEVERAL.processes, seconds));
  }
  console.log(`\n${draw(results)}\n`);
  const limit = peers.includes('causeway') ? await beyond('causeway') : undefined;
  const bars = results
    .filter(({ peer }) => peer === 'causeway')
    .map(({ sessions, processes, kibPerSession }) => ({
      bar: `${sessions} sessions in ${processes}: ≤ ${KIB_BAR} KiB each`,
      value: digits(kibPerSession),
      met: kibPerSession <= KIB_BAR,
    }));
  if (limit)
    bars.push({
      bar: 'more sessions than there are descriptors: refused in words, and the node goes on',
      value: `${limit.refused} of ${limit.asked} refused (${limit.reason}), ${limit.free} descriptors kept free`,
      met:
        limit.refused > 0 && limit.silent === 0 && /ports/i.test(limit.reason) && limit.free >= DESCRIPTORS_KEPT_FREE,
    });
  for (const { bar, value, met } of bars) console.log(`${met ? 'met   ' : 'MISSED'} ${bar}: ${value}`);
  return { results, limit, bars };
}

/** @throws Error when a session is refused: then the node has a limit below the bar. */
async function stand(name, sessions, processes, seconds) {
  const nodes = [];
  try {
    // An address of its own for each: together they need more ports than one address has below the ephemeral range.
    for (let index = 0; index < processes; index++)
      nodes.push(await startPeer(name, { address: `127.0.0.${index + 1}`, ngPort: 2223 }));
    for (const node of nodes) await ngload(node, WARM_UP_CALLS, 'oad', 'w');
    const before = nodes.map(({ pid }) => residentKib(pid));
    const share = (index) => Math.floor((sessions + index) / processes);
    for (const [index, node] of nodes.entries()) await ngload(node, share(index), 'oa', 'idle');
    const cpu = nodes.map(({ pid }) => cpuSeconds(pid));
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    const after = nodes.map(({ pid }) => residentKib(pid));
    const used = nodes.reduce((total, { pid }, index) => total + cpuSeconds(pid) - cpu[index], 0);
    const open = nodes.map(({ pid }) => descriptors(pid));
    for (const [index, node] of nodes.entries()) await ngload(node, share(index), 'd', 'idle');
    const sum = (list) => list.reduce((total, value) => total + value, 0);
    return {
      peer: name,
      sessions,
      processes,
      kibPerSession: (sum(after) - sum(before)) / sessions,
      rssMbBefore: sum(before) / 1024,
      rssMb: sum(after) / 1024,
      idleCorePct: (100 * used) / seconds,
      descriptors: sum(open.map((entry) => entry.open)),
      descriptorLimit: open[0].soft,
      descriptorsAfter: sum(nodes.map(({ pid }) => descriptors(pid).open)),
    };
  } finally {
    for (const node of nodes) await node.stop();
  }
}

/** Asks one process for more sessions than the hard limit of descriptors and its ports allow. */
async function beyond(name) {
  const asked = 5600;
  const node = await startPeer(name);
  try {
    const { refused, silent, reason } = await ngload(node, asked, 'oa', 'beyond', [0, 1]);
    const pong = await node.ng.request({ command: 'ping' });
    const { open, soft } = descriptors(node.pid);
    await ngload(node, asked, 'd', 'beyond', [0, 1]);
    const descriptorsAfter = descriptors(node.pid).open;
    if (pong?.result !== 'pong') throw new Error(`no answer to a ping: ${JSON.stringify(pong)}`);
    return { asked, refused, silent, reason, free: soft - open, descriptorsAfter };
  } finally {
    await node.stop();
  }
}

async function ngload({ at, pid }, count, steps, tag, fine = [0]) {
  const args = ['-a', at.address, '-p', at.port, '-P', pid, '-n', count, '-s', steps, '-t', tag, '-w', 32];
  return JSON.parse(await runTool(tool('ngload'), args.map(String), fine));
}

function draw(results) {
  const head =
    'node,processes,sessions,KiB/session,RSS MB before,RSS MB idle,core %,descriptors,of (each),left after'.split(',');
  const rows = results.map((r) => [
    r.peer,
    r.processes,
    r.sessions,
    digits(r.kibPerSession),
    digits(r.rssMbBefore),
    digits(r.rssMb),
    digits(r.idleCorePct),
    r.descriptors,
    r.descriptorLimit,
    r.descriptorsAfter,
  ]);
  return table([head, ...rows]);
}
