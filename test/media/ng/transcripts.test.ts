import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import type { Clip } from '../../../media/dataplane/mod.ts';
import { runMediaCommand } from '../../../media/ng/media-commands.ts';
import { copyOperations, gateOperations, playOperations, runCommand, type Operations } from '../../../media/ng/mod.ts';
import type { CommandName } from '../../../media/ng/spelling.ts';
import { SessionManager } from '../../../media/session/mod.ts';
import type { Bencode } from '../../../vocabulary/mod.ts';
import { PlaneDouble } from '../session/plane-double.ts';
import { general, readTranscript } from './transcript.ts';

const FILES = [
  '02-plain',
  '03-replace-direction',
  '04-rtcp-mux',
  '05-ice',
  '06-transport-crypto',
  '07-codecs',
  '08-webrtc',
  '09-transcode',
  '10-features',
];

const NOW = 1_795_191_540_000;

/** Where we knowingly differ: G.729 is not coded here. */
const DIFFERENT = new Set(['transcode=[G729]; answer accepts G729 only']);

describe('what rtpengine 10.5 replied to offers, answers and subscriptions', () => {
  for (const file of FILES) {
    const plane = new PlaneDouble({ pub: '127.0.0.1', priv: '127.0.0.2' });
    plane.portsLeft = 10_000;
    const manager = new SessionManager({
      ...{ dataplane: plane, interfaces: ['pub', 'priv'], maxSessions: 1000, timeoutSeconds: 60 },
    });
    let known = '';
    /** Tags that rtpengine made up, and ours. */
    const tags = new Map<unknown, Bencode>();
    const operations: Operations = {
      ...copyOperations(manager),
      ...gateOperations(manager),
      ...playOperations({ manager, dataplane: plane, readSound: beep(plane), publish: () => undefined }),
    };
    for (const exchange of readTranscript(file)) {
      const { request, sdp, reply, replySdp } = exchange;
      const command = request['command'] as CommandName;
      if (command !== 'offer' && command !== 'answer' && operations[command] === undefined) continue;
      if (DIFFERENT.has(exchange.heading)) continue;
      it(`${file} ${exchange.number} ${exchange.heading}: ${command}`, async () => {
        known += sdp ?? '';
        const message = { ...request, ...(sdp === undefined ? {} : { sdp }) } as Record<string, Bencode>;
        if (tags.has(message['to-tag'])) message['to-tag'] = tags.get(message['to-tag']) as Bencode;
        const ours = operations[command] ? await operate(manager, operations, message) : ask(manager, message);
        assert.equal(ours['result'], reply['result'], JSON.stringify(ours));
        assert.deepEqual(general(String(ours['sdp'] ?? ''), known), general(replySdp ?? '', known));
        if (!operations[command]) return;
        const { sdp: _, 'to-tag': tag, ...others } = ours;
        const { 'to-tag': theirs, ...expected } = reply;
        assert.deepEqual(others, expected);
        assert.deepEqual(Object.keys(others), Object.keys(expected));
        assert.equal(String(tag).length, String(theirs).length);
        if (tag !== undefined) tags.set(theirs, tag);
      });
    }
  }
});

/** The second of sound that was played. */
function beep(plane: PlaneDouble): (file: string) => Promise<Clip> {
  return (file) =>
    file === 'beep.wav'
      ? Promise.resolve(plane.clip(new Int16Array(8000), 8000))
      : Promise.reject(new Error('no such file'));
}

function ask(manager: SessionManager, message: Record<string, Bencode>): Record<string, Bencode> {
  return runCommand(manager, message, NOW).reply as Record<string, Bencode>;
}

async function operate(
  manager: SessionManager,
  operations: Operations,
  message: Record<string, Bencode>,
): Promise<Record<string, Bencode>> {
  try {
    const command = message['command'] as CommandName;
    return { ...(await runMediaCommand(operations, manager, command, message, NOW)), result: 'ok' };
  } catch (error) {
    return { result: 'error', 'error-reason': (error as Error).message };
  }
}
