import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { build } from 'esbuild';
import { Softphone } from './browser.ts';

const ENTRY = new URL('./web-phone-page.ts', import.meta.url).pathname;
const PAGE = `<!doctype html><meta charset="utf-8"><title>phone</title>
<body data-state="new"><audio id="remote-audio" autoplay></audio><script src="/phone.js"></script></body>`;

/** The page of test/support/web-phone-page.ts on a port of its own; loopback counts as a secure origin, so that it may use the microphone. */
export class WebPhonePage implements AsyncDisposable {
  readonly url: string;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  }

  static async open(): Promise<WebPhonePage> {
    const bundle = await build({ entryPoints: [ENTRY], bundle: true, write: false, format: 'iife' });
    const script = bundle.outputFiles[0]?.text ?? '';
    const server = createServer((request, response) => {
      const js = request.url === '/phone.js';
      response.setHeader('content-type', js ? 'text/javascript' : 'text/html');
      response.end(js ? script : PAGE);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
    return new WebPhonePage(server);
  }

  /** A browser of its own, registered at a SIP server that is not ours. */
  async phone(webSocket: string, uri: string, microphoneHz: number): Promise<Softphone> {
    const browser = await Softphone.open(this.url, microphoneHz);
    try {
      await browser.page.evaluate((socket, aor) => window.phone.register(socket, aor), webSocket, uri);
      await state(browser, 'registered');
      return browser;
    } catch (error) {
      await browser[Symbol.asyncDispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}

/** Resolves when the page says so; rejects with what it says instead when it has failed. */
export async function state(browser: Softphone, wanted: string): Promise<void> {
  const handle = await browser.page.waitForFunction(
    (text) => {
      const now = document.body.dataset['state'] ?? '';
      return now === text || now.includes('failed') ? now : undefined;
    },
    { timeout: 10_000 },
    wanted,
  );
  const now = await handle.jsonValue();
  if (now !== wanted) throw new Error(`the page says "${now}", wanted "${wanted}"`);
}
