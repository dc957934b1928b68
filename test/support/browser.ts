import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import puppeteer, { type Browser, type Page } from 'puppeteer-core';
import { sine, toneOverRest, wav } from './tone.ts';

/** Debian's browsers; the tests use no others. */
const CHROMIUM = '/usr/bin/chromium';
const FIREFOX = '/usr/bin/firefox-esr';

/** What Firefox's fake microphone plays. */
export const FIREFOX_HZ = 1000;

const FIREFOX_PREFERENCES = {
  'media.navigator.streams.fake': true,
  'media.navigator.permission.disabled': true,
  'media.navigator.audio.fake_frequency': FIREFOX_HZ,
  // Without the permission it would look for a way into the Internet, and has no candidate where there is none.
  'permissions.default.microphone': 1,
  'permissions.default.camera': 1,
  'media.peerconnection.ice.loopback': true,
  'media.peerconnection.ice.obfuscate_host_addresses': false,
  'media.autoplay.default': 0,
  'network.proxy.type': 0,
};

/**
 * A headless browser whose microphone plays one tone for ever. One browser has one microphone, so a call between
 * two agents takes two browsers. Disposing of it ends the process and removes its profile.
 */
export class Softphone implements AsyncDisposable {
  readonly page: Page;
  readonly #browser: Browser;
  readonly #folder: string;

  private constructor(browser: Browser, page: Page, folder: string) {
    this.#browser = browser;
    this.page = page;
    this.#folder = folder;
  }

  static async open(url: string, microphoneHz: number): Promise<Softphone> {
    const folder = mkdtempSync(join(tmpdir(), 'causeway-chromium-'));
    const microphone = join(folder, 'microphone.wav');
    // Longer than any call here: where Chromium starts the file anew there is a seam.
    writeFileSync(microphone, wav(sine(microphoneHz, 90, 48_000), 48_000));
    const browser = await puppeteer.launch({
      executablePath: CHROMIUM,
      headless: true,
      userDataDir: join(folder, 'profile'),
      pipe: true,
      acceptInsecureCerts: true,
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
        '--ignore-certificate-errors',
        '--autoplay-policy=no-user-gesture-required',
        '--use-fake-ui-for-media-stream',
        '--use-fake-device-for-media-stream',
        `--use-file-for-fake-audio-capture=${microphone}`,
        '--allow-loopback-in-peer-connection',
      ],
    });
    return Softphone.#at(url, browser, folder);
  }

  /** Firefox, with a tone of FIREFOX_HZ. */
  static async firefox(url: string): Promise<Softphone> {
    const folder = mkdtempSync(join(tmpdir(), 'causeway-firefox-'));
    const browser = await puppeteer.launch({
      browser: 'firefox',
      executablePath: FIREFOX,
      headless: true,
      userDataDir: folder,
      extraPrefsFirefox: FIREFOX_PREFERENCES,
    });
    return Softphone.#at(url, browser, folder);
  }

  static async #at(url: string, browser: Browser, folder: string): Promise<Softphone> {
    try {
      const page = await browser.newPage();
      await page.evaluateOnNewDocument(collectConnections);
      await page.goto(url, { waitUntil: 'load', timeout: 15_000 });
      return new Softphone(browser, page, folder);
    } catch (error) {
      await browser.close();
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  async signIn(user: string, password: string): Promise<void> {
    await this.page.type('#user', user);
    await this.page.type('#password', password);
    await this.page.click('#sign-in');
    await this.page.waitForSelector('#registration[data-state=registered]', { timeout: 10_000 });
    // A tone is what noise suppression is there to remove.
    await this.page.click('#processing');
  }

  async dial(number: string): Promise<void> {
    // What was dialled last still stands there.
    await this.page.$eval('#number', (field) => ((field as HTMLInputElement).value = ''));
    await this.page.type('#number', number);
    await this.page.click('#call');
  }

  async callState(state: string, timeout = 10_000): Promise<void> {
    await this.page.waitForSelector(`#call-state[data-state=${state}]`, { timeout });
  }

  /** The node that the page says it is registered at. */
  async registeredAt(): Promise<string> {
    return this.page.$eval('#registration', (element) => (element as HTMLElement).dataset['pop'] ?? '');
  }

  /** Mono samples of what the other side plays, at the rate of the page's AudioContext. */
  async listen(seconds: number): Promise<{ readonly samples: Float32Array; readonly rate: number }> {
    const { samples, rate } = await this.page.evaluate(record, seconds);
    return { samples: Float32Array.from(samples), rate };
  }

  /**
   * How far a tone stands above the rest of what is heard, in dB: the best of up to four seconds, because the fake
   * microphone of a busy machine stumbles now and then.
   */
  async tone(hz: number): Promise<number> {
    let best = -Infinity;
    for (let i = 0; i < 4 && best <= 20; i++) {
      const { samples, rate } = await this.listen(1);
      best = Math.max(best, toneOverRest(samples, hz, rate));
    }
    return best;
  }

  /** @throws unless that tone is 20 dB over the rest of what is heard. */
  async assertTone(hz: number): Promise<void> {
    const decibels = await this.tone(hz);
    assert.ok(decibels > 20, `${hz} Hz is ${decibels.toFixed(1)} dB over the rest`);
  }

  /** The audio figures of the page's latest connection. */
  async stats(): Promise<{
    packetsReceived: number;
    packetsSent: number;
    lost: number;
    concealed: number;
    total: number;
    codec: string;
  }> {
    return this.page.evaluate(readStats);
  }

  /** The video figures of the page's latest connection, over all of its streams. */
  async video(): Promise<VideoFigures> {
    return this.page.evaluate(readVideo);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#browser.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

export interface VideoFigures {
  readonly codec: string;
  /** Frames. */
  readonly encoded: number;
  readonly keyFramesEncoded: number;
  readonly decoded: number;
  /** Key frames asked for and lost packets told of, by this end and by the other. */
  readonly asked: { readonly pli: number; readonly nack: number };
  readonly wasAsked: { readonly pli: number; readonly nack: number };
  readonly retransmitted: number;
  /** What the sender believes the way carries, bits a second. */
  readonly bitrate: number;
}

declare global {
  /** Chromium's; not in TypeScript's DOM yet. */
  class MediaStreamTrackProcessor {
    constructor(options: { track: MediaStreamTrack; maxBufferSize?: number });
    readonly readable: ReadableStream<AudioData>;
  }
  interface Window {
    testConnections: RTCPeerConnection[];
  }
}

// These run in the page.

function collectConnections(): void {
  window.testConnections = [];
  const Original = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Original {
    constructor(configuration?: RTCConfiguration) {
      super(configuration);
      window.testConnections.push(this);
    }
  };
}

/** Straight from the track, where that can be: an AudioContext drops blocks when the machine is busy. */
async function record(seconds: number): Promise<{ samples: number[]; rate: number }> {
  const stream = (document.getElementById('remote-audio') as HTMLAudioElement).srcObject as MediaStream | null;
  const track = stream?.getAudioTracks()[0];
  if (!track) throw new Error('no remote audio');
  if (!('MediaStreamTrackProcessor' in window)) {
    // Firefox, which has no AudioContext on a machine without a sound card either.
    const recorder = new MediaRecorder(new MediaStream([track]));
    const recorded = new Promise<Blob>((resolve) => {
      recorder.addEventListener('dataavailable', ({ data }) => resolve(data), { once: true });
    });
    recorder.start();
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    recorder.stop();
    const bytes = await (await recorded).arrayBuffer();
    const heard = await new OfflineAudioContext(1, 1, 48_000).decodeAudioData(bytes);
    return { samples: [...heard.getChannelData(0)], rate: heard.sampleRate };
  }
  const reader = new MediaStreamTrackProcessor({ track, maxBufferSize: 1000 }).readable.getReader();
  const samples: number[] = [];
  let rate = 48_000;
  let wanted = seconds * rate;
  while (samples.length < wanted) {
    const { value, done } = await reader.read();
    if (done) throw new Error('the track has ended');
    rate = value.sampleRate;
    wanted = seconds * rate;
    const plane = new Float32Array(value.numberOfFrames);
    value.copyTo(plane, { planeIndex: 0, format: 'f32-planar' });
    value.close();
    samples.push(...plane);
  }
  await reader.cancel();
  return { samples: samples.slice(0, wanted), rate };
}

async function readStats() {
  const report = await window.testConnections.at(-1)?.getStats();
  const figures = { packetsReceived: 0, packetsSent: 0, lost: 0, concealed: 0, total: 0, codec: '' };
  for (const entry of (report?.values() ?? []) as Iterable<Record<string, unknown>>) {
    if (entry['kind'] === 'video') continue;
    if (entry['type'] === 'inbound-rtp') {
      figures.lost = Number(entry['packetsLost'] ?? 0);
      figures.packetsReceived = Number(entry['packetsReceived'] ?? 0);
      figures.concealed = Number(entry['concealedSamples'] ?? 0) - Number(entry['silentConcealedSamples'] ?? 0);
      figures.total = Number(entry['totalSamplesReceived'] ?? 0);
      figures.codec = String(
        (report?.get(String(entry['codecId'])) as { mimeType?: string } | undefined)?.mimeType ?? '',
      );
    }
    if (entry['type'] === 'outbound-rtp') figures.packetsSent = Number(entry['packetsSent'] ?? 0);
  }
  return figures;
}

async function readVideo(): Promise<VideoFigures> {
  const report = await window.testConnections.at(-1)?.getStats();
  const all = [...(report?.values() ?? [])] as Record<string, unknown>[];
  const sum = (type: string, field: string) =>
    all
      .filter((entry) => entry['type'] === type && entry['kind'] === 'video')
      .reduce((total, entry) => total + Number(entry[field] ?? 0), 0);
  const inbound = all.find((entry) => entry['type'] === 'inbound-rtp' && entry['kind'] === 'video');
  const codec = report?.get(String(inbound?.['codecId'])) as { mimeType?: string } | undefined;
  return {
    codec: codec?.mimeType ?? '',
    encoded: sum('outbound-rtp', 'framesEncoded'),
    keyFramesEncoded: sum('outbound-rtp', 'keyFramesEncoded'),
    decoded: sum('inbound-rtp', 'framesDecoded'),
    asked: { pli: sum('inbound-rtp', 'pliCount'), nack: sum('inbound-rtp', 'nackCount') },
    wasAsked: { pli: sum('outbound-rtp', 'pliCount'), nack: sum('outbound-rtp', 'nackCount') },
    retransmitted: sum('outbound-rtp', 'retransmittedPacketsSent'),
    bitrate: Math.max(0, ...all.map((entry) => Number(entry['availableOutgoingBitrate'] ?? 0))),
  };
}
