/** A node as its last heartbeat described it. */
export interface Node {
  readonly id: string;
  readonly role: 'signaling' | 'media';
  readonly pop: string;
  readonly draining: boolean;
  /** What it can hold, and holds: calls or bindings. */
  readonly capacity: number;
  readonly load: number;
  /** Media: the ng address and where a client can measure the way to it. */
  readonly control: string | undefined;
  readonly probe: string | undefined;
  /** Signaling: the WSS URL for clients and the SIP URI for other nodes. */
  readonly uri: string | undefined;
  readonly sip: string | undefined;
  /** Ms of the service's clock. */
  readonly seenAt: number;
}

const MAX_NODES = 10_000;

/** The nodes that are known; silent ones are down. Pure: time is an argument. */
export class NodeTable {
  readonly #nodes = new Map<string, Node>();
  readonly #downAfterMs: number;

  constructor(downAfterMs: number) {
    this.#downAfterMs = downAfterMs;
  }

  get size(): number {
    return this.#nodes.size;
  }

  /** False when the table is full. */
  beat(node: Node): boolean {
    if (!this.#nodes.has(node.id) && this.#nodes.size >= MAX_NODES) return false;
    this.#nodes.set(node.id, node);
    return true;
  }

  remove(id: string): boolean {
    return this.#nodes.delete(id);
  }

  all(): readonly Node[] {
    return [...this.#nodes.values()];
  }

  isUp(node: Node, now: number): boolean {
    return now - node.seenAt <= this.#downAfterMs;
  }

  /** Nodes that take new work. */
  available(role: Node['role'], now: number): readonly Node[] {
    return this.all().filter((node) => node.role === role && !node.draining && this.isUp(node, now));
  }

  get(id: string): Node | undefined {
    return this.#nodes.get(id);
  }

  /** Forgets nodes that have been down for long. */
  sweep(now: number): void {
    for (const [id, node] of this.#nodes) if (now - node.seenAt > this.#downAfterMs * 200) this.#nodes.delete(id);
  }
}
