// budget: 15 s
import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { describe, it } from 'mocha';
import { openRequestSocket } from '../../../media/dataplane/mod.ts';

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
});
