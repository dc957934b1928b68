import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { build } from 'esbuild';

const PAGE = `<!doctype html><meta charset="utf-8"><title>phone</title>
<body data-state="new"><audio id="remote-audio" autoplay></audio><script src="/page.js"></script></body>`;

/** A page of this folder on a port of its own; loopback counts as a secure origin, so that it may use the microphone. */
export class ServedPage implements AsyncDisposable {
  readonly url: string;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  }

  /** `script`: its file here. */
  static async open(script: string): Promise<ServedPage> {
    const entry = new URL(script, import.meta.url).pathname;
    const bundle = await build({ entryPoints: [entry], bundle: true, write: false, format: 'iife' });
    const text = bundle.outputFiles[0]?.text ?? '';
    const server = createServer((request, response) => {
      const js = request.url === '/page.js';
      response.setHeader('content-type', js ? 'text/javascript' : 'text/html');
      response.end(js ? text : PAGE);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
    return new ServedPage(server);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}
