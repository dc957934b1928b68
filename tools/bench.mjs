// npm run bench -- NAME [--json] [--full]: figures for people, and with --json one line for machines.
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { install, ROOT } from './install.mjs';

const node = await install({ tests: false });
if (process.execPath !== node) {
  const again = spawn(
    node,
    ['--disable-warning=ExperimentalWarning', new URL(import.meta.url).pathname, ...process.argv.slice(2)],
    { stdio: 'inherit' },
  );
  again.on('exit', (status) => process.exit(status ?? 1));
  await new Promise(() => undefined);
}

const [name] = process.argv.slice(2).filter((text) => !text.startsWith('-'));
const full = process.argv.includes('--full');
const BENCHES = { transcode, setup };
if (!BENCHES[name]) {
  console.error(`npm run bench -- NAME, where NAME is one of: ${Object.keys(BENCHES).join(', ')}`);
  process.exit(2);
}
const figures = await BENCHES[name]();
for (const [key, value] of Object.entries(figures))
  console.log(`${key.padEnd(34)} ${typeof value === 'number' ? Number(value.toFixed(3)) : value}`);
if (process.argv.includes('--json')) console.log(JSON.stringify({ bench: name, ...figures }));
process.exit(0);

/** CPU of the packet path for calls PCMU <-> Opus, both directions coded, 50 packets a second each way. */
async function transcode() {
  const { createDataplane } = await import('../media/dataplane/mod.ts');
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
  const speech = Buffer.from(
    await import('node:fs').then(({ readFileSync }) => readFileSync(join(ROOT, 'demo/gateway-sim/announcement.ulaw'))),
  );
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

/** Set-up through a whole PoP: a phone over UDP calls the tone of the PSTN simulator. */
async function setup() {
  const { Engine } = await import('../signaling/engine/mod.ts');
  const { default: Srf } = await import('drachtio-srf');
  const { stringify } = await import('yaml');
  const folder = mkdtempSync(join(tmpdir(), 'causeway-bench-'));
  const file = join(folder, 'pop.yaml');
  writeFileSync(
    file,
    stringify({
      publicAddress: '127.0.0.1',
      signaling: [
        {
          id: 's',
          sip: ['udp:127.0.0.1:16060'],
          metrics: '127.0.0.1:16061',
          registry: 'http://127.0.0.1:16070',
          trunks: [{ name: 'phone', uri: 'sip:127.0.0.1:16065', sources: ['127.0.0.1:16065'], match: '^never$' }],
          accounts: [{ user: 'bench', password: 'bench', number: '5000' }],
        },
      ],
      media: [
        {
          id: 'm',
          listenNg: '127.0.0.1:16023',
          portMin: 17_200,
          portMax: 17_999,
          webrtcPort: 17_100,
          metrics: '127.0.0.1:16024',
          registry: 'http://127.0.0.1:16070',
        },
      ],
      registry: { listen: '127.0.0.1:16070' },
    }),
  );
  const up = spawn(join(ROOT, 'bin/causeway'), ['up', '--config', file, '--data-dir', join(folder, 'data')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise((resolve) => up.stdout.on('data', (chunk) => String(chunk).includes('"role":"up"') && resolve()));
  const phone = createSocket('udp4');
  await new Promise((resolve) => phone.bind(0, '127.0.0.1', resolve));
  const caller = await Engine.open({ listen: ['udp:127.0.0.1:16065'] });
  const srf = new Srf();
  await caller.attach(srf);
  // The callee registers by hand: a UDP phone that answers at once with the address of our socket.
  const callee = await Engine.open({ listen: ['udp:127.0.0.1:16066'] });
  const srf2 = new Srf();
  await callee.attach(srf2);
  await new Promise((resolve, reject) =>
    srf2.request(
      'sip:causeway.local',
      {
        method: 'REGISTER',
        proxy: 'sip:127.0.0.1:16060',
        headers: {
          From: '<sip:bench@causeway.local>',
          To: '<sip:bench@causeway.local>',
          Contact: '<sip:bench@127.0.0.1:16066>',
          Expires: '300',
        },
        auth: { username: 'bench', password: 'bench' },
      },
      (error, request) =>
        error ? reject(error) : request.on('response', (response) => (response.status === 200 ? resolve() : undefined)),
    ),
  );
  const sdp = (port) =>
    `v=0\r\no=b 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio ${port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n`;
  const talking = new Set();
  srf2.invite(async (request, response) => {
    response.send(180);
    const dialog = await srf2.createUAS(request, response, { localSdp: sdp(phone.address().port) });
    const port = Number(/m=audio (\d+)/.exec(request.body)?.[1]);
    const packet = Buffer.alloc(172, 0xff);
    packet.fill(0, 0, 12);
    packet[0] = 0x80;
    const timer = setInterval(() => phone.send(packet, port, '127.0.0.1'), 20);
    phone.send(packet, port, '127.0.0.1');
    talking.add(timer);
    dialog.on('destroy', () => clearInterval(timer));
  });
  const ringing = [];
  const answered = [];
  const audio = [];
  for (let i = 0; i < (full ? 500 : 60); i++) {
    const socket = createSocket('udp4');
    await new Promise((resolve) => socket.bind(0, '127.0.0.1', resolve));
    const first = new Promise((resolve) => socket.once('message', () => resolve(performance.now())));
    const start = performance.now();
    const dialog = await srf.createUAC(
      'sip:5000@127.0.0.1',
      { localSdp: sdp(socket.address().port), proxy: 'sip:127.0.0.1:16060' },
      { cbProvisional: (response) => response.status === 180 && ringing.push(performance.now() - start) },
    );
    answered.push(performance.now() - start);
    audio.push((await first) - start);
    await dialog.destroy();
    socket.close();
  }
  for (const timer of talking) clearInterval(timer);
  await caller.close();
  await callee.close();
  phone.close();
  up.kill('SIGTERM');
  await new Promise((resolve) => up.on('exit', resolve));
  rmSync(folder, { recursive: true, force: true });
  const at = (list, share) => [...list].sort((a, b) => a - b)[Math.floor((list.length - 1) * share)];
  return {
    calls: answered.length,
    'INVITE to 180, ms, median': at(ringing, 0.5),
    'INVITE to 180, ms, 95 %': at(ringing, 0.95),
    'INVITE to 200, ms, median': at(answered, 0.5),
    'INVITE to first audio, ms, median': at(audio, 0.5),
    'INVITE to first audio, ms, 95 %': at(audio, 0.95),
  };
}
