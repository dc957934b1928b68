// npm run bench -- relay: what a relayed packet costs, rtpengine and our node in turn on the same core.
import { digits } from './figures.mjs';
import { load, loadFloor, MODES } from './load.mjs';
import { Refused } from './ng.mjs';
import { startPeer } from './peers.mjs';
import { report } from './relay-report.mjs';

const USUAL = [
  { mode: 'plain', calls: [100, 500, 1000] },
  { mode: 'srtp', calls: [100, 500, 1000] },
];
const REST = [
  { mode: 'srtp-pass', calls: [500, 1000] },
  { mode: 'pcma', calls: [50, 200] },
  { mode: 'g722', calls: [50, 100] },
  { mode: 'opus', calls: [20, 50] },
];
/** `floor` is the minimal relay: the least that this machine asks for a packet. */
const RELAYS = ['floor', 'rtpengine', 'causeway'];
/** Beside start, set-up, warm-up and the tail of a run, in seconds. */
const RUN_EXTRA_S = 5;
/** Of a core, for what runs beside the two; and how much longer than it should a window may last: then the generator
 * has not kept pace, and the load was not the one that the table names. */
const QUIET = { othersCorePct: 20, stretch: 1.03 };

export async function relay({
  full,
  calls,
  modes,
  seconds = 6,
  repeat = full ? 5 : 3,
  peers = full ? RELAYS : ['rtpengine', 'causeway'],
}) {
  const cells = (full ? [...USUAL, ...REST] : USUAL)
    .concat(modes ? REST.filter(({ mode }) => !full && modes.includes(mode)) : [])
    .filter(({ mode }) => !modes || modes.includes(mode))
    .flatMap(({ mode, calls: usual }) => (calls ?? usual).map((count) => ({ mode, calls: count })));
  const unknown = (modes ?? []).filter((mode) => !MODES[mode]);
  if (unknown.length > 0)
    throw new Error(`no such mode: ${unknown.join(', ')}; there are ${Object.keys(MODES).join(', ')}`);
  if (!peers.every((name) => RELAYS.includes(name))) throw new Error(`--peer: there are ${RELAYS.join(', ')}`);
  const plan = Array.from({ length: repeat }, (_, round) =>
    // Each goes first as often as the other: a machine that grows slower or faster favours neither.
    cells.flatMap((cell) => (round % 2 ? peers.toReversed() : peers).map((peer) => ({ peer, ...cell }))),
  )
    .flat()
    .filter(({ peer, mode }) => peer !== 'floor' || mode === 'plain');
  console.log(`${plan.length} runs, about ${Math.ceil((plan.length * (seconds + RUN_EXTRA_S)) / 60)} minutes\n`);
  const runs = [];
  let again = Math.floor(plan.length / 6);
  for (const run of plan) {
    let figures = await once(run, seconds);
    for (let tries = 0; disturbed(figures, seconds) && tries < 2 && again > 0; tries++, again--) {
      console.log(`${line(run, figures)}; disturbed, and repeated`);
      figures = await once(run, seconds);
    }
    runs.push({ ...run, ...figures, disturbed: disturbed(figures, seconds) });
    console.log(`${line(run, figures)}${disturbed(figures, seconds) ? '; disturbed' : ''}`);
  }
  return { ...report(runs, cells, peers), seconds, repeat };
}

function disturbed(figures, seconds) {
  if (figures.refused) return false;
  return figures.othersCorePct > QUIET.othersCorePct || figures.seconds > seconds * QUIET.stretch;
}

function line({ peer, mode, calls }, figures) {
  if (figures.refused) return `${peer} ${mode} ${calls}: refused: ${figures.refused}`;
  return `${peer} ${mode} ${calls}: ${digits(figures.cpuSPerMpkt)} CPU-s/Mpkt, ${figures.lost} lost of ${figures.sent}`;
}

/** A fresh process for every run: none inherits the other's memory or ports. */
async function once({ peer: name, ...cell }, seconds) {
  if (name === 'floor') return await loadFloor({ ...cell, seconds });
  const peer = await startPeer(name);
  try {
    return await load(peer, { ...cell, seconds });
  } catch (error) {
    // A codec that one of them does not have is a line in the table. What both must have is not.
    if (error instanceof Refused && MODES[cell.mode].transcode) return { refused: error.message };
    throw error;
  } finally {
    await peer.stop();
  }
}
