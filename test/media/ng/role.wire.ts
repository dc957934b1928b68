// budget: 30 s, beside others
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'mocha';
import { RoleProcess } from '../../roles/process.ts';
import { ANSWER, OFFER, soon } from './node.ts';

const FLAGS = [
  '--drain-seconds',
  '0',
  '--port-min',
  '18700',
  '--port-max',
  '18799',
  '--webrtc-port',
  '18801',
  '--metrics',
  '127.0.0.1:18802',
];

describe('causeway media', () => {
  it('listens for ng over UDP alone without being told otherwise', async () => {
    await using node = new RoleProcess(['media', ...FLAGS, '--listen-ng', '127.0.0.1:18803']);
    const { listen } = await node.ready('media-1');
    assert.equal(listen['ng'], 'udp:127.0.0.1:18803');
    assert.equal(listen['ngTcp'], undefined);
    assert.equal(listen['ngHttp'], undefined);
  }).timeout(15_000);

  it('listens for ng over TCP and HTTP, counts, and posts events', async () => {
    const got: string[] = [];
    const receiver = createServer((request, response) => {
      request.on('data', (chunk) => got.push(String(chunk)));
      request.on('end', () => response.end());
    });
    receiver.listen(18_806, '127.0.0.1');
    await once(receiver, 'listening');
    const folder = mkdtempSync(join(tmpdir(), 'causeway-ng-'));
    const file = join(folder, 'causeway.yaml');
    const events = 'events: { webhooks: ["http://127.0.0.1:18806/"] }';
    writeFileSync(file, `media:\n  - timeoutSeconds: 5\n    maxNgConnections: 1\n    ${events}\n`);
    try {
      const own = ['--listen-ng', '127.0.0.1:18803', '--listen-tcp-ng', '127.0.0.1:18804', '--listen-http'];
      await using node = new RoleProcess(['media', '--config', file, ...FLAGS, ...own, '127.0.0.1:18805']);
      const { listen } = await node.ready('media-1');
      assert.equal(listen['ngTcp'], 'tcp:127.0.0.1:18804');
      assert.equal(listen['ngHttp'], 'http://127.0.0.1:18805');
      const stream = connect(18_804, '127.0.0.1');
      let text = '';
      stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
      const ask = (cookie: number, command: string, message: object) =>
        stream.write(`${cookie} ${JSON.stringify({ command, 'call-id': 'c', 'from-tag': 'f', ...message })}`);
      ask(1, 'offer', { sdp: OFFER, mistake: 1 });
      await soon(() => text.endsWith('"result":"ok"}'));
      const refused = connect(18_804, '127.0.0.1');
      refused.on('error', () => undefined);
      await new Promise((resolve) => refused.once('close', resolve));
      assert.equal(await (await fetch('http://127.0.0.1:18805/ping')).text(), 'pong\n');
      const metrics = await (await fetch('http://127.0.0.1:18802/metrics')).text();
      for (const line of [
        /ng_requests_total\{command="offer",result="ok",.*\} 1$/m,
        /ng_connections\{transport="tcp",.*\} 1$/m,
        /ng_connections_cut_total\{reason="limit",.*\} 1$/m,
        /ng_calls_noted\{.*\} 1$/m,
        /setup_cache_misses_total\{cache="flags",.*\} 1$/m,
        /setup_cache_entries\{cache="sdp-lines",.*\} [1-9]/m,
        /ng_datagrams_total\{what="refused",.*\} 0$/m,
        /plane_events_lost_total\{.*\} 0$/m,
        /events_total\{name="onMediaTimeout",.*\} 0$/m,
      ])
        assert.match(metrics, line);
      await soon(() => node.errors.includes('"key":"mistake"'));
      ask(2, 'answer', { sdp: ANSWER, 'to-tag': 't' });
      await soon(() => got.length === 1, 12_000);
      assert.match(got[0] ?? '', /^\{"notify":"onMediaTimeout","data":\{"callId":"c",.*"tags":\["f","t"\]\}\}$/);
      stream.destroy();
      node.kill('SIGTERM');
      assert.equal((await node.ended).status, 0);
    } finally {
      rmSync(folder, { recursive: true });
      receiver.closeAllConnections();
      receiver.close();
    }
  }).timeout(25_000);

  it('says which address it cannot have', async () => {
    const taken = createServer();
    taken.listen(18_804, '127.0.0.1');
    await once(taken, 'listening');
    await using node = new RoleProcess([
      ...['media', ...FLAGS, '--listen-ng', '127.0.0.1:18803', '--listen-tcp-ng', '127.0.0.1:18804'],
    ]);
    assert.equal((await node.ended).status, 1);
    assert.match(node.errors, /cannot listen on ng tcp 127\.0\.0\.1:18804: the port is taken/);
    taken.close();
  }).timeout(15_000);
});
