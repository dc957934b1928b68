const SLAB = 1 << 20;

/**
 * Replies by their keys, one behind the other in large pieces of memory: the garbage collector has a number to look at for
 * each, not a buffer that it would copy twice and then keep.
 */
export class KeptReplies {
  readonly #places = new Map<string, number>();
  readonly #slabs: Buffer[] = [];
  /** Of the last slab. */
  #used = SLAB;
  bytes = 0;

  get size(): number {
    return this.#places.size;
  }

  /** The memory is ours: to be sent, not to be written to. */
  get(key: string): Buffer | undefined {
    const place = this.#places.get(key);
    if (place === undefined) return undefined;
    const slab = this.#slabs[Math.floor(place / SLAB)] as Buffer;
    const at = place % SLAB;
    return slab.subarray(at + 4, at + 4 + slab.readUInt32LE(at));
  }

  set(key: string, reply: Buffer): void {
    const needed = reply.length + 4;
    if (this.#used + needed > SLAB) {
      // One that is larger than a slab has one of its size, in which it is the first and the last.
      this.#slabs.push(Buffer.allocUnsafeSlow(Math.max(SLAB, needed)));
      this.#used = 0;
    }
    const index = this.#slabs.length - 1;
    const slab = this.#slabs[index] as Buffer;
    slab.writeUInt32LE(reply.length, this.#used);
    slab.set(reply, this.#used + 4);
    this.#places.set(key, index * SLAB + this.#used);
    this.#used += needed;
  }
}
