// npm run bench -- transcode
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../install.mjs';

/** CPU of the packet path for calls PCMU <-> Opus, both directions coded, 50 packets a second each way. */
export async function transcode({ full }) {
  const { createDataplane } = await import('../../media/dataplane/mod.ts');
  const calls = full ? 100 : 40;
  const seconds = full ? 60 : 15;
  const plane = createDataplane({
    interfaces: [{ name: 'lo', address: '127.0.0.1', advertised: '127.0.0.1' }],
    portMin: 17_200,
    portMax: 17_999,
    webrtcPort: 17_100,
    threads: 1,
  });
  const remote = (port) => ({
    rtp: { address: '127.0.0.1', port },
    learning: 'heuristic',
    strictSource: false,
    rtcpMux: false,
    crypto: { type: 'none' },
  });
  const pcmu = { pt: 0, codec: 'PCMU', clockRate: 8000, channels: 1, ptimeMs: 20 };
  const opus = { pt: 111, codec: 'opus', clockRate: 48_000, channels: 2, ptimeMs: 20, opus: { fec: true, dtx: false } };
  const jitter = { minMs: 40, maxMs: 400 };
  const sender = createSocket('udp4');
  await new Promise((resolve) => sender.bind(0, '127.0.0.1', resolve));
  const ports = [];
  for (let i = 0; i < calls; i++) {
    const open = () => plane.openEndpoint({ socket: 'pair', interface: 'lo', affinity: `c${i}` });
    // PCMU in at e1, Opus from e2 to e3, PCMU out at e4: both codings of one call, each once.
    const [e1, e2, e3, e4] = [open(), open(), open(), open()];
    e1.configure(remote(sender.address().port));
    e2.configure(remote(e3.rtp.port));
    e3.configure(remote(e2.rtp.port));
    e4.configure(remote(sender.address().port));
    plane.setPath(e1, e2, { mode: 'transcode', in: [pcmu], out: opus, dtmf: [], jitter });
    plane.setPath(e3, e4, { mode: 'transcode', in: [opus], out: pcmu, dtmf: [], jitter });
    ports.push(e1.rtp.port);
  }
  const speech = readFileSync(join(ROOT, 'demo/gateway-sim/announcement.ulaw'));
  const start = performance.now();
  let sent = 0;
  let cpu = 0;
  await new Promise((resolve) => {
    const timer = setInterval(() => {
      for (const due = Math.floor((performance.now() - start) / 20); sent < due; sent++) {
        const packet = Buffer.alloc(172);
        packet[0] = 0x80;
        packet.writeUInt16BE(sent & 0xffff, 2);
        packet.writeUInt32BE((sent * 160) >>> 0, 4);
        speech.copy(packet, 12, (sent * 160) % (speech.length - 160));
        for (const port of ports) sender.send(packet, port, '127.0.0.1');
      }
      if (sent === 100) cpu = plane.totals().cpuMs;
      if (sent >= 100 + seconds * 50) {
        clearInterval(timer);
        resolve();
      }
    }, 5);
  });
  const totals = plane.totals();
  sender.close();
  await plane.close();
  // One chain codes PCMU to Opus and Opus to PCMU once each: the work of both directions of one call.
  const perCall = (totals.cpuMs - cpu) / (seconds * 1000) / calls;
  return {
    calls,
    seconds,
    'packets out': totals.packetsSent,
    'CPU of one core per call, %': perCall * 100,
    'calls on one core, at this rate': Math.floor(1 / perCall),
  };
}
