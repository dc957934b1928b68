import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import puppeteer, { type Browser, type Page } from 'puppeteer-core';
import { sine, wav } from './tone.ts';

/** Debian's browser; the tests use no other. */
const CHROMIUM = '/usr/bin/chromium';

/**
 * A headless Chromium whose microphone plays one tone for ever. One browser has one microphone, so a call between
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
    // Whole periods of every tone used here fit into two seconds: the loop has no seam.
    writeFileSync(microphone, wav(sine(microphoneHz, 2, 48_000), 48_000));
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
    try {
      const page = await browser.newPage();
      await page.goto(url, { waitUntil: 'load', timeout: 15_000 });
      return new Softphone(browser, page, folder);
    } catch (error) {
      await browser.close();
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#browser.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
