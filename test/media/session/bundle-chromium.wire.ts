// budget: 15 s, beside others
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import puppeteer, { type Browser, type Page } from 'puppeteer-core';
import { createDataplane, type Dataplane } from '../../../media/dataplane/mod.ts';
import { readFlags, SessionManager } from '../../../media/session/mod.ts';
import { until } from '../../support/until.ts';

const NOW = 1_700_000_000_000;
const KEYS = {
  ...{ ICE: 'force', 'ICE-lite': 'both', 'transport-protocol': 'UDP/TLS/RTP/SAVPF', SDES: ['off'] },
  ...{ 'rtcp-mux': ['offer', 'require'], bundle: ['require', 'accept'] },
} as const;

interface Inbound {
  readonly transports: number;
  readonly audio: number;
  readonly frames: number;
}

describe('audio and video of two browsers, each on one transport', function () {
  this.timeout(30_000);
  const folder = mkdtempSync(join(tmpdir(), 'causeway-bundle-'));
  let plane: Dataplane;
  let browser: Browser;
  let page: Page;

  before(async () => {
    plane = createDataplane({
      interfaces: [{ name: 'default', address: '127.0.0.1', advertised: '127.0.0.1' }],
      portMin: 18_480,
      portMax: 18_499,
      webrtcPort: 17_985,
      threads: 1,
    });
    browser = await puppeteer.launch({
      ...{ executablePath: '/usr/bin/chromium', headless: true, userDataDir: join(folder, 'profile'), pipe: true },
      args: [
        ...['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-sync'],
        ...['--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream'],
        '--allow-loopback-in-peer-connection',
      ],
    });
    page = await browser.newPage();
    // Somewhere that may use a camera: without one Chromium tells no addresses of its own.
    writeFileSync(join(folder, 'page.html'), '<!doctype html>');
    await page.goto(`file://${join(folder, 'page.html')}`);
    await page.evaluate(talkers);
  });

  after(async () => {
    await browser?.close();
    await plane?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('passes both ways: MID, feedback and key frames find their lines; all of it is gone afterwards', async () => {
    const manager = new SessionManager({
      dataplane: plane,
      interfaces: ['default'],
      maxSessions: 1,
      timeoutSeconds: 60,
    });
    const call = { callId: 'c', fromTag: 'a', viaBranch: undefined, flags: readFlags(KEYS) };
    const ask = (name: string, ...sdp: string[]) =>
      page.evaluate(`talk(${JSON.stringify([name, ...sdp]).slice(1, -1)})`) as Promise<string>;
    const offered = manager.offer({ ...call, toTag: undefined, sdp: await ask('offer') }, NOW);
    assert.match(offered, /a=group:BUNDLE 0 1\r\n/);
    assert.match(offered, /m=video 0 .*\r\n[^]*a=bundle-only/);
    const answered = manager.answer({ ...call, toTag: 'b', sdp: await ask('answer', offered) }, NOW);
    assert.match(answered, /a=group:BUNDLE 0 1\r\n/);
    await ask('accept', answered);
    assert.equal(plane.totals().endpoints, 4);
    await until(
      'both hear and see each other',
      async () => {
        const both = JSON.parse(await ask('stats')) as Inbound[];
        return both.every(({ transports, audio, frames }) => transports === 1 && audio > 25 && frames > 5);
      },
      15_000,
    );
    assert.equal(plane.totals().dtlsHandshakes.connected, 2);
    const lines = manager.get('c')?.dialogues[0]?.lines ?? [];
    assert.ok(lines.every(({ a, b }) => [a, b].every(({ endpoint }) => (endpoint?.stats().received.packets ?? 0) > 5)));
    manager.close();
    const { endpoints, paths, nativeBytes } = plane.totals();
    assert.deepEqual({ endpoints, paths, nativeBytes }, { endpoints: 0, paths: 0, nativeBytes: 0 });
  });
});

/** In the page: two peers with a tone and a moving picture each. */
async function talkers(): Promise<void> {
  const config = { bundlePolicy: 'max-bundle' } as const;
  const [a, b] = [new RTCPeerConnection(config), new RTCPeerConnection(config)];
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
  for (const track of [...stream.getAudioTracks(), ...stream.getVideoTracks()]) {
    a.addTrack(track);
    b.addTrack(track);
  }
  const inbound = async (peer: RTCPeerConnection) => {
    const found = { transports: 0, audio: 0, frames: 0 };
    for (const stat of (await peer.getStats()).values() as Iterable<Record<string, unknown>>) {
      if (stat['type'] === 'transport') found.transports++;
      if (stat['type'] !== 'inbound-rtp') continue;
      if (stat['kind'] === 'audio') found.audio = Number(stat['packetsReceived']);
      else found.frames = Number(stat['framesDecoded']);
    }
    return found;
  };
  Object.assign(globalThis, {
    talk: async (what: string, sdp = '') => {
      if (what === 'offer') await a.setLocalDescription();
      else if (what === 'answer') {
        await b.setRemoteDescription({ type: 'offer', sdp });
        await b.setLocalDescription();
      } else if (what === 'accept') await a.setRemoteDescription({ type: 'answer', sdp });
      else return JSON.stringify([await inbound(a), await inbound(b)]);
      return (what === 'offer' ? a : b).localDescription?.sdp;
    },
  });
}
