// budget: 40 s, beside others
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import type { Learning, RemoteSpec } from '../../../media/dataplane/mod.ts';
import { random } from '../../support/mutate.ts';
import { openPlane, UdpPeers } from '../../support/planes.ts';
import { rtp } from '../../support/rtp.ts';
import { until } from '../../support/until.ts';

const ROUNDS = 100;

describe('a third party sprays RTP, RTCP, STUN and DTLS at every open port', function () {
  this.timeout(30_000);

  for (const learning of ['off', 'immediate', 'delayed', 'heuristic'] as const satisfies readonly Learning[]) {
    for (const secure of [false, true]) {
      it(`${learning}, ${secure ? 'SRTP' : 'plain'}: hears nothing, is not heard, and is counted`, async () => {
        const plane = openPlane(18_300, 18_319, 17_996);
        const peers = new UdpPeers();
        const [a, b, stranger] = [await peers.open(), await peers.open(), await peers.open()];
        try {
          const open = (socket: 'pair' | 'shared') =>
            plane.openEndpoint({
              socket,
              interface: 'lo',
              affinity: 'x',
              ...(socket === 'shared' ? { ice: { ufrag: 'ours', pwd: 'a'.repeat(24) } } : {}),
            });
          const [ea, eb, far, near, web] = [open('pair'), open('pair'), open('pair'), open('pair'), open('shared')];
          const key = (fill: number) => ({
            suite: 'AES_CM_128_HMAC_SHA1_80' as const,
            keySalt: Buffer.alloc(30, fill),
          });
          const crypto = (send: number, receive: number): RemoteSpec['crypto'] =>
            secure ? { type: 'sdes', send: key(send), receive: key(receive) } : { type: 'none' };
          const common = { learning, strictSource: false, rtcpMux: false } as const;
          const none = { type: 'none' } as const;
          // a → ea → eb ⇒ far → near → b; between eb and far the stream is secure, when it is to be.
          ea.configure({ ...common, rtp: a.at, crypto: none });
          eb.configure({ ...common, rtp: far.rtp, crypto: crypto(1, 2) });
          far.configure({ ...common, rtp: eb.rtp, crypto: crypto(2, 1) });
          near.configure({ ...common, rtp: b.at, crypto: none });
          web.configure({
            learning: 'off',
            strictSource: true,
            rtcpMux: true,
            crypto: { type: 'dtls', role: 'server', fingerprints: [{ algorithm: 'sha-256', value: 'AA:BB' }] },
          });
          const path = { mode: 'relay' } as const;
          plane.setPath(ea, eb, path);
          plane.setPath(far, near, path);
          plane.setPath(near, far, path);
          plane.setPath(eb, ea, path);
          const pick = random(learning.length * 2 + Number(secure));
          const bytes = (length: number) => Buffer.from(Array.from({ length }, () => pick(256)));
          const shots = [
            () => rtp({ sequence: pick(65_536), ssrc: pick(2 ** 32), payload: bytes(40) }),
            () => Buffer.concat([Buffer.from([0x81, 201, 0, 7]), bytes(28)]),
            () => Buffer.concat([Buffer.from([0, 1, 0, 12, 0x21, 0x12, 0xa4, 0x42]), bytes(24)]),
            () => Buffer.concat([Buffer.from([22, 254, 253]), bytes(60)]),
            () => bytes(50),
          ];
          const ports = [ea, eb, far, near, web].flatMap(({ rtp: { port }, rtcp }) =>
            rtcp ? [port, rtcp.port] : [port],
          );
          for (let i = 0; i < ROUNDS; i++) {
            a.send(rtp({ sequence: i, payload: Buffer.from(`a${i}`) }), ea.rtp);
            b.send(rtp({ sequence: i, ssrc: 8, payload: Buffer.from(`b${i}`) }), near.rtp);
            // The parties speak first: before their first packet nobody can tell them from a stranger.
            if (i === 0) await until('both directions', () => a.heard.length + b.heard.length === 2, 2000, 5);
            for (const port of ports) {
              for (const shot of shots) stranger.send(shot(), { port });
            }
            await new Promise((resolve) => setTimeout(resolve, 10));
          }
          const spoken = (heard: readonly Buffer[]) => heard.map((packet) => packet.subarray(12).toString());
          const said = (who: string) => Array.from({ length: ROUNDS }, (_, i) => `${who}${i}`);
          await until('the last packets', () => a.heard.length >= ROUNDS && b.heard.length >= ROUNDS, 3000);
          assert.deepEqual(spoken(b.heard), said('a'));
          assert.deepEqual(spoken(a.heard), said('b'));
          assert.equal(stranger.heard.length, 0);
          const drops = () => Object.values(plane.totals().dropped).reduce((sum, count) => sum + count, 0);
          await until('every shot counted', () => drops() >= ROUNDS * ports.length * shots.length * 0.95, 1000);
          const { dropped } = plane.totals();
          for (const reason of ['unknown-source', 'malformed', 'ice']) assert.ok((dropped[reason] ?? 0) > 0, reason);
          assert.ok(ea.stats().source?.refused.some(({ from }) => from.port === stranger.at.port));
        } finally {
          peers.close();
          await plane.close();
        }
      });
    }
  }
});
