import type { BindingKind } from '../registry-port.ts';
import { kindOf, type Binding, type Source } from './binding.ts';

export interface BindingLimits {
  readonly bindings: number;
  readonly perAor: number;
}

/** The latest expiry of an AoR's bindings and what their devices speak; 0 when the last one is gone. */
export type LocationListener = (tenant: string, aor: string, expiresAt: number, kinds: readonly BindingKind[]) => void;

/** What one REGISTER does to the bindings of its AoR: all of it or nothing (RFC 3261 §10.3). */
export interface Change {
  readonly put: readonly Binding[];
  /** Keys. */
  readonly drop: readonly string[];
}

export type ChangeResult = 'done' | 'too-many' | 'full';

/** All bindings of this node by tenant and address of record. Pure: time is an argument. */
export class Bindings {
  readonly #byAor = new Map<string, Binding[]>();
  /** AoRs by connection; UDP has none that could end. */
  readonly #byFlow = new Map<string, Set<string>>();
  readonly #limits: BindingLimits;
  readonly #changed: LocationListener;
  readonly #waiting = new Map<string, Set<(binding: Binding) => void>>();
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
    return (this.#byAor.get(aorKey(tenant, aor)) ?? []).filter((binding) => binding.expiresAt > now);
  }

  /** `perAor`: of this account, in the place of the node's limit. */
  change(tenant: string, aor: string, { put, drop }: Change, now: number, perAor = this.#limits.perAor): ChangeResult {
    const key = aorKey(tenant, aor);
    const before = this.#byAor.get(key) ?? [];
    const gone = new Set([...drop, ...put.map((binding) => binding.key)]);
    const kept = before.filter((binding) => !gone.has(binding.key) && binding.expiresAt > now);
    const after = [...kept, ...put];
    // Who has too many may still refresh and remove what it has.
    const live = before.filter((binding) => binding.expiresAt > now).length;
    if (after.length > perAor && after.length > live) return 'too-many';
    const size = this.#size + after.length - before.length;
    if (size > this.#limits.bindings && after.length > before.length) return 'full';
    for (const binding of before) this.#unlink(key, binding);
    for (const binding of after) this.#link(key, binding);
    if (after.length === 0) this.#byAor.delete(key);
    else this.#byAor.set(key, after);
    this.#size = size;
    if (before.length > 0 || after.length > 0) this.#report(key);
    for (const binding of put) this.#tell(key, binding);
    return 'done';
  }

  /** One binding. */
  bind(tenant: string, aor: string, binding: Binding, now: number): ChangeResult {
    return this.change(tenant, aor, { put: [binding], drop: [] }, now);
  }

  /** Called once when the binding is registered again; the function returned takes it back. */
  onceBound(tenant: string, aor: string, bindingKey: string, listener: (binding: Binding) => void): () => void {
    const key = waitKey(aorKey(tenant, aor), bindingKey);
    const listeners = this.#waiting.get(key) ?? new Set();
    this.#waiting.set(key, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#waiting.get(key) === listeners) this.#waiting.delete(key);
    };
  }

  /** The connection is gone, and with it the only way to these contacts: but a push can bring a device back. */
  flowClosed(source: Source): number {
    let count = 0;
    const flow = flowKey(source);
    for (const key of [...(this.#byFlow.get(flow) ?? [])]) {
      const before = this.#byAor.get(key) ?? [];
      const after: Binding[] = [];
      for (const binding of before) {
        if (flowKey(binding.source) !== flow || binding.asleep === true) after.push(binding);
        else if (binding.push?.prid !== undefined) after.push({ ...binding, asleep: true });
        else count++;
      }
      this.#size += after.length - before.length;
      if (after.length === 0) this.#byAor.delete(key);
      else this.#byAor.set(key, after);
      this.#report(key);
    }
    this.#byFlow.delete(flow);
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
      if (bindings.every((binding) => binding.expiresAt > now)) continue;
      const after = bindings.filter((binding) => binding.expiresAt > now);
      for (const binding of bindings) if (binding.expiresAt <= now) this.#unlink(key, binding);
      for (const binding of after) this.#link(key, binding);
      count += bindings.length - after.length;
      this.#size += after.length - bindings.length;
      if (after.length === 0) this.#byAor.delete(key);
      else this.#byAor.set(key, after);
      this.#report(key);
    }
    return count;
  }

  /** Every binding, with its owner. */
  *all(): Generator<{ readonly tenant: string; readonly aor: string; readonly binding: Binding }> {
    for (const [key, bindings] of this.#byAor) {
      for (const binding of bindings) yield { ...split(key), binding };
    }
  }

  #link(key: string, { source, asleep }: Binding): void {
    if (source.protocol === 'udp' || asleep === true) return;
    const flow = flowKey(source);
    const keys = this.#byFlow.get(flow);
    if (keys) keys.add(key);
    else this.#byFlow.set(flow, new Set([key]));
  }

  #unlink(key: string, { source }: Binding): void {
    if (source.protocol === 'udp') return;
    const flow = flowKey(source);
    const keys = this.#byFlow.get(flow);
    keys?.delete(key);
    if (keys?.size === 0) this.#byFlow.delete(flow);
  }

  #tell(key: string, binding: Binding): void {
    if (this.#waiting.size === 0) return;
    const at = waitKey(key, binding.key);
    const listeners = this.#waiting.get(at);
    this.#waiting.delete(at);
    for (const listener of listeners ?? []) listener(binding);
  }

  #report(key: string): void {
    let latest = 0;
    const kinds: BindingKind[] = [];
    for (const binding of this.#byAor.get(key) ?? []) {
      latest = Math.max(latest, binding.expiresAt);
      if (!kinds.includes(kindOf(binding))) kinds.push(kindOf(binding));
    }
    const { tenant, aor } = split(key);
    this.#changed(tenant, aor, latest, kinds);
  }
}

function aorKey(tenant: string, aor: string): string {
  return `${tenant} ${aor}`;
}

function split(key: string): { tenant: string; aor: string } {
  const at = key.indexOf(' ');
  return { tenant: key.slice(0, at), aor: key.slice(at + 1) };
}

function waitKey(key: string, bindingKey: string): string {
  return `${key}\u0000${bindingKey}`;
}

function flowKey(source: Source): string {
  return `${source.protocol} ${source.address} ${source.port}`;
}
