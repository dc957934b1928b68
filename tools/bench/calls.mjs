// npm run bench -- calls: how many calls a second each media node sets up over ng on one core.
import { digits, spread, table } from './figures.mjs';
import { tool } from './native.mjs';
import { runTool, startPeer } from './peers.mjs';

const WINDOW = 32;
/** Both have seen that many calls before anything counts: a node meets its first calls once, and a proxy's load is steady. */
const WARM_UP_CALLS = 10_000;
const RATIO_BAR = 1.2;

const ROUNDS = 5;

/**
 * All offers and answers first and then all deletes, several times; last, each call is deleted once it is answered. The
 * first calls that stand are a row of their own: a node that is compiled as it runs is at its slowest there.
 */
const PHASES = [
  { phase: 'warm-up', steps: 'oad', calls: () => WARM_UP_CALLS },
  ...Array.from({ length: ROUNDS }, (_, round) => [
    {
      phase: round === 0 ? 'first offer+answer' : 'offer+answer',
      steps: 'oa',
      calls: (count) => count,
      tag: `standing${round}`,
    },
    { phase: 'delete', steps: 'd', calls: (count) => count, tag: `standing${round}` },
  ]).flat(),
  { phase: 'offer+answer+delete', steps: 'oad', calls: (count) => 3 * count },
];
const NAMES = [...new Set(PHASES.map(({ phase }) => phase))];

export async function calls({
  full,
  calls: counts = [full ? 4000 : 2000],
  modes = ['plain', 'srtp'],
  repeat = full ? 5 : 3,
  peers = ['rtpengine', 'causeway'],
}) {
  const unknown = modes.filter((mode) => mode !== 'plain' && mode !== 'srtp');
  if (unknown.length > 0) throw new Error(`no such mode: ${unknown.join(', ')}; there are plain, srtp`);
  const [count] = counts;
  const runs = [];
  for (let round = 0; round < repeat; round++)
    for (const mode of modes)
      for (const name of round % 2 ? peers.toReversed() : peers)
        for (const run of await once(name, mode, count)) {
          runs.push({ peer: name, mode, ...run });
          console.log(`${name} ${mode} ${run.phase}: ${digits(run.callsPerS)} calls/s`);
        }
  const cells = modes.flatMap((mode) => NAMES.map((phase) => ({ mode, phase })));
  const results = cells.flatMap((cell) => peers.map((peer) => summary(peer, cell, runs)));
  const ratios = cells.map(({ mode, phase }) => {
    const of = (peer) => results.find((r) => r.peer === peer && r.mode === mode && r.phase === phase);
    const [ours, theirs] = [of('causeway'), of('rtpengine')];
    return {
      mode,
      phase,
      ratio: ours?.callsPerS.median / theirs?.callsPerS.median,
      // Of the CPU of a call: what the rate's ratio is when nothing else runs on the machine.
      cpuRatio: ours?.cpuUsPerCall.median / theirs?.cpuUsPerCall.median,
    };
  });
  console.log(`\n${draw(results, ratios)}\n`);
  const bars = ratios
    .filter(({ phase, ratio }) => phase.endsWith('offer+answer') && !Number.isNaN(ratio))
    .map(({ mode, phase, ratio }) => ({
      bar: `${mode}, ${phase}: ≥ ${RATIO_BAR} × rtpengine's rate`,
      value: digits(ratio),
      met: ratio >= RATIO_BAR,
    }));
  for (const { bar, value, met } of bars) console.log(`${met ? 'met   ' : 'MISSED'} ${bar}: ${value}`);
  return { results, ratios: ratios.filter(({ ratio }) => !Number.isNaN(ratio)), bars, calls: count, repeat };
}

/** One process through all phases. @throws Error when a request is refused or stays without a reply. */
async function once(name, mode, count) {
  const peer = await startPeer(name);
  try {
    const runs = [];
    for (const { phase, steps, calls: of, tag } of PHASES) {
      const about = ['-a', peer.at.address, '-p', peer.at.port, '-P', peer.pid, '-w', WINDOW, '-k', mode];
      const args = [...about, '-s', steps, '-n', of(count), '-t', tag ?? phase.replaceAll(/\W/g, '')];
      runs.push({ phase, ...JSON.parse(await runTool(tool('ngload'), args.map(String))) });
    }
    return runs;
  } finally {
    await peer.stop();
  }
}

function summary(peer, { mode, phase }, runs) {
  const own = runs.filter((run) => run.peer === peer && run.mode === mode && run.phase === phase);
  const of = (key) => spread(own.map((run) => run[key]));
  const latencies = ['offerP50Us', 'offerP99Us', 'answerP50Us', 'answerP99Us', 'deleteP50Us', 'deleteP99Us'];
  const kept = ['callsPerS', 'cpuUsPerCall', 'peerCorePct', 'clientCorePct', ...latencies];
  const figures = Object.fromEntries(kept.filter((key) => own[0]?.[key] !== undefined).map((key) => [key, of(key)]));
  return { peer, mode, phase, ...figures, repeats: own.reduce((total, run) => total + run.repeats, 0) };
}

function draw(results, ratios) {
  const head =
    'mode,phase,node,calls/s,(min..max),ratio,CPU µs/call,ratio,core %,client %,offer p99 ms,answer p99 ms'.split(',');
  const rows = results.map((result) => {
    const { ratio, cpuRatio } = ratios.find((r) => r.mode === result.mode && r.phase === result.phase);
    const rate = result.callsPerS;
    return [
      result.mode,
      result.phase,
      result.peer,
      digits(rate.median),
      `(${digits(rate.min)}..${digits(rate.max)})`,
      result.peer === 'causeway' ? digits(ratio) : '',
      digits(result.cpuUsPerCall.median),
      result.peer === 'causeway' ? digits(cpuRatio) : '',
      digits(result.peerCorePct.median),
      digits(result.clientCorePct.median),
      result.offerP99Us ? digits(result.offerP99Us.median / 1000) : '',
      result.answerP99Us ? digits(result.answerP99Us.median / 1000) : '',
    ];
  });
  return table([head, ...rows]);
}
