// budget: 15 s
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { describe, it } from 'mocha';
import { openRequestSocket } from '../../../media/dataplane/mod.ts';
import type { Told } from './request-environment.ts';

const PORT = 17_960;

async function client(type: 'udp4' | 'udp6'): Promise<Socket> {
  const socket = createSocket({ type, recvBufferSize: 1 << 20 });
  socket.bind(0, type === 'udp4' ? '127.0.0.1' : '::1');
  await once(socket, 'listening');
  return socket;
}

/** What comes back, until there are `count`. */
async function replies(socket: Socket, count: number): Promise<string[]> {
  const got: string[] = [];
  return new Promise((resolve) => {
    socket.on('message', (bytes) => {
      got.push(bytes.toString('latin1'));
      if (got.length === count) resolve(got);
    });
  });
}

describe('a socket of requests', () => {
  for (const [address, type] of [
    ['127.0.0.1', 'udp4'],
    ['::1', 'udp6'],
  ] as const)
    it(`answers each one of a burst from ${address}, in its order`, async () => {
      const server = openRequestSocket({ address, port: PORT }, (bytes, from, port) => {
        assert.equal(from, address);
        server.reply(Buffer.from(`re ${bytes.toString('latin1')}`), from, port);
      });
      const socket = await client(type);
      try {
        const all = replies(socket, 100);
        const sent = Array.from({ length: 100 }, (_, n) => `request ${n}`);
        for (const text of sent) socket.send(text, PORT, address);
        assert.deepEqual(
          await all,
          sent.map((text) => `re ${text}`),
        );
      } finally {
        socket.close();
        server.close();
      }
    });

  it('replies later, to the largest datagram and to an empty one', async () => {
    const server = openRequestSocket({ address: '127.0.0.1', port: PORT }, (bytes, from, port) => {
      const copy = Buffer.from(bytes);
      setImmediate(() => server.reply(copy, from, port));
    });
    const socket = await client('udp4');
    try {
      for (const text of ['x'.repeat(65_507), '']) {
        const one = replies(socket, 1);
        socket.send(text, PORT, '127.0.0.1');
        assert.deepEqual(await one, [text]);
        socket.removeAllListeners('message');
      }
    } finally {
      socket.close();
      server.close();
    }
  });

  it('says why it cannot be had', () => {
    const first = openRequestSocket({ address: '127.0.0.1', port: PORT }, () => undefined);
    assert.throws(() => openRequestSocket({ address: '127.0.0.1', port: PORT }, () => undefined), {
      code: 'EADDRINUSE',
    });
    first.close();
    openRequestSocket({ address: '127.0.0.1', port: PORT }, () => undefined).close();
    assert.throws(() => openRequestSocket({ address: 'nowhere', port: PORT }, () => undefined), {
      code: 'bad-argument',
    });
  });

  it('may be closed within a request; whoever replies then, or closes again, does no harm', async () => {
    const asked = new Promise<void>((resolve) => {
      const server = openRequestSocket({ address: '127.0.0.1', port: PORT }, (_bytes, from, port) => {
        server.close();
        server.reply(Buffer.from('late'), from, port);
        server.close();
        resolve();
      });
    });
    const socket = await client('udp4');
    socket.send('one', PORT, '127.0.0.1');
    socket.send('two', PORT, '127.0.0.1');
    await asked;
    socket.close();
  });

  it('counts replies that the kernel does not take', async () => {
    const server = openRequestSocket({ address: '127.0.0.1', port: PORT }, (bytes, from, port) => {
      server.reply(Buffer.alloc(65_508), from, port);
      server.reply(bytes, from, 0);
      server.reply(bytes, from, port);
    });
    const socket = await client('udp4');
    try {
      const one = replies(socket, 1);
      socket.send('good', PORT, '127.0.0.1');
      assert.deepEqual(await one, ['good']);
      assert.deepEqual(server.counters(), { requests: 1, replies: 1, refused: 2 });
    } finally {
      socket.close();
      server.close();
    }
    assert.deepEqual(server.counters(), { requests: 0, replies: 0, refused: 0 });
  });
});

describe('a socket of requests at the end of its environment', () => {
  const FILE = new URL('./request-environment.ts', import.meta.url);
  const free = () => openRequestSocket({ address: '127.0.0.1', port: PORT }, () => undefined).close();
  const descriptors = () => readdirSync('/proc/self/fd').length;

  // Not by `once`: an error may come before what was said.
  const said = (worker: Worker) => new Promise((resolve) => worker.once('message', resolve));

  async function asked(ask: boolean): Promise<void> {
    if (!ask) return;
    const socket = await client('udp4');
    await new Promise((resolve) => socket.send('end', PORT, '127.0.0.1', resolve));
    socket.close();
  }

  for (const [way, ask] of [
    ['wait', false],
    ['exit', true],
    ['throw', true],
    ['spin', true],
  ] as const)
    it(`is closed with its thread: ${way}`, async () => {
      let before: number | undefined;
      for (let i = 0; i < 4; i++) {
        const worker = new Worker(FILE, { workerData: { port: PORT, way } satisfies Told, stderr: true });
        const failed: unknown[] = [];
        worker.on('error', (error) => failed.push(error));
        const exit = new Promise((resolve) => worker.once('exit', resolve));
        assert.equal(await said(worker), 'open');
        assert.throws(free, { code: 'EADDRINUSE' });
        const answered = ask ? said(worker) : undefined;
        await asked(ask);
        assert.equal(await answered, ask ? 'asked' : undefined);
        if (way === 'wait' || way === 'spin') await worker.terminate();
        await exit;
        assert.equal(failed.length, way === 'throw' ? 1 : 0);
        free();
        // The first thread brings descriptors of Node's own that stay.
        before ??= descriptors();
      }
      assert.equal(descriptors(), before);
    }).timeout(10_000);

  for (const [way, ask, status] of [
    ['exit', true, 0],
    ['throw', true, 1],
    ['wait', false, null],
  ] as const)
    it(`ends with its process without a crash: ${way}`, async () => {
      const child = spawn(process.execPath, [FILE.pathname, String(PORT), way], { stdio: ['ignore', 'pipe', 'pipe'] });
      const exit = once(child, 'exit');
      await once(child.stdout, 'data');
      await asked(ask);
      if (way === 'wait') child.kill('SIGTERM');
      assert.deepEqual(await exit, [status, way === 'wait' ? 'SIGTERM' : null]);
      free();
    }).timeout(10_000);
});
