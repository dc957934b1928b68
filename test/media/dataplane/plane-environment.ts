/** A thread that ends with its packet path open, under traffic from and to itself: run as its main module. */
import { parentPort, workerData } from 'node:worker_threads';
import { createDataplane, openRequestSocket, type DataplaneOptions } from '../../../media/dataplane/mod.ts';
import { rtp } from '../../support/rtp.ts';

const plane = createDataplane(workerData as DataplaneOptions);
const ends = [0, 1].map(() => plane.openEndpoint({ socket: 'pair', interface: 'lo', affinity: 'left' }));
for (const end of ends)
  end.configure({
    ...{ learning: 'immediate', strictSource: false, mediaHandover: true, rtcpMux: false, crypto: { type: 'none' } },
    rtp: { address: '127.0.0.1', port: 9 },
  });
const [from, to] = ends as [(typeof ends)[0], (typeof ends)[0]];
plane.setPath(from, to, { mode: 'relay' });
plane.onEvent(() => undefined);
const speaker = openRequestSocket({ address: '127.0.0.1', port: 0 }, () => undefined);
let sequence = 0;
setInterval(() => {
  for (let n = 0; n < 50; n++) speaker.reply(rtp({ sequence: ++sequence % 65_536 }), '127.0.0.1', from.rtp.port);
}, 1);
// A port of messages to another thread has no origin.
// oxlint-disable-next-line unicorn/require-post-message-target-origin
parentPort?.postMessage('open');
