import type { Binding } from './binding.ts';
import { sameInstance, type GruuTarget } from './gruu.ts';

/** One device, and the ways to it: the flow that registered last comes first, the others when it fails (RFC 5626 §6). */
export interface Device {
  readonly flows: readonly [Binding, ...Binding[]];
}

/**
 * Devices in groups of equal q, the highest first (RFC 3261 §16.6 step 7). Several flows of one instance are one device:
 * it is to ring once. `gruu`: only the device that it means (RFC 5627 §5.3).
 */
export function devices(bindings: readonly Binding[], gruu?: GruuTarget): Device[][] {
  const meant = gruu ? ofGruu(bindings, gruu) : bindings;
  const byInstance = new Map<string, [Binding, ...Binding[]]>();
  for (const binding of meant) {
    const { instance, key } = binding;
    const device = instance === undefined ? key : instance;
    const flows = byInstance.get(device);
    if (flows) flows.push(binding);
    else byInstance.set(device, [binding]);
  }
  const byQ = new Map<number, Device[]>();
  for (const flows of byInstance.values()) {
    flows.sort((a, b) => (b.q ?? 1000) - (a.q ?? 1000) || (b.updatedAt ?? 0) - (a.updatedAt ?? 0));
    const q = flows[0].q ?? 1000;
    const group = byQ.get(q);
    if (group) group.push({ flows });
    else byQ.set(q, [{ flows }]);
  }
  return [...byQ.entries()].sort(([a], [b]) => b - a).map(([, group]) => group);
}

function ofGruu(bindings: readonly Binding[], gruu: GruuTarget): readonly Binding[] {
  if (gruu.type === 'public') return bindings.filter((binding) => sameInstance(binding, gruu.instance));
  if (gruu.type === 'void') return [];
  const named = bindings.find(gruu.matches);
  return named ? bindings.filter(({ instance }) => instance === named.instance) : [];
}
