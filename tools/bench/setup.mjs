// npm run bench -- setup
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../install.mjs';
import { scratch } from './scratch.mjs';

/** Set-up through a whole PoP: a phone over UDP calls the tone of the PSTN simulator. */
export async function setup({ full }) {
  const { Engine } = await import('../../signaling/engine/mod.ts');
  const { default: Srf } = await import('drachtio-srf');
  const { stringify } = await import('yaml');
  const folder = scratch();
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
