import type { BindingKind } from '../registry-port.ts';
import type { Source } from './guard.ts';

/** One way to reach a user (RFC 3261 §10): a contact, and the flow by which it was registered. */
export interface Binding {
  /** instance and reg-id where the client names them (RFC 5626 §6), else the contact URI. */
  readonly key: string;
  readonly contact: string;
  readonly instance: string | undefined;
  readonly callId: string;
  readonly cseq: number;
  /** Epoch ms. */
  readonly expiresAt: number;
  readonly source: Source;
  readonly userAgent: string;
}

export interface BindingLimits {
  readonly bindings: number;
  readonly perAor: number;
}

/** The latest expiry of an AoR's bindings and what their devices speak; 0 when the last one is gone. */
export type LocationListener = (tenant: string, aor: string, expiresAt: number, kinds: readonly BindingKind[]) => void;

export type BindResult = 'bound' | 'out-of-order' | 'too-many' | 'full';

/** All bindings of this node by tenant and address of record. Pure: time is an argument. */
export class Bindings {
  readonly #byAor = new Map<string, Map<string, Binding>>();
  readonly #bySource = new Map<string, Set<string>>();
  readonly #limits: BindingLimits;
  readonly #changed: LocationListener;
  #size = 0;

  /** `changed`: the latest expiry of an AoR, 0 when its last binding is gone. */
  constructor(limits: BindingLimits, changed: LocationListener) {
    this.#limits = limits;
    this.#changed = changed;
  }

  get size(): number {
    return this.#size;
  }

  /** Addresses of record with at least one binding. */
  get aors(): number {
    return this.#byAor.size;
  }

  /** Live bindings, the latest registered last. */
  of(tenant: string, aor: string, now: number): Binding[] {
    return [...(this.#byAor.get(aorKey(tenant, aor))?.values() ?? [])].filter((binding) => binding.expiresAt > now);
  }

  bind(tenant: string, aor: string, binding: Binding, now: number): BindResult {
    const key = aorKey(tenant, aor);
    const known = this.#byAor.get(key);
    const previous = known?.get(binding.key);
    // §10.3 step 7: an older request of the same registration must not undo a newer one.
    if (previous && previous.callId === binding.callId && previous.cseq >= binding.cseq) return 'out-of-order';
    if (!previous) {
      if (this.#size >= this.#limits.bindings) return 'full';
      const live = known ? [...known.values()].filter((entry) => entry.expiresAt > now).length : 0;
      if (live >= this.#limits.perAor) return 'too-many';
    }
    if (previous) this.#drop(key, previous);
    const bindings = this.#byAor.get(key) ?? new Map<string, Binding>();
    bindings.set(binding.key, binding);
    this.#byAor.set(key, bindings);
    this.#size++;
    const source = sourceKey(binding.source);
    const keys = this.#bySource.get(source) ?? new Set<string>();
    keys.add(key);
    this.#bySource.set(source, keys);
    this.#report(key);
    return 'bound';
  }

  /** @returns false when the request is older than what is bound. */
  unbind(tenant: string, aor: string, bindingKey: string, callId: string, cseq: number): boolean {
    const key = aorKey(tenant, aor);
    const binding = this.#byAor.get(key)?.get(bindingKey);
    if (!binding) return true;
    if (binding.callId === callId && binding.cseq >= cseq) return false;
    this.#drop(key, binding);
    this.#report(key);
    return true;
  }

  unbindAll(tenant: string, aor: string): void {
    const key = aorKey(tenant, aor);
    for (const binding of [...(this.#byAor.get(key)?.values() ?? [])]) this.#drop(key, binding);
    this.#report(key);
  }

  /** The connection is gone, and with it the only way to these contacts. */
  flowClosed(source: Source): number {
    let count = 0;
    for (const key of [...(this.#bySource.get(sourceKey(source)) ?? [])]) {
      for (const binding of [...(this.#byAor.get(key)?.values() ?? [])]) {
        if (sourceKey(binding.source) !== sourceKey(source)) continue;
        this.#drop(key, binding);
        count++;
      }
      this.#report(key);
    }
    return count;
  }

  /** Tells the listener of every address of record, as if each had just changed. */
  reportAll(): void {
    for (const key of this.#byAor.keys()) this.#report(key);
  }

  /** Drops what has expired; called about once a second. */
  sweep(now: number): number {
    let count = 0;
    for (const [key, bindings] of this.#byAor) {
      for (const binding of bindings.values()) {
        if (binding.expiresAt > now) continue;
        this.#drop(key, binding);
        count++;
        this.#report(key);
      }
    }
    return count;
  }

  #drop(key: string, binding: Binding): void {
    const bindings = this.#byAor.get(key);
    if (bindings?.delete(binding.key) !== true) return;
    this.#size--;
    if (bindings.size === 0) this.#byAor.delete(key);
    const source = sourceKey(binding.source);
    const stillThere = [...bindings.values()].some((other) => sourceKey(other.source) === source);
    const keys = this.#bySource.get(source);
    if (!stillThere) keys?.delete(key);
    if (keys?.size === 0) this.#bySource.delete(source);
  }

  #report(key: string): void {
    const at = key.indexOf(' ');
    let latest = 0;
    const kinds = new Set<BindingKind>();
    for (const binding of this.#byAor.get(key)?.values() ?? []) {
      latest = Math.max(latest, binding.expiresAt);
      kinds.add(kindOf(binding));
    }
    this.#changed(key.slice(0, at), key.slice(at + 1), latest, [...kinds]);
  }
}

/** A browser comes by WebSocket and speaks WebRTC; everything else is a phone. */
export function kindOf(binding: Binding): BindingKind {
  return binding.source.protocol === 'ws' || binding.source.protocol === 'wss' ? 'webrtc' : 'plain';
}

function aorKey(tenant: string, aor: string): string {
  return `${tenant} ${aor}`;
}

function sourceKey(source: Source): string {
  return `${source.protocol} ${source.address} ${source.port}`;
}
