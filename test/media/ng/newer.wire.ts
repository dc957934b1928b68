// budget: 15 s, beside others
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { after, describe, it } from 'mocha';
import { connectOperations, copyOperations, transformOperations } from '../../../media/ng/mod.ts';
import { bencodeBytes, decodeBencode, type Bencode } from '../../../vocabulary/mod.ts';
import { rtp } from '../../support/rtp.ts';
import { realService, soon } from './node.ts';

type Message = Readonly<Record<string, Bencode>>;

const portOf = ({ sdp }: Record<string, unknown>) => Number(/m=audio (\d+)/.exec(String(sdp))?.[1]);

/** Says where it listens, and then with which IP_TOS the first packet came: Node does not tell that. */
const TOS_OF_A_PACKET = `
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
s.bind(("127.0.0.1", 0))
s.settimeout(5)
print(s.getsockname()[1], flush=True)
print(s.recvmsg(2000, 100)[1][0][2][0], flush=True)
`;

const CALLER = { address: '127.0.0.1', transport: 'udp' } as const;

describe('what newer releases and seldom used keys ask of the packet path', function () {
  this.timeout(10_000);
  // Two threads: calls that are connected may come from different ones.
  const node = realService(
    16_200,
    {},
    (manager) => ({
      ...connectOperations(manager),
      ...copyOperations(manager),
      ...transformOperations(manager),
    }),
    2,
  );
  const sockets: Socket[] = [];

  after(async () => {
    for (const socket of sockets) socket.close();
    const { endpoints, paths, transcoders, taps, portsInUse, nativeBytes } = node.plane.totals();
    await node.plane.close();
    assert.deepEqual([endpoints, paths, transcoders, taps, portsInUse, nativeBytes], [0, 0, 0, 0, 0, 0]);
  });

  function ask(message: Message): Record<string, unknown> {
    let reply: Record<string, unknown> = {};
    node.service.handlePlain(
      bencodeBytes(message),
      CALLER,
      (bytes) => (reply = { ...(decodeBencode(bytes) as Record<string, unknown>) }),
    );
    assert.equal(reply['result'], 'ok', JSON.stringify([message, reply]));
    return reply;
  }

  async function peer(formats = '0') {
    const socket = createSocket('udp4');
    sockets.push(socket);
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    const heard: Buffer[] = [];
    socket.on('message', (packet: Buffer) => heard.push(packet));
    const { port } = socket.address();
    const head = ['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 'c=IN IP4 127.0.0.1', 't=0 0'];
    const sdp = [...head, `m=audio ${port} RTP/AVP ${formats}`, 'a=sendrecv', ''].join('\r\n');
    return { port, heard, sdp, at: 0, send: (packet: Buffer, to: number) => socket.send(packet, to, '127.0.0.1') };
  }

  type Peer = Awaited<ReturnType<typeof peer>>;

  /** `<name>1` and `<name>2`; each knows where to send. */
  async function call(name: string, formats = '0', keys: Message = {}): Promise<[Peer, Peer]> {
    const [one, two] = [await peer(formats), await peer(formats)];
    const ids = { 'call-id': name, 'from-tag': `${name}1` };
    two.at = portOf(ask({ command: 'offer', ...ids, ...keys, sdp: one.sdp }));
    one.at = portOf(ask({ command: 'answer', ...ids, ...keys, 'to-tag': `${name}2`, sdp: two.sdp }));
    return [one, two];
  }

  const end = (...names: string[]) => {
    for (const name of names) ask({ command: 'delete', 'call-id': name, 'delete-delay': 0 });
  };

  it('connects parties of calls, whatever threads these are on, and only those', async () => {
    const names = ['one', 'two', 'three', 'four', 'five', 'six'];
    const calls = new Map<string, [Peer, Peer]>();
    for (const name of names) calls.set(name, await call(name));
    const of = (name: string) => calls.get(name) ?? assert.fail();
    for (let i = 0; i < names.length; i += 2) {
      const [x = '', y = ''] = [names[i], names[i + 1]];
      const [[x1, x2], [y1, y2]] = [of(x), of(y)];
      // Before that they have heard each other; learnt sources stay what they are.
      x1.send(rtp({ sequence: 1, ssrc: 11 }), x1.at);
      y2.send(rtp({ sequence: 1, ssrc: 22 }), y2.at);
      await soon(() => x2.heard.length === 1 && y1.heard.length === 1);
      ask({ command: 'connect', 'call-id': x, 'from-tag': `${x}1`, 'to-call-id': y, 'to-tag': `${y}2` });
      const [forth, back] = [rtp({ sequence: 2, ssrc: 11 }), rtp({ sequence: 2, ssrc: 22 })];
      x1.send(forth, x1.at);
      y2.send(back, y2.at);
      await soon(() => y2.heard.length === 1 && x1.heard.length === 1);
      assert.deepEqual([y2.heard[0], x1.heard[0]], [forth, back]);
      assert.deepEqual([x2.heard.length, y1.heard.length], [1, 1]);
      const { totals } = ask({ command: 'query', 'call-id': y }) as { totals: { RTP: { packets: number } } };
      assert.equal(totals.RTP.packets, 4);
    }
    end('one', 'four', 'five');
    assert.equal(node.manager.size, 0);
  });

  it('codes between two that do not speak the same', async () => {
    const [[x1], [y1]] = [await call('mu'), await call('a', '8')];
    ask({ command: 'connect', 'call-id': 'mu', 'from-tag': 'mu1', 'to-call-id': 'a', 'to-tag': 'a1' });
    for (let sequence = 0; sequence < 10; sequence++) {
      x1.send(rtp({ sequence, ssrc: 5 }), x1.at);
      y1.send(rtp({ sequence, ssrc: 6, pt: 8, payload: Buffer.alloc(160, 0xd5) }), y1.at);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await soon(() => x1.heard.length > 4 && y1.heard.length > 4);
    const formats = [x1, y1].map(({ heard }) => heard.map((packet) => packet.readUInt8(1) & 0x7f));
    assert.deepEqual(
      formats.map((seen) => [...new Set(seen)]),
      [[0], [8]],
    );
    end('a');
  });

  it('transforms a stream for who sends it, towards where it is to go', async () => {
    const [from, to] = [await peer(), await peer()];
    const format = (codec: string, pt: number) => ({ codec, 'payload type': pt, 'clock rate': 8000, channels: 1 });
    const { media, ...reply } = ask({
      command: 'transform',
      media: [
        {
          type: 'audio',
          codec: [{ input: format('PCMU', 0), output: format('PCMA', 8) }],
          destination: { family: 'IP4', address: '127.0.0.1', port: to.port },
        },
      ],
    });
    const [{ port } = { port: 0 }] = media as { port: number }[];
    for (let sequence = 0; sequence < 10; sequence++) {
      from.send(rtp({ sequence }), port);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await soon(() => to.heard.length > 4);
    assert.ok(to.heard.every((packet) => (packet[1]! & 0x7f) === 8 && packet.length === 172));
    assert.equal(from.heard.length, 0);
    end(String(reply['call-id']));
  });

  it('marks what is sent as the node does, or as the call wants it', async () => {
    for (const [name, keys, mark] of [
      ['marked', { TOS: 96 }, 96],
      ['plain', {}, 184],
    ] as const) {
      const receiver = spawn('python3', ['-c', TOS_OF_A_PACKET]);
      // From the beginning: it may be over before we have read what it said.
      const over = once(receiver, 'close');
      const said: string[] = [];
      createInterface(receiver.stdout).on('line', (line) => said.push(line));
      await soon(() => said.length === 1);
      const [one, two] = [await peer(), await peer()];
      const ids = { 'call-id': name, 'from-tag': 'a', ...keys };
      const sdp = two.sdp.replace(String(two.port), said[0] ?? '');
      ask({ command: 'offer', ...ids, sdp: one.sdp });
      one.send(rtp(), portOf(ask({ command: 'answer', ...ids, 'to-tag': 'b', sdp })));
      await soon(() => said.length === 2);
      assert.equal(Number(said[1]), mark);
      await over;
      end(name);
    }
  });

  it('gives back what is sent, in a stream of its own', async () => {
    const [one, two] = await call('echo', '0', { 'media-echo': 'both' });
    for (let sequence = 0; sequence < 10; sequence++) {
      one.send(rtp({ sequence, ssrc: 77 }), one.at);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await soon(() => one.heard.length > 4);
    assert.ok(one.heard.every((packet) => packet.readUInt32BE(8) !== 77));
    assert.equal(two.heard.length, 0);
    end('echo');
  });

  it('keeps RTCP of the parties to itself where it makes its own, and counts it', async () => {
    const report = Buffer.from('80c90001000000ff', 'hex');
    for (const [name, keys, passed] of [
      ['own', { 'generate RTCP': 'on' }, 0],
      ['theirs', {}, 1],
    ] as const) {
      const [one, two] = await call(name, '0', { ...keys, 'rtcp-mux': ['demux'] });
      one.send(rtp({ sequence: 1, ssrc: 255 }), one.at);
      await soon(() => two.heard.length === 1);
      one.send(report, one.at + 1);
      const of = () => {
        const { totals, tags } = ask({ command: 'query', 'call-id': name }) as {
          totals: { RTCP: { packets: number; bytes: number } };
          tags: Record<string, { medias: { streams: { stats_out: { packets: number } }[] }[] }>;
        };
        return { heard: { ...totals.RTCP }, sent: tags[`${name}2`]?.medias[0]?.streams[1]?.stats_out.packets };
      };
      await soon(() => of().heard.packets === 1);
      assert.deepEqual(of(), { heard: { packets: 1, bytes: 8, errors: 0 }, sent: passed });
      // RFC 3550 §6.2: half the interval before the first.
      if (passed === 0) await soon(() => of().sent === 1);
      end(name);
    }
  });
});
