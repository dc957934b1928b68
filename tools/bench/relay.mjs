// npm run bench -- relay: what a relayed packet costs, rtpengine and our node in turn on the same core.
import { digits, spread, table } from './figures.mjs';
import { load, loadFloor, MODES } from './load.mjs';
import { Refused } from './ng.mjs';
import { startPeer } from './peers.mjs';

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
  const runs = [];
  for (let round = 0; round < repeat; round++)
    for (const cell of cells) {
      // Each goes first as often as the other: a machine that grows slower or faster favours neither.
      for (const name of round % 2 ? peers.toReversed() : peers) {
        if (name === 'floor' && cell.mode !== 'plain') continue;
        const figures = await once(name, cell, seconds);
        runs.push({ peer: name, ...cell, ...figures });
        console.log(
          figures.refused
            ? `${name} ${cell.mode} ${cell.calls}: refused: ${figures.refused}`
            : `${name} ${cell.mode} ${cell.calls}: ${digits(figures.cpuSPerMpkt)} CPU-s/Mpkt, ${figures.lost} lost of ${figures.sent}`,
        );
      }
    }
  const results = cells.flatMap((cell) => peers.flatMap((peer) => summary(peer, cell, runs)));
  const ratios = cells.map(({ mode, calls: count }) => {
    const of = (peer) =>
      results.find((r) => r.peer === peer && r.mode === mode && r.calls === count)?.cpuSPerMpkt?.median;
    return { mode, calls: count, ratio: of('causeway') / of('rtpengine') };
  });
  console.log(`\n${draw(results, ratios)}\n`);
  const bars = judge(results, ratios);
  for (const { bar, value, met } of bars) console.log(`${met ? 'met   ' : 'MISSED'} ${bar}: ${value}`);
  return { results, ratios: ratios.filter(({ ratio }) => !Number.isNaN(ratio)), bars, seconds, repeat };
}

/** A fresh process for every run: none inherits the other's memory or ports. */
async function once(name, cell, seconds) {
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

function summary(peer, { mode, calls }, runs) {
  const own = runs.filter((run) => run.peer === peer && run.mode === mode && run.calls === calls);
  if (own.length === 0) return [];
  const refused = own.find((run) => run.refused)?.refused;
  if (refused) return { peer, mode, calls, refused };
  const sum = (name) => own.reduce((total, run) => total + run[name], 0);
  const figures = Object.fromEntries(KEPT.map((name) => [name, spread(own.map((run) => run[name]))]));
  return {
    peer,
    mode,
    calls,
    sent: sum('sent'),
    lost: sum('lost'),
    lossPct: (100 * sum('lost')) / sum('sent'),
    ...figures,
  };
}

function draw(results, ratios) {
  const head =
    'mode,calls,relay,CPU-s/Mpkt,(min..max),ratio,loss %,p50 ms,p99 ms,core %,RSS MB,generator %,others %'.split(',');
  const rows = results.map((result) => {
    const { mode, calls, peer } = result;
    if (result.refused) return [mode, calls, peer, 'refused', '', '', '', '', '', '', '', '', ''];
    const ratio = ratios.find((r) => r.mode === mode && r.calls === calls)?.ratio;
    const cpu = result.cpuSPerMpkt;
    return [
      mode,
      calls,
      peer,
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
    if (half !== undefined && !Number.isNaN(half))
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
