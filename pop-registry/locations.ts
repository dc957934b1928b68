export type Kind = 'webrtc' | 'plain';

interface Held {
  readonly until: number;
  readonly kinds: readonly Kind[];
}

/** Which signaling nodes hold bindings of an address of record, of which kinds, and until when (epoch ms). Bounded. */
export class Locations {
  readonly #byAor = new Map<string, Map<string, Held>>();
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#byAor.size;
  }

  /** `expiresAt` 0: the node holds none any more. False when the table is full. */
  set(tenant: string, aor: string, node: string, expiresAt: number, kinds: readonly Kind[]): boolean {
    const key = `${tenant} ${aor}`;
    const nodes = this.#byAor.get(key);
    if (expiresAt <= 0) {
      nodes?.delete(node);
      if (nodes?.size === 0) this.#byAor.delete(key);
      return true;
    }
    const held = { until: expiresAt, kinds };
    if (nodes) nodes.set(node, held);
    else if (this.#byAor.size >= this.#limit) return false;
    else this.#byAor.set(key, new Map([[node, held]]));
    return true;
  }

  find(
    tenant: string,
    aor: string,
    now: number,
  ): readonly { readonly node: string; readonly kinds: readonly Kind[] }[] {
    return [...(this.#byAor.get(`${tenant} ${aor}`) ?? [])]
      .filter(([, { until }]) => until > now)
      .map(([node, { kinds }]) => ({ node, kinds }));
  }

  /** A node that is gone holds nothing. */
  forget(node: string): void {
    for (const [key, nodes] of this.#byAor) {
      nodes.delete(node);
      if (nodes.size === 0) this.#byAor.delete(key);
    }
  }

  sweep(now: number): void {
    for (const [key, nodes] of this.#byAor) {
      for (const [node, { until }] of nodes) if (until <= now) nodes.delete(node);
      if (nodes.size === 0) this.#byAor.delete(key);
    }
  }
}
