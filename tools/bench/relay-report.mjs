// What the runs of the relay benchmark say: medians, ratios, a table, and the bars that are to be met.
import { digits, spread, table } from './figures.mjs';

/** Of rtpengine's figure, at 500 calls; and what has to hold at 1,000. */
const BARS = { ratioAt500: 0.75, p50MsAt1000: 1, corePctAt1000: 90 };
const KEPT = [
  'cpuSPerMpkt',
  'relayCorePct',
  'p50Us',
  'p99Us',
  'maxUs',
  'relayRssMb',
  'generatorCorePct',
  'othersCorePct',
];

/** Prints the table and the bars. Returns the figures for machines. */
export function report(runs, cells, peers) {
  const results = cells.flatMap((cell) => peers.flatMap((peer) => summary(peer, cell, runs)));
  const ratios = cells.flatMap(({ mode, calls }) => {
    const of = (peer) => results.find((r) => r.peer === peer && r.mode === mode && r.calls === calls)?.cpuSPerMpkt;
    const [ours, theirs] = [of('causeway'), of('rtpengine')];
    if (!ours || !theirs) return [];
    return { mode, calls, ratio: ours.median / theirs.median, ratioOfMinima: ours.min / theirs.min };
  });
  console.log(`\n${draw(results, ratios)}\n`);
  const count = runs.filter((run) => run.disturbed).length;
  if (count > 0)
    console.log(
      `${count} of ${runs.length} runs were disturbed by others; where there are better ones, they do not count.`,
    );
  const bars = judge(results, ratios);
  for (const { bar, value, met } of bars) console.log(`${met ? 'met   ' : 'MISSED'} ${bar}: ${value}`);
  return { results, ratios, bars, disturbed: count };
}

function summary(peer, { mode, calls }, runs) {
  const own = runs.filter((run) => run.peer === peer && run.mode === mode && run.calls === calls);
  if (own.length === 0) return [];
  const refused = own.find((run) => run.refused)?.refused;
  if (refused) return { peer, mode, calls, refused };
  const quiet = own.filter((run) => !run.disturbed);
  const counted = quiet.length > 0 ? quiet : own;
  const sum = (name) => counted.reduce((total, run) => total + run[name], 0);
  const figures = Object.fromEntries(KEPT.map((name) => [name, spread(counted.map((run) => run[name]))]));
  return {
    peer,
    mode,
    calls,
    runs: counted.length,
    sent: sum('sent'),
    lost: sum('lost'),
    lossPct: (100 * sum('lost')) / sum('sent'),
    ...figures,
  };
}

function draw(results, ratios) {
  const head =
    'mode,calls,relay,runs,CPU-s/Mpkt,(min..max),ratio,loss %,p50 ms,p99 ms,core %,RSS MB,generator %,others %'.split(
      ',',
    );
  const rows = results.map((result) => {
    const { mode, calls, peer } = result;
    if (result.refused) return [mode, calls, peer, '', 'refused', '', '', '', '', '', '', '', '', ''];
    const ratio = ratios.find((r) => r.mode === mode && r.calls === calls)?.ratio;
    const cpu = result.cpuSPerMpkt;
    return [
      mode,
      calls,
      peer,
      result.runs,
      digits(cpu.median),
      `(${digits(cpu.min)}..${digits(cpu.max)})`,
      peer === 'causeway' ? digits(ratio) : '',
      digits(result.lossPct),
      digits(result.p50Us.median / 1000),
      digits(result.p99Us.median / 1000),
      digits(result.relayCorePct.median),
      digits(result.relayRssMb.median),
      digits(result.generatorCorePct.median),
      digits(result.othersCorePct.median),
    ];
  });
  return table([head, ...rows]);
}

function judge(results, ratios) {
  const bars = [];
  for (const mode of ['plain', 'srtp']) {
    const half = ratios.find((r) => r.mode === mode && r.calls === 500)?.ratio;
    if (half !== undefined)
      bars.push({
        bar: `${mode}, 500 calls: ≤ ${BARS.ratioAt500} of rtpengine`,
        value: digits(half),
        met: half <= BARS.ratioAt500,
      });
    const whole = results.find((r) => r.peer === 'causeway' && r.mode === mode && r.calls === 1000);
    if (!whole || whole.refused) continue;
    const p50 = whole.p50Us.median / 1000;
    const core = whole.relayCorePct.median;
    bars.push({ bar: `${mode}, 1000 calls: nothing lost`, value: whole.lost, met: whole.lost === 0 });
    bars.push({
      bar: `${mode}, 1000 calls: p50 < ${BARS.p50MsAt1000} ms`,
      value: digits(p50),
      met: p50 < BARS.p50MsAt1000,
    });
    bars.push({
      bar: `${mode}, 1000 calls: core ≤ ${BARS.corePctAt1000} %`,
      value: digits(core),
      met: core <= BARS.corePctAt1000,
    });
  }
  return bars;
}
