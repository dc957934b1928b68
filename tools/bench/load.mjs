// Calls for the packet benchmarks: set up over ng, described for rtpload, run once.
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { payloads, tool } from './native.mjs';
import { inParallel, Refused } from './ng.mjs';
import { RELAY_CORE, runTool, startProcess } from './peers.mjs';
import { scratch } from './scratch.mjs';
import { audioSdp, readSdp } from './sdp.mjs';

const A = '127.0.1.1';
const B = '127.0.1.2';
/** Even ports alone: RTCP that a relay sends of itself must not land in another call's socket. */
const FIRST_PORT = 20_000;
const CALLS_PER_SOCKET = 8;
const SETUP_WIDTH = 32;

const key = (first) => Buffer.from(Array.from({ length: 30 }, (_, index) => first + index)).toString('base64');
const KEY_A = key(0);
const KEY_B = key(60);

/** Stamped bytes as PCMU: what comes out can be compared with what went in. */
const STAMPED = { pt: 0, rtpmap: 'PCMU/8000', payload: 'raw:160', tick: 160 };
/** A is PCMU without SRTP unless it says otherwise. */
export const MODES = {
  plain: { b: STAMPED },
  srtp: { b: STAMPED, keyA: KEY_A },
  'srtp-pass': { b: STAMPED, keyA: KEY_A, keyB: KEY_B },
  pcma: { b: { pt: 8, rtpmap: 'PCMA/8000', payload: 'pcma', tick: 160 }, transcode: 'PCMA' },
  g722: { b: { pt: 9, rtpmap: 'G722/8000', payload: 'g722', tick: 160 }, transcode: 'G722' },
  opus: { b: { pt: 96, rtpmap: 'opus/48000/2', payload: 'opus', tick: 960 }, transcode: 'opus' },
};

/** One call. Returns its two lines for rtpload. @throws Error with the relay's reason. */
async function setUp(ng, mode, index, tag) {
  const { b, keyA, keyB, transcode } = MODES[mode];
  const socket = Math.floor(index / CALLS_PER_SOCKET);
  const port = FIRST_PORT + 2 * socket;
  const about = {
    'call-id': `bench-${tag}-${index}`,
    'from-tag': 'a',
    replace: ['origin'],
    flags: ['trust-address'],
    ICE: 'remove',
    ...(keyA ? { DTLS: 'off' } : {}),
  };
  const offered = readSdp(
    await ng.sdp({
      command: 'offer',
      ...about,
      ...(keyA && !keyB ? { 'transport-protocol': 'RTP/AVP' } : {}),
      ...(transcode ? { codec: { mask: ['PCMU'], transcode: [transcode] } } : {}),
      sdp: audioSdp({ address: A, port, crypto: keyA }),
    }),
  );
  const pt = transcode ? (offered.ptOf(transcode) ?? offered.pts.find((number) => number === b.pt)) : b.pt;
  if (pt === undefined) throw new Refused(`the relay does not offer ${transcode}`);
  const answered = readSdp(
    await ng.sdp({
      command: 'answer',
      ...about,
      'to-tag': 'b',
      sdp: audioSdp({ address: B, port, pt, rtpmap: b.rtpmap, crypto: keyB }),
    }),
  );
  if ((keyA && !answered.crypto) || (keyB && !offered.crypto)) throw new Error('the relay gives no SDES key');
  const atA = `${2 * socket} ${answered.address} ${answered.port}`;
  const atB = `${2 * socket + 1} ${offered.address} ${offered.port}`;
  const payloadA = transcode ? 'pcmu' : STAMPED.payload;
  return [
    `F ${2 * index} 0 ${atA} ${atB} ${payloadA} 0 160 ${keyA ?? '-'} ${keyB ? offered.crypto : '-'}`,
    `F ${2 * index + 1} 1 ${atB} ${atA} ${b.payload} ${pt} ${b.tick} ${keyB ?? '-'} ${keyA ? answered.crypto : '-'}`,
  ];
}

/**
 * Sets up the calls, loads them and returns what rtpload says.
 * @throws Error when a call is refused, or when a packet came out wrong, at the wrong place, twice or not at all for a whole flow.
 */
export async function load(peer, { mode, calls, seconds, warmUp = 2 }) {
  const tag = `${process.pid}-${Math.round(performance.now())}`;
  const flows = await inParallel(calls, SETUP_WIDTH, (index) => setUp(peer.ng, mode, index, tag));
  const figures = await runLoad(writeFlows(calls, flows), { pid: peer.pid, seconds, warmUp });
  const wrong = wrongs(figures);
  if (wrong) throw new Error(`${peer.name}, ${mode}, ${calls} calls: ${wrong}`);
  return figures;
}

/**
 * The same plain calls through the minimal relay (native/floor.c), which knows its routes from the start.
 * @param {{ fault?: string, encrypted?: boolean }} about `fault`: what it is to do wrong, so that a test sees rtpload
 *   notice; `encrypted`: SRTP, which it passes on as it is.
 */
export async function loadFloor({ calls, seconds, warmUp = 2, fault, encrypted = false }) {
  const keys = encrypted ? `${KEY_A} ${KEY_A}` : '- -';
  const flows = Array.from({ length: calls }, (_, index) => {
    const socket = Math.floor(index / CALLS_PER_SOCKET);
    const [atA, atB] = [0, 1].map((side) => `${2 * socket + side} 127.0.0.1 ${10_000 + 2 * index + side}`);
    return [
      `F ${2 * index} 0 ${atA} ${atB} raw:160 0 160 ${keys}`,
      `F ${2 * index + 1} 1 ${atB} ${atA} raw:160 0 160 ${keys}`,
    ];
  });
  const path = writeFlows(calls, flows);
  const floor = startProcess('taskset', ['-c', RELAY_CORE, tool('floor'), path, ...(fault ? [fault] : [])]);
  try {
    await once(floor.stdout, 'data');
    return await runLoad(path, { pid: floor.pid, seconds, warmUp });
  } finally {
    floor.kill('SIGKILL');
    await once(floor, 'close');
  }
}

async function runLoad(path, { pid, seconds, warmUp }) {
  const args = ['-f', path, '-t', String(seconds), '-w', String(warmUp), '-p', String(pid)];
  return JSON.parse(await runTool(tool('rtpload'), [...args, '-d', payloads()]));
}

function writeFlows(calls, flows) {
  const sockets = Array.from({ length: Math.ceil(calls / CALLS_PER_SOCKET) }, (_, index) => [
    `S ${2 * index} ${A} ${FIRST_PORT + 2 * index}`,
    `S ${2 * index + 1} ${B} ${FIRST_PORT + 2 * index}`,
  ]);
  const path = join(scratch(), 'flows');
  writeFileSync(path, `${[...sockets, ...flows].flat().join('\n')}\n`);
  return path;
}

/** A relay that loses packets is slow; one that mixes them up is broken, and its speed means nothing. */
const WRONG = {
  stray: 'packets that belong to no call',
  wrongFlow: 'packets of another call',
  corrupt: 'packets with other content than was sent',
  badAuth: 'packets with a wrong SRTP tag',
  duplicate: 'packets twice',
  silentFlows: 'flows of which nothing came out',
};

/** What is wrong in words; undefined when nothing is. */
export function wrongs(figures) {
  const found = Object.entries(WRONG).filter(([name]) => figures[name] > 0);
  return found.length === 0 ? undefined : found.map(([name, words]) => `${figures[name]} ${words}`).join(', ');
}
