import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { runCommand } from '../../../media/ng/mod.ts';
import { SessionManager } from '../../../media/session/mod.ts';
import type { Bencode } from '../../../vocabulary/mod.ts';
import { PlaneDouble } from '../session/plane-double.ts';
import { general, readTranscript, type Exchange } from './transcript.ts';

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

/** Where we knowingly differ: G.729 is not coded here. */
const DIFFERENT = new Set(['transcode=[G729]; answer accepts G729 only']);

describe('what rtpengine 10.5 replied to offers and answers', () => {
  for (const file of FILES) {
    const plane = new PlaneDouble({ pub: '127.0.0.1', priv: '127.0.0.2' });
    plane.portsLeft = 10_000;
    const manager = new SessionManager({
      ...{ dataplane: plane, interfaces: ['pub', 'priv'], maxSessions: 1000, timeoutSeconds: 60 },
    });
    let known = '';
    for (const exchange of readTranscript(file)) {
      const { request, sdp, reply, replySdp } = exchange;
      if (request['command'] !== 'offer' && request['command'] !== 'answer') continue;
      if (DIFFERENT.has(exchange.heading)) continue;
      it(`${file} ${exchange.number} ${exchange.heading}: ${request['command']}`, () => {
        known += sdp ?? '';
        const ours = ask(manager, exchange);
        assert.equal(ours['result'], reply['result'], JSON.stringify(ours));
        assert.deepEqual(general(String(ours['sdp']), known), general(replySdp ?? '', known));
      });
    }
  }
});

function ask(manager: SessionManager, { request, sdp }: Exchange): Record<string, Bencode> {
  const message = { ...request, ...(sdp === undefined ? {} : { sdp }) } as Record<string, Bencode>;
  return runCommand(manager, message, 1_795_191_540_000).reply as Record<string, Bencode>;
}
