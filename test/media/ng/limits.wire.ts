// budget: 20 s, beside others
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { describe, it } from 'mocha';
import { MediaNode } from '../../support/media-node.ts';
import { rtp } from '../../support/rtp.ts';
import { total } from '../../support/metrics.ts';
import { until } from '../../support/until.ts';
import { ANSWER, OFFER } from './node.ts';

const SUPPORTS = { supports: ['load limit'] };

describe('a node with a limit of its bandwidth', () => {
  it('takes no new call above it, lets the others go on, and takes calls again below it', async () => {
    await using node = await MediaNode.start(13_700, 13_759, [], { CAUSEWAY_MEDIA_MAX_BANDWIDTH_MBIT: '1' });
    const offer = (callId: string, keys = {}) =>
      node.ask({ command: 'offer', 'call-id': callId, 'from-tag': 'f', sdp: OFFER, ...keys });
    const limited = async () => (await node.total('bandwidth_mbit')) >= 1;
    const { sdp } = await offer('one');
    const answer = { command: 'answer', 'call-id': 'one', 'from-tag': 'f', 'to-tag': 't', sdp: ANSWER };
    assert.equal((await node.ask(answer))['result'], 'ok');
    const port = Number(/m=audio (\d+)/.exec(String(sdp))?.[1]);
    const speaker = createSocket('udp4');
    let sequence = 0;
    // 6 Mbit/s.
    const speaking = setInterval(() => {
      for (let i = 0; i < 10; i++)
        speaker.send(rtp({ sequence: ++sequence % 65_536, payload: Buffer.alloc(1200) }), port);
    }, 16);
    try {
      await until('the bandwidth is measured', limited);
      await until('new calls are refused', async () => (await offer('two'))['result'] === 'error');
      const told = await offer('three', SUPPORTS);
      assert.deepEqual([told['result'], told['message']], ['load limit', 'Bandwidth limit exceeded']);
      assert.equal((await offer('one'))['result'], 'ok');
    } finally {
      clearInterval(speaking);
      speaker.close();
    }
    assert.equal(await node.total('sessions'), 1);
    await until('calls are taken again', async () => (await offer('four', SUPPORTS))['result'] === 'ok');
    assert.ok((await node.total('bandwidth_mbit')) < 1);
    const metrics = await node.metrics();
    assert.ok(total(metrics, 'causeway_media_busiest_thread_percent') > 0);
    assert.ok([...metrics].some(([key, count]) => /refused_total\{.*limit="bandwidth"/.test(key) && count >= 2));
    for (const callId of ['one', 'four'])
      await node.ask({ command: 'delete', 'call-id': callId, 'from-tag': 'f', 'delete-delay': 0 });
    assert.equal(await node.total('sessions'), 0);
    assert.equal(await node.total('ports_in_use'), 0);
  }).timeout(30_000);
});
