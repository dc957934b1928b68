import type { EventEmitter } from 'node:events';
import Srf from 'drachtio-srf';
import { Engine, type EngineOptions } from '../../signaling/engine/mod.ts';
import { Private } from '../../vocabulary/mod.ts';
import { until } from './until.ts';

export const SECRET = 'the secret of this test';

/** By method in lower case, and `cdr:start` and its like. */
export type Handlers = Readonly<Record<string, (req: Srf.SrfRequest, res: Srf.SrfResponse) => void>>;

export interface AppOptions {
  readonly tags?: readonly string[];
  readonly tls?: object;
  readonly port?: number;
  readonly secret?: string;
}

/** An engine on loopback with free ports: UDP and TCP, and a control port. Disposing of it ends its applications too. */
export class TestEngine implements AsyncDisposable {
  readonly engine: Engine;
  readonly errors: unknown[];
  readonly #apps = new Set<Srf>();

  private constructor(engine: Engine, errors: unknown[]) {
    this.engine = engine;
    this.errors = errors;
  }

  static async open(options: Partial<EngineOptions> = {}): Promise<TestEngine> {
    const errors: unknown[] = [];
    const engine = await Engine.open({
      listen: ['udp:127.0.0.1:0', 'tcp:127.0.0.1:0'],
      control: { listen: '127.0.0.1:0', secret: new Private(SECRET) },
      onError: (error) => errors.push(error),
      ...options,
    });
    return new TestEngine(engine, errors);
  }

  /** `127.0.0.1:40123` of a protocol. */
  at(protocol: 'udp' | 'tcp'): string {
    const found = this.engine.listening.find((text) => text.startsWith(`${protocol}:`));
    return found?.slice(protocol.length + 1) ?? '';
  }

  get control(): { readonly host: string; readonly port: number } {
    const [host = '', port = ''] = (this.engine.controlAddress ?? '').split(':');
    return { host, port: Number(port) };
  }

  /** An application that has connected, when the engine knows its methods. */
  async app(handlers: Handlers = {}, { tags, ...options }: AppOptions = {}): Promise<Srf> {
    const srf = tags ? new Srf([...tags]) : new Srf();
    this.#apps.add(srf);
    const before = this.engine.stats().routes;
    for (const [method, handler] of Object.entries(handlers)) {
      if (method.startsWith('cdr:')) continue;
      (srf as unknown as Record<string, (given: typeof handler) => void>)[method]?.(handler);
    }
    await new Promise<void>((resolve, reject) => {
      srf.on('connect', (error: Error | null) => (error ? reject(error) : resolve()));
      srf.on('error', () => undefined);
      srf.connect({ ...this.control, secret: SECRET, ...options });
    });
    const emitter = srf as unknown as EventEmitter;
    for (const [event, handler] of Object.entries(handlers)) if (event.startsWith('cdr:')) emitter.on(event, handler);
    const wanted = before + Object.keys(handlers).length;
    await until('its methods are known', () => this.engine.stats().routes >= wanted, 5000, 5);
    return srf;
  }

  leave(srf: Srf): void {
    this.#apps.delete(srf);
    srf.disconnect();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const srf of this.#apps) srf.disconnect();
    await this.engine.close();
  }
}
