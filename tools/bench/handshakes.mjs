// npm run bench -- handshakes: how many WebRTC parties a second one core lets in: ICE check, DTLS-SRTP handshake.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { digits, spread, table } from './figures.mjs';
import { tool } from './native.mjs';
import { inParallel } from './ng.mjs';
import { runTool, startPeer } from './peers.mjs';
import { scratch } from './scratch.mjs';
import { audioSdp, readSdp, webrtcSdp } from './sdp.mjs';

const A = '127.0.1.1';
const B = '127.0.1.2';
const FIRST_PORT = 10_000;
const WINDOW = 64;
const SETUP_WIDTH = 32;
const PER_CORE_BAR = 300;

export async function handshakes({
  full,
  calls = [full ? 3000 : 1000],
  repeat = full ? 5 : 3,
  peers = ['rtpengine', 'causeway'],
}) {
  const [count] = calls;
  const runs = [];
  for (let round = 0; round < repeat; round++)
    for (const name of round % 2 ? peers.toReversed() : peers) {
      const run = await once(name, count);
      runs.push({ peer: name, ...run });
      console.log(`${name}: ${digits(run.perS)} handshakes/s, ${digits(run.perCoreS)} for each CPU second`);
    }
  const results = peers.map((peer) => {
    const own = runs.filter((run) => run.peer === peer);
    const keys = ['perS', 'perCoreS', 'nodeCorePct', 'clientCorePct', 'p50Ms', 'p99Ms', 'handshakeP50Ms'];
    const figures = Object.fromEntries(keys.map((key) => [key, spread(own.map((run) => run[key]))]));
    const sum = (key) => own.reduce((total, run) => total + run[key], 0);
    return { peer, ...figures, handshakes: sum('handshakes'), repeats: sum('dtlsRepeats') + sum('checkRepeats') };
  });
  console.log(`\n${draw(results)}\n`);
  const ours = results.find(({ peer }) => peer === 'causeway')?.perCoreS.median;
  const bars =
    ours === undefined
      ? []
      : [{ bar: `≥ ${PER_CORE_BAR} handshakes a second and core`, value: digits(ours), met: ours >= PER_CORE_BAR }];
  for (const { bar, value, met } of bars) console.log(`${met ? 'met   ' : 'MISSED'} ${bar}: ${value}`);
  return { results, bars, parties: count, repeat };
}

/** @throws Error when a handshake fails, or when a packet sent after it does not come through as it was. */
async function once(name, count) {
  const folder = scratch();
  const peer = await startPeer(name);
  try {
    const pem = join(folder, 'party.pem');
    const fingerprint = (await runTool(tool('dtlsload'), ['-g', pem])).trim();
    const parties = await inParallel(count, SETUP_WIDTH, (index) => setUp(peer.ng, index, fingerprint));
    const file = join(folder, 'parties');
    writeFileSync(file, `${parties.join('\n')}\n`);
    const args = ['-c', pem, '-f', file, '-w', WINDOW, '-P', peer.pid];
    return JSON.parse(await runTool(tool('dtlsload'), args.map(String)));
  } finally {
    await peer.stop();
  }
}

/** A call from a WebRTC party to a plain one. Returns its line for dtlsload. */
async function setUp(ng, index, fingerprint) {
  const port = FIRST_PORT + 2 * index;
  const ufrag = `u${index.toString(36).padStart(5, '0')}`;
  const pwd = `password-of-party-${String(index).padStart(6, '0')}`;
  const about = {
    'call-id': `dtls-${index}`,
    'from-tag': 'a',
    replace: ['origin', 'session-connection'],
    flags: ['trust-address'],
  };
  const offered = readSdp(
    await ng.sdp({
      command: 'offer',
      ...about,
      ICE: 'remove',
      'transport-protocol': 'RTP/AVP',
      'rtcp-mux': ['demux'],
      sdp: webrtcSdp({ address: A, port, ufrag, pwd, fingerprint }),
    }),
  );
  const answered = readSdp(
    await ng.sdp({
      command: 'answer',
      ...about,
      'to-tag': 'b',
      ICE: 'force',
      sdp: audioSdp({ address: B, port }),
    }),
  );
  if (!answered.ufrag || !answered.pwd || !answered.fingerprint) throw new Error('the answer has no ICE or no DTLS');
  const node = `${answered.address} ${answered.port} ${answered.ufrag} ${answered.pwd}`;
  const plain = `${offered.address} ${offered.port} ${port}`;
  return `${node} ${ufrag} ${pwd} ${answered.fingerprint} ${port} ${plain}`;
}

function draw(results) {
  const head = 'node,per s,(min..max),per s and core,(min..max),core %,client %,p50 ms,p99 ms,repeats'.split(',');
  const range = ({ min, max }) => `(${digits(min)}..${digits(max)})`;
  const rows = results.map((r) => [
    r.peer,
    digits(r.perS.median),
    range(r.perS),
    digits(r.perCoreS.median),
    range(r.perCoreS),
    digits(r.nodeCorePct.median),
    digits(r.clientCorePct.median),
    digits(r.p50Ms.median),
    digits(r.p99Ms.median),
    r.repeats,
  ]);
  return table([head, ...rows]);
}
