import type { Binding } from './binding.ts';
import type { Bindings } from './bindings.ts';

/** What a push hook is told; it makes of it what its service wants (RFC 8599 §5.3). */
export interface PushNote {
  readonly provider: string;
  readonly prid: string;
  readonly param: string | undefined;
  readonly tenant: string;
  readonly aor: string;
  /** `call`: somebody waits. `refresh`: the binding is about to end. */
  readonly why: 'call' | 'refresh';
}

/** `gone`: the service does not know the device any more. */
export type PushResult = 'sent' | 'gone' | 'failed';

export interface WakeupParts {
  readonly bindings: Bindings;
  readonly send: (note: PushNote) => Promise<PushResult>;
  /** How long a call waits for its device. */
  readonly waitMs: number;
  /** Devices that may be waited for at once; further calls do without them. */
  readonly limit: number;
  /** Epoch ms. */
  readonly now: () => number;
  /** Runs later; the function returned takes it back. */
  readonly later: (ms: number, work: () => void) => () => void;
}

/** Without a connection nobody knows whether a device sleeps; one that has just registered does not. */
const AWAKE_MS = 15_000;

/** Whether a request can only reach it after a push (RFC 8599 §5.3.2). */
export function sleeps(binding: Binding, now: number): boolean {
  if (binding.push?.prid === undefined) return false;
  if (binding.asleep === true) return true;
  return binding.source.protocol === 'udp' && now - (binding.updatedAt ?? 0) > AWAKE_MS;
}

/** Wakes devices, and waits until they have registered again. Owns a timer for each that it waits for. */
export class Wakeups {
  readonly #parts: WakeupParts;
  readonly #waking = new Map<string, Promise<Binding | undefined>>();
  readonly #refreshed = new WeakSet<Binding>();
  readonly #open = new Set<(bound: undefined) => void>();
  readonly counters = { sent: 0, failed: 0, woken: 0, late: 0, refused: 0 };

  constructor(parts: WakeupParts) {
    this.#parts = parts;
  }

  /** Devices that are being waited for. */
  get waiting(): number {
    return this.#waking.size;
  }

  /** The binding as it is registered anew; `undefined`: it was not within the time. Several calls share one push. */
  wake(tenant: string, aor: string, binding: Binding): Promise<Binding | undefined> {
    const key = `${tenant} ${aor} ${binding.key}`;
    const known = this.#waking.get(key);
    if (known) return known;
    if (this.#waking.size >= this.#parts.limit) {
      this.counters.refused++;
      return Promise.resolve(undefined);
    }
    const woken = this.#wake(tenant, aor, binding).finally(() => this.#waking.delete(key));
    this.#waking.set(key, woken);
    return woken;
  }

  /** Pushes to devices whose binding ends within `seconds` (§5.3.1); called every few seconds. */
  refresh(seconds: number): void {
    const { bindings, now } = this.#parts;
    const at = now();
    for (const { tenant, aor, binding } of bindings.all()) {
      if (binding.push?.prid === undefined || this.#refreshed.has(binding)) continue;
      const life = binding.expiresAt - (binding.updatedAt ?? 0);
      if (binding.expiresAt - at > seconds * 1000 || life < 2 * seconds * 1000) continue;
      this.#refreshed.add(binding);
      void this.#send(tenant, aor, binding, 'refresh');
    }
  }

  /** Whoever waits goes on without. */
  close(): void {
    for (const settle of [...this.#open]) settle(undefined);
  }

  #wake(tenant: string, aor: string, binding: Binding): Promise<Binding | undefined> {
    const { bindings, waitMs, later } = this.#parts;
    return new Promise((resolve) => {
      const settle = (bound: Binding | undefined) => {
        takeBack();
        forget();
        this.#open.delete(settle);
        if (bound) this.counters.woken++;
        else this.counters.late++;
        resolve(bound);
      };
      const forget = bindings.onceBound(tenant, aor, binding.key, settle);
      const takeBack = later(waitMs, () => settle(undefined));
      this.#open.add(settle);
      void this.#send(tenant, aor, binding, 'call').then((result) => {
        if (result !== 'sent') settle(undefined);
      });
    });
  }

  async #send(tenant: string, aor: string, binding: Binding, why: PushNote['why']): Promise<PushResult> {
    const { push } = binding;
    if (push?.prid === undefined) return 'failed';
    const { provider, prid, param } = push;
    const result = await this.#parts.send({ provider, prid, param, tenant, aor, why });
    if (result === 'sent') this.counters.sent++;
    else this.counters.failed++;
    if (result === 'gone') {
      // It is only removed while nobody has registered in its place.
      const { bindings, now } = this.#parts;
      const same = bindings.of(tenant, aor, now()).includes(binding);
      if (same) bindings.change(tenant, aor, { put: [], drop: [binding.key] }, now());
    }
    return result;
  }
}
