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

export interface RegistryClientOptions {
  readonly url: string;
  readonly id: string;
  readonly log: Logger;
  readonly body: () => object;
  /** Publishes every location anew. */
  readonly publishAll: () => void;
  /** Changes that wait at most; what is beyond is published anew later, with all the others. */
  readonly maxChanges?: number;
}

/** It has started within its own down time: live nodes may not have been heard yet. */
class YoungRegistryError extends RegistryError {}

/**
 * The registry over HTTP. What it last said of media nodes still serves while it is away, or too young to know them. It
 * owns a timer, and from the first `heartbeat` on the node's heartbeat: no earlier, for a node that does not serve yet
 * must not be found.
 */
export class RegistryClient implements RegistryPort {
  readonly #options: RegistryClientOptions;
  readonly #base: string;
  readonly #id: string;
  readonly #log: Logger;
  #heartbeat: ReturnType<typeof startHeartbeat> | undefined;
  readonly #lastMedia = new Map<string, Placement['media']>();
  readonly #changes = new Map<string, LocationChange>();
  #timer: NodeJS.Timeout | undefined;
  #turn = 0;
  #overflowed = false;
  #left = false;

  constructor(options: RegistryClientOptions) {
    this.#options = options;
    this.#base = options.url.replace(/\/$/, '');
    this.#id = options.id;
    this.#log = options.log;
  }

  /** Changes that wait to be published. */
  get pending(): number {
    return this.#changes.size;
  }

  async placeMedia(request: Parameters<RegistryPort['placeMedia']>[0]): Promise<Placement> {
    try {
      const placement = (await this.#ask('POST', '/v1/placements', request)) as Placement;
      this.#lastMedia.set(placement.media.node, placement.media);
      return placement;
    } catch (error) {
      // A registry that answers is obeyed; one that is away, or has just started and has heard of nobody, is done without.
      if (!(error instanceof RegistryError) || !(error.status === 0 || error instanceof YoungRegistryError))
        throw error;
      const usable = [...this.#lastMedia.values()].filter(({ node }) => request.avoid?.includes(node) !== true);
      const media = usable[this.#turn++ % Math.max(1, usable.length)];
      if (!media) throw error;
      return { id: `local-${request.callId}`, media, reason: 'the registry does not know: a node known from before' };
    }
  }

  heartbeat(): Promise<void> {
    if (this.#left) return Promise.resolve();
    if (this.#heartbeat) return this.#heartbeat.now();
    const { url: registry, id, body, log, publishAll: onUnknown } = this.#options;
    this.#heartbeat = startHeartbeat({ registry, id, body, log, onUnknown });
    return this.#heartbeat.first;
  }

  async discover(client: string): Promise<Discovery> {
    return (await this.#ask('GET', `/v1/discovery?client=${encodeURIComponent(client)}`)) as Discovery;
  }

  publishLocations(changes: readonly LocationChange[]): Promise<void> {
    for (const change of changes) {
      const key = `${change.tenant} ${change.aor}`;
      if (this.#changes.size < (this.#options.maxChanges ?? MAX_CHANGES) || this.#changes.has(key))
        this.#changes.set(key, change);
      else if (!this.#overflowed) {
        this.#overflowed = true;
        this.#log.warn(
          { waiting: this.#changes.size },
          'too many locations wait for the registry: all come anew later',
        );
      }
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
    await this.#heartbeat?.stop();
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
    if (this.#overflowed && this.#changes.size === 0) {
      this.#overflowed = false;
      this.#options.publishAll();
    }
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
      const refusal = `the registry refused ${method} ${path}: ${detail}`;
      if (answer.status === 503 && answer.headers.has('retry-after')) throw new YoungRegistryError(503, refusal);
      throw new RegistryError(answer.status, refusal);
    }
    return text === '' ? undefined : JSON.parse(text);
  }
}
