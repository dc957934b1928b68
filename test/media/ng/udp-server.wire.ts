import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { NgUdpServer, type CommandResult } from '../../../media/ng/mod.ts';
import type { Bencode } from '../../../vocabulary/mod.ts';

const PORT = 17_990;

describe('ng over UDP', () => {
  let ran: (Bencode | undefined)[];
  let now: number;
  let server: NgUdpServer;
  let client: Socket;

  const run = (message: Bencode | undefined): CommandResult => {
    ran.push(message);
    return { command: 'ping', callId: undefined, reply: { n: ran.length, result: 'pong' }, failed: undefined };
  };
  const ask = async (text: string, from = client): Promise<string> => {
    const answer = once(from, 'message') as Promise<[Buffer]>;
    from.send(text, PORT, '127.0.0.1');
    return (await answer)[0].toString();
  };

  beforeEach(async () => {
    ran = [];
    now = 0;
    server = await NgUdpServer.open(`127.0.0.1:${PORT}`, run, () => now);
    client = createSocket('udp4');
  });

  afterEach(async () => {
    client.close();
    await server.close();
  });

  it('does nothing twice: a request sent again gets the same reply, for half a minute', async () => {
    assert.equal(await ask('k1 d7:command4:pinge'), 'k1 d1:ni1e6:result4:ponge');
    now = 29_000;
    assert.equal(await ask('k1 d7:command4:pinge'), 'k1 d1:ni1e6:result4:ponge');
    assert.equal(ran.length, 1);
    now = 31_000;
    assert.equal(await ask('k1 d7:command4:pinge'), 'k1 d1:ni2e6:result4:ponge');
  });

  it('keeps the cookies of different senders apart', async () => {
    const other = createSocket('udp4');
    try {
      await ask('k1 d7:command4:pinge');
      assert.equal(await ask('k1 d7:command4:pinge', other), 'k1 d1:ni2e6:result4:ponge');
    } finally {
      other.close();
    }
  });

  it('says nothing to what has no cookie, and hands on as nothing what cannot be read', async () => {
    client.send('d7:command4:pinge', PORT, '127.0.0.1');
    client.send(' d7:command4:pinge', PORT, '127.0.0.1');
    client.send(`${'k'.repeat(300)} d7:command4:pinge`, PORT, '127.0.0.1');
    assert.equal(await ask('k2 d7:comm'), 'k2 d1:ni1e6:result4:ponge');
    assert.deepEqual(ran, [undefined]);
  });

  it('names the address when the port is taken', async () => {
    await assert.rejects(
      NgUdpServer.open(`127.0.0.1:${PORT}`, run, () => 0),
      /ng udp 127\.0\.0\.1:17990: the port is taken/,
    );
  });
});
