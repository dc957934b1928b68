// budget: 15 s, beside others
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { describe, it } from 'mocha';
import { createDataplane, openRequestSocket, type RemoteSpec } from '../../../media/dataplane/mod.ts';
import { rtp } from '../../support/rtp.ts';
import { until } from '../../support/until.ts';

const BASE = 17_900;
const OPTIONS = {
  interfaces: [{ name: 'lo', address: '127.0.0.1', advertised: '127.0.0.1' }],
  ...{ portMin: BASE, portMax: BASE + 39, webrtcPort: BASE + 41, threads: 2 },
};
const REMOTE: RemoteSpec = {
  ...{ learning: 'delayed', strictSource: false, rtcpMux: false, crypto: { type: 'none' } },
  rtp: { address: '127.0.0.1', port: BASE + 45 },
};
/** What waits for JavaScript at most (napi/addon.cc). */
const QUEUE = 10_000;

describe('events of the packet path', function () {
  this.timeout(20_000);

  it('of which JavaScript takes none for a while are lost above a bound, and counted', async () => {
    const plane = createDataplane(OPTIONS);
    let keys = 0;
    plane.onEvent(({ type }) => (keys += type === 'dtmf' ? 1 : 0));
    const ends = [0, 1].map(() => plane.openEndpoint({ socket: 'pair', interface: 'lo', affinity: 'keys' }));
    const [from, to] = ends as [(typeof ends)[0], (typeof ends)[0]];
    for (const end of ends) end.configure(REMOTE);
    plane.setPath(from, to, {
      mode: 'relay',
      events: { formats: [{ pt: 101, clockRate: 8000 }], detect: true, block: true },
    });
    // It sends at once, without the event loop, which hears of nothing meanwhile.
    const speaker = openRequestSocket({ address: '127.0.0.1', port: BASE + 46 }, () => undefined);
    const pressed = QUEUE + 1000;
    const pause = new Int32Array(new SharedArrayBuffer(4));
    for (let n = 1; n <= pressed; n++) {
      const key = rtp({ pt: 101, sequence: n % 65_536, timestamp: n * 800, payload: Buffer.from([5, 0x8a, 3, 0x20]) });
      speaker.reply(key, '127.0.0.1', from.rtp.port);
      // No more than the socket holds.
      if (n % 50 === 0) while (from.stats().received.packets < n) Atomics.wait(pause, 0, 0, 1);
    }
    speaker.close();
    const { eventsLost } = plane.totals();
    assert.ok(eventsLost >= 1000 && eventsLost < 1100, `${eventsLost} lost`);
    await until('the others', () => keys + eventsLost === pressed, 5000, 20);
    await plane.close();
  });

  it('and its threads end with the environment that forgets to close it', async () => {
    const file = new URL('./plane-environment.ts', import.meta.url);
    for (let i = 0; i < 3; i++) {
      const worker = new Worker(file, { workerData: OPTIONS });
      const exit = new Promise((resolve) => worker.once('exit', resolve));
      assert.deepEqual(await once(worker, 'message'), ['open']);
      assert.throws(() => createDataplane(OPTIONS), /cannot listen/);
      await worker.terminate();
      await exit;
      await createDataplane(OPTIONS).close();
    }
  });
});
