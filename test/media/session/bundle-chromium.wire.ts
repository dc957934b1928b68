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
  'rtcp-mux': ['offer', 'require'],
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

  const ask = (name: string, ...sdp: string[]) =>
    page.evaluate(`talk(${JSON.stringify([name, ...sdp]).slice(1, -1)})`) as Promise<string>;

  /** An offer of the first and what the second answers. */
  async function negotiate(manager: SessionManager, bundle: readonly string[], again = false): Promise<string[]> {
    const call = { callId: 'c', fromTag: 'a', viaBranch: undefined, flags: readFlags({ ...KEYS, bundle }) };
    const offered = manager.offer({ ...call, toTag: again ? 'b' : undefined, sdp: await ask('offer') }, NOW);
    const answered = manager.answer({ ...call, toTag: 'b', sdp: await ask('answer', offered) }, NOW);
    await ask('accept', answered);
    return [offered, answered];
  }

  async function untilBoth(what: string, holds: (heard: Inbound) => boolean): Promise<void> {
    await until(what, async () => (JSON.parse(await ask('stats')) as Inbound[]).every(holds), 10_000);
  }

  async function withCall(work: (manager: SessionManager) => Promise<void>): Promise<void> {
    const limits = { maxSessions: 1, timeoutSeconds: 60 };
    const manager = new SessionManager({ dataplane: plane, interfaces: ['default'], ...limits });
    try {
      await work(manager);
    } finally {
      manager.close();
    }
    const { endpoints, paths, portsInUse, nativeBytes } = plane.totals();
    assert.deepEqual([endpoints, paths, portsInUse, nativeBytes], [0, 0, 0, 0]);
  }

  it('passes both ways: MID, feedback and key frames find their lines', () =>
    withCall(async (manager) => {
      await ask('open', 'audio video');
      const [offered = '', answered = ''] = await negotiate(manager, ['require', 'accept']);
      assert.match(offered, /a=group:BUNDLE 0 1\r\n/);
      assert.match(offered, /m=video 0 .*\r\n[^]*a=bundle-only/);
      assert.match(answered, /a=group:BUNDLE 0 1\r\n/);
      await untilBoth(
        'both hear and see',
        ({ transports, audio, frames }) => transports === 1 && audio > 25 && frames > 5,
      );
      assert.equal(plane.totals().dtlsHandshakes.connected, 2);
      const lines = manager.get('c')?.dialogues[0]?.lines ?? [];
      const heard = lines.flatMap(({ a, b }) => [a, b].map(({ endpoint }) => endpoint?.stats().received.packets ?? 0));
      assert.ok(heard.length === 4 && heard.every((packets) => packets > 5), heard.join(' '));
    }));

  it('video comes to the audio on the same transport, and goes on by another one when the audio ends', () =>
    withCall(async (manager) => {
      const shaken = plane.totals().dtlsHandshakes.connected;
      await ask('open', 'audio');
      await negotiate(manager, ['offer', 'accept']);
      await untilBoth('both hear', ({ audio }) => audio > 5);
      await ask('add', 'video');
      const [offered = ''] = await negotiate(manager, ['offer', 'accept'], true);
      const [, audioPort, videoPort] = /m=audio (\d+)[^]*m=video (\d+)/.exec(offered) ?? [];
      assert.notEqual(audioPort, videoPort);
      await untilBoth('both see', ({ frames, transports }) => frames > 5 && transports === 1);
      assert.equal(plane.totals().dtlsHandshakes.connected, shaken + 2);
      // The line that spoke for the transport ends, and with it Chromium's transport.
      await ask('stop');
      const [, answered = ''] = await negotiate(manager, ['offer', 'accept'], true);
      assert.match(answered, /a=group:BUNDLE 1\r\n[^]*m=audio 0 /);
      const seen = (JSON.parse(await ask('stats')) as Inbound[]).map(({ frames }) => frames);
      await untilBoth('both see on', ({ frames }) => frames > Math.max(...seen) + 5);
      assert.equal(plane.totals().dtlsHandshakes.connected, shaken + 4);
    }));
});

/** In the page: two peers with a tone and a moving picture each. */
async function talkers(): Promise<void> {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
  let peers: RTCPeerConnection[] = [];
  const add = (kind: string) => {
    for (const track of stream.getTracks().filter((one) => kind.includes(one.kind)))
      for (const peer of peers) peer.addTrack(track);
  };
  const inbound = async (peer: RTCPeerConnection | undefined) => {
    const found = { transports: 0, audio: 0, frames: 0 };
    for (const stat of ((await peer?.getStats())?.values() ?? []) as Iterable<Record<string, unknown>>) {
      if (stat['type'] === 'transport') found.transports++;
      if (stat['type'] !== 'inbound-rtp') continue;
      if (stat['kind'] === 'audio') found.audio = Number(stat['packetsReceived']);
      else found.frames = Number(stat['framesDecoded']);
    }
    return found;
  };
  const talk = async (what: string, argument = ''): Promise<string | undefined> => {
    const [a, b] = peers;
    if (what === 'open') {
      for (const peer of peers) peer.close();
      peers = [1, 2].map(() => new RTCPeerConnection({ bundlePolicy: 'max-bundle' }));
      add(argument);
    } else if (what === 'add') add(argument);
    else if (what === 'stop') a?.getTransceivers()[0]?.stop();
    else if (what === 'offer') await a?.setLocalDescription();
    else if (what === 'accept') await a?.setRemoteDescription({ type: 'answer', sdp: argument });
    else if (what === 'stats') return JSON.stringify([await inbound(a), await inbound(b)]);
    else {
      await b?.setRemoteDescription({ type: 'offer', sdp: argument });
      await b?.setLocalDescription();
    }
    return (what === 'offer' ? a : b)?.localDescription?.sdp;
  };
  Object.assign(globalThis, { talk });
}
