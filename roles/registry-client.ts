import type { Logger } from 'pino';
import {
  RegistryError,
  type Discovery,
  type LocationChange,
  type Location,
  type Placement,
  type RegistryPort,
} from '../signaling/registry-port.ts';
import { startHeartbeat } from './heartbeat.ts';

const TIMEOUT_MS = 1000;
/** Changes of one moment leave together; a call from another node may follow a REGISTER at once. */
const GATHER_MS = 10;
const RETRY_MS = 1000;
const MAX_CHANGES = 100_000;

/** The registry over HTTP. What it last said of media nodes still serves while it is away. It owns a timer and a heartbeat. */
export class RegistryClient implements RegistryPort {
  readonly #base: string;
  readonly #id: string;
  readonly #log: Logger;
  readonly #heartbeat: ReturnType<typeof startHeartbeat>;
  readonly #lastMedia = new Map<string, Placement['media']>();
  readonly #changes = new Map<string, LocationChange>();
  #timer: NodeJS.Timeout | undefined;
  #turn = 0;
  #left = false;

  constructor(options: {
    readonly url: string;
    readonly id: string;
    readonly log: Logger;
    readonly body: () => object;
    /** Publishes every location anew. */
    readonly publishAll: () => void;
  }) {
    this.#base = options.url.replace(/\/$/, '');
    this.#id = options.id;
    this.#log = options.log;
    this.#heartbeat = startHeartbeat({
      registry: options.url,
      id: options.id,
      body: options.body,
      log: options.log,
      onUnknown: options.publishAll,
    });
  }

  async placeMedia(request: Parameters<RegistryPort['placeMedia']>[0]): Promise<Placement> {
    try {
      const placement = (await this.#ask('POST', '/v1/placements', request)) as Placement;
      this.#lastMedia.set(placement.media.node, placement.media);
      return placement;
    } catch (error) {
      // A registry that answers is obeyed; one that is away is done without.
      if (!(error instanceof RegistryError) || error.status !== 0) throw error;
      const usable = [...this.#lastMedia.values()].filter(({ node }) => request.avoid?.includes(node) !== true);
      const media = usable[this.#turn++ % Math.max(1, usable.length)];
      if (!media) throw error;
      return { id: `local-${request.callId}`, media, reason: 'the registry is away: a node known from before' };
    }
  }

  heartbeat(): Promise<void> {
    return this.#heartbeat.now();
  }

  async discover(client: string): Promise<Discovery> {
    return (await this.#ask('GET', `/v1/discovery?client=${encodeURIComponent(client)}`)) as Discovery;
  }

  publishLocations(changes: readonly LocationChange[]): Promise<void> {
    for (const change of changes) {
      if (this.#changes.size < MAX_CHANGES) this.#changes.set(`${change.tenant} ${change.aor}`, change);
    }
    this.#publishIn(GATHER_MS);
    return Promise.resolve();
  }

  async locate(tenant: string, aor: string): Promise<readonly Location[]> {
    const path = `/v1/locations/${encodeURIComponent(tenant)}/${encodeURIComponent(aor)}`;
    const { locations } = (await this.#ask('GET', path)) as { locations: Location[] };
    return locations.filter(({ node }) => node !== this.#id);
  }

  async leave(): Promise<void> {
    this.#left = true;
    clearTimeout(this.#timer);
    await this.#heartbeat.stop();
  }

  #publishIn(ms: number): void {
    if (this.#timer !== undefined || this.#left) return;
    this.#timer = setTimeout(() => void this.#publish(), ms);
  }

  async #publish(): Promise<void> {
    if (this.#changes.size === 0) return;
    let failed = false;
    const batch = [...this.#changes.values()].slice(0, 5000);
    for (const { tenant, aor } of batch) this.#changes.delete(`${tenant} ${aor}`);
    try {
      await this.#ask('POST', '/v1/locations', { node: this.#id, changes: batch });
    } catch (error) {
      this.#log.debug({ err: error }, 'locations not published; they will be');
      // What has changed since is newer than what failed.
      for (const change of batch) {
        const key = `${change.tenant} ${change.aor}`;
        if (!this.#changes.has(key)) this.#changes.set(key, change);
      }
      failed = true;
    }
    this.#timer = undefined;
    if (this.#changes.size > 0) this.#publishIn(failed ? RETRY_MS : GATHER_MS);
  }

  async #ask(method: string, path: string, body?: object): Promise<unknown> {
    let answer: Response;
    try {
      answer = await fetch(this.#base + path, {
        method,
        ...(body ? { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) } : {}),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
    } catch (error) {
      throw new RegistryError(0, `the registry at ${this.#base} cannot be reached`, { cause: error });
    }
    const text = await answer.text();
    if (!answer.ok) {
      const detail = /"detail":"([^"]*)"/.exec(text)?.[1] ?? text.slice(0, 200);
      throw new RegistryError(answer.status, `the registry refused ${method} ${path}: ${detail}`);
    }
    return text === '' ? undefined : JSON.parse(text);
  }
}
