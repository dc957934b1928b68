// budget: 40 s
import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'mocha';
import { RTCPeerConnection, usePCMU } from 'werift';
import { RoleProcess } from '../../roles/process.ts';
import { readPcap } from '../../support/pcap.ts';
import { rtp } from '../../support/rtp.ts';
import { until } from '../../support/until.ts';
import { soon } from './node.ts';

const FLAGS = [
  ...['--drain-seconds', '0', '--port-min', '18700', '--port-max', '18799', '--webrtc-port', '18801'],
  ...['--metrics', '127.0.0.1:18802', '--listen-ng', '127.0.0.1:18803', '--listen-tcp-ng', '127.0.0.1:18804'],
];

const QUOTA = ['--recording-max-bytes', '100000000', '--ng-dialect', '10.5'];

type Reply = Record<string, unknown>;

/** Sends at a rate that no queue of this machine minds. */
const PACKETS = 250;

describe('copies of a call, asked for over ng', function () {
  this.timeout(30_000);
  const folder = mkdtempSync(join(tmpdir(), 'causeway-recording-'));
  const sockets: Socket[] = [];

  after(() => {
    for (const socket of sockets) socket.close();
    rmSync(folder, { recursive: true });
  });

  async function peer(address: string) {
    const socket = createSocket('udp4');
    sockets.push(socket);
    socket.bind(0, address);
    await once(socket, 'listening');
    const heard: Buffer[] = [];
    socket.on('message', (packet: Buffer) => heard.push(packet));
    const { port } = socket.address();
    const sdp = (direction: string, formats = '0') =>
      [
        ...['v=0', `o=- 1 1 IN IP4 ${address}`, 's=-', `c=IN IP4 ${address}`, 't=0 0'],
        ...[`m=audio ${port} RTP/AVP ${formats}`, `a=${direction}`, ''],
      ].join('\r\n');
    const send = (ssrc: number, sequence: number, to: number) => socket.send(rtp({ ssrc, sequence }), to, '127.0.0.1');
    return { port, heard, sdp, send };
  }

  it('reach a subscriber, and a file that has every packet', async () => {
    await using node = new RoleProcess(['media', ...FLAGS, '--recording-dir', join(folder, 'rec'), ...QUOTA]);
    await node.ready('media-1');
    using ng = control();
    const { ask } = ng;
    const portOf = (reply: Reply, index = 0) =>
      Number([...String(reply['sdp']).matchAll(/^m=audio (\d+)/gm)][index]?.[1]);
    await ask({ command: 'subscribe events', events: ['recording closed'] });

    const [a, b, c, d] = [
      await peer('127.0.1.1'),
      await peer('127.0.1.2'),
      await peer('127.0.1.3'),
      await peer('127.0.1.3'),
    ];
    const offer = {
      command: 'offer',
      'from-tag': 'ft',
      sdp: a.sdp('sendrecv'),
      'record-call': 'yes',
      metadata: 'who:me',
    };
    const forA = { towardsB: portOf(await ask(offer)), towardsA: 0 };
    forA.towardsA = portOf(await ask({ command: 'answer', 'from-tag': 'ft', 'to-tag': 'tt', sdp: b.sdp('sendrecv') }));
    const wanted = await ask({ command: 'subscribe request', flags: ['all', 'SIPREC'], 'to-tag': 'srs' });
    const second = d.sdp('recvonly').split('\r\n').slice(5).join('\r\n');
    await ask({ command: 'subscribe answer', 'to-tag': 'srs', sdp: c.sdp('recvonly') + second });
    const rtcp = Buffer.alloc(28);
    rtcp.writeUInt32BE(0x80c8_0006, 0);
    rtcp.writeUInt32BE(1, 4);
    for (let i = 0; i < PACKETS; i++) {
      a.send(1, i, forA.towardsA);
      b.send(2, i, forA.towardsB);
      if (i % 10 === 9) await new Promise((resolve) => setTimeout(resolve, 5));
    }
    sockets[0]?.send(rtcp, forA.towardsA + 1, '127.0.0.1');
    await soon(() => [b, a, c, d].every(({ heard }) => heard.length === PACKETS));
    const numbers = Array.from({ length: PACKETS }, (_, i) => i);
    for (const [copy, ssrc] of [
      [c, 1],
      [d, 2],
    ] as const) {
      assert.deepEqual(
        copy.heard.map((packet) => packet.readUInt16BE(2)),
        numbers,
      );
      for (const packet of copy.heard) assert.deepEqual(packet, rtp({ ssrc, sequence: packet.readUInt16BE(2) }));
    }
    const query = (await ask({ command: 'query' }))['tags'] as Record<
      string,
      { medias: { streams: { stats_out: object }[] }[] }
    >;
    assert.deepEqual(query['srs']?.medias[0]?.streams[0]?.stats_out, { packets: PACKETS, bytes: PACKETS * 172 });
    const metrics = async (wait: RegExp) => {
      const all = await (await fetch('http://127.0.0.1:18802/metrics')).text();
      assert.match(all, wait);
    };
    await metrics(/^causeway_media_taps\{.*\} 2$/m);
    await metrics(/^causeway_media_recordings\{.*\} 1$/m);
    await metrics(/^causeway_media_recording_disk_bytes\{.*\} [0-9]+$/m);
    // After it nobody gets anything.
    await ask({ command: 'unsubscribe', 'to-tag': 'srs' });
    a.send(1, PACKETS, forA.towardsA);
    await soon(() => b.heard.length === PACKETS + 1);
    assert.equal(c.heard.length, PACKETS);
    assert.equal(portOf(wanted, 1) > 0, true);

    await ask({ command: 'delete', 'delete-delay': 0 });
    await soon(() => ng.text.includes('"notify":"onRecordingClosed"'));
    const event = /\{"notify":"onRecordingClosed".*?\}\}/.exec(ng.text)?.[0] ?? '';
    const { file, duration, callId, reason } = (
      JSON.parse(event) as { data: { file: string; duration: number; callId: string; reason: string } }
    ).data;
    assert.equal(reason, 'ended');
    assert.equal(callId, 'w/1');
    assert.ok(duration > 0 && duration < 30_000);
    assert.match(file, /\/rec\/pcaps\/w%2F1-[0-9a-f]{16}\.pcap$/);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.equal(statSync(join(folder, 'rec', 'pcaps')).mode & 0o777, 0o700);
    const packets = readPcap(file);
    for (const [{ port }, ssrc, to, count] of [
      [a, 1, forA.towardsA, PACKETS + 1],
      [b, 2, forA.towardsB, PACKETS],
    ] as const) {
      const own = packets.filter((packet) => packet.from.port === port && packet.to.port === to);
      assert.deepEqual(
        own.map(({ payload }) => payload),
        Array.from({ length: count }, (_, sequence) => rtp({ ssrc, sequence })),
      );
    }
    assert.deepEqual(packets.find(({ to }) => to.port === forA.towardsA + 1)?.payload, rtcp);
    assert.equal(packets.length, 2 * PACKETS + 2);
    const [name] = readdirSync(join(folder, 'rec', 'metadata'));
    const facts = readFileSync(join(folder, 'rec', 'metadata', name ?? ''), 'utf8');
    assert.match(facts, new RegExp(`^packets: ${packets.length}$`, 'm'));
    assert.match(facts, /^metadata: who:me$/m);
    await metrics(
      new RegExp(`^causeway_media_recorded_packets_total\\{result="written",.*\\} ${packets.length}$`, 'm'),
    );
    await metrics(/^causeway_media_endpoints\{.*\} 0$/m);
    await metrics(/^causeway_media_ports_in_use\{.*\} 0$/m);

    // A node that is told to go leaves whole files behind.
    await ask({ ...offer, 'call-id': 'last' });
    ng[Symbol.dispose]();
    node.kill('SIGTERM');
    assert.equal((await node.ended).status, 0);
    assert.equal(readdirSync(join(folder, 'rec', 'metadata')).length, 2);
  });

  it('reach a WebRTC subscriber with its keys', async () => {
    await using node = new RoleProcess(['media', ...FLAGS]);
    await node.ready('media-1');
    using ng = control();
    const [a, b] = [await peer('127.0.1.1'), await peer('127.0.1.2')];
    const towardsB = Number(
      /^m=audio (\d+)/m.exec(
        String((await ng.ask({ command: 'offer', 'from-tag': 'ft', sdp: a.sdp('sendrecv') }))['sdp']),
      )?.[1],
    );
    await ng.ask({ command: 'answer', 'from-tag': 'ft', 'to-tag': 'tt', sdp: b.sdp('sendrecv') });
    const { sdp } = await ng.ask({
      ...{ command: 'subscribe request', 'from-tag': 'tt', 'to-tag': 'browser', SDES: ['off'], ICE: 'force' },
      ...{ 'ICE-lite': 'forward', 'transport-protocol': 'UDP/TLS/RTP/SAVPF', 'rtcp-mux': ['require'] },
      flags: ['generate-mid', 'no-rtcp-attribute'],
    });
    const browser = new RTCPeerConnection({
      ...{ codecs: { audio: [usePCMU()], video: [] }, iceServers: [] },
      ...{ iceUseIpv4: true, iceUseIpv6: false, iceAdditionalHostAddresses: ['127.0.0.1'] },
    });
    try {
      const received: Buffer[] = [];
      browser.onTrack.subscribe((track) =>
        track.onReceiveRtp.subscribe((packet) => received.push(Buffer.from(packet.payload))),
      );
      // werift hears no SSRC that it has not been told of.
      const told = `${String(sdp)}a=ssrc:2 cname:called\r\na=ssrc:2 msid:called audio\r\n`;
      await browser.setRemoteDescription({ type: 'offer', sdp: told });
      await browser.setLocalDescription(await browser.createAnswer());
      await ng.ask({ command: 'subscribe answer', 'to-tag': 'browser', sdp: browser.localDescription?.sdp ?? '' });
      let sequence = 0;
      await until(
        'what the called party says',
        () => {
          b.send(2, sequence++, towardsB);
          return received.length > 5;
        },
        10_000,
        20,
      );
      assert.deepEqual(received[0], Buffer.alloc(160, 0xff));
    } finally {
      await browser.close();
    }
    await ng.ask({ command: 'delete', 'delete-delay': 0 });
    assert.match(await (await fetch('http://127.0.0.1:18802/metrics')).text(), /^causeway_media_endpoints\{.*\} 0$/m);
  });

  it('are refused in words where no folder can be made', async () => {
    await using node = new RoleProcess(['media', ...FLAGS, '--recording-dir', '/dev/null/none']);
    assert.equal((await node.ended).status, 1);
    assert.match(node.errors, /cannot record into \/dev\/null\/none: ENOTDIR/);
  });
});

/** ng over TCP in JSON, about one call; every reply is to be good. */
function control() {
  const stream = connect(18_804, '127.0.0.1');
  let text = '';
  stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
  let cookies = 0;
  return {
    get text() {
      return text;
    },
    async ask(message: Record<string, unknown>): Promise<Reply> {
      const cookie = `q${++cookies}`;
      stream.write(`${cookie} ${JSON.stringify({ 'call-id': 'w/1', ...message })}`);
      const found = await until(`a reply to ${JSON.stringify(message)}`, () => replyOf(text, cookie), 5000, 5);
      const reply = JSON.parse(found) as Reply;
      assert.equal(reply['result'], 'ok', found);
      return reply;
    },
    [Symbol.dispose]: () => void stream.destroy(),
  };
}

/** JSON replies stand one behind the other; the cookie is before its brace. */
function replyOf(text: string, cookie: string): string | undefined {
  const at = text.indexOf(`${cookie} {`);
  if (at < 0) return undefined;
  const start = at + cookie.length + 1;
  let depth = 0;
  let quoted = false;
  for (let i = start; i < text.length; i++) {
    const character = text[i];
    if (character === '\\') i++;
    else if (character === '"') quoted = !quoted;
    else if (!quoted && character === '{') depth++;
    else if (!quoted && character === '}' && --depth === 0) return text.slice(start, i + 1);
  }
  return undefined;
}
