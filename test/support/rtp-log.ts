/** What a listener sees of RTP packets: how many, whose, which numbers never came, and the longest silence between two. */
export class RtpLog {
  packets = 0;
  /** Of this far; set it to 0 to count anew. */
  longestGapMs = 0;
  readonly sources = new Set<number>();
  #first: number | undefined;
  #highest = 0;
  #lastAt: number | undefined;

  /** `at` in ms. */
  take(packet: Buffer, at: number): void {
    this.packets++;
    this.sources.add(packet.readUInt32BE(8));
    if (this.#lastAt !== undefined) this.longestGapMs = Math.max(this.longestGapMs, at - this.#lastAt);
    this.#lastAt = at;
    const sequence = packet.readUInt16BE(2);
    this.#first ??= sequence;
    // RFC 3550 §A.1: the distance from the highest so far, modulo 2^16, tells ahead from behind.
    const ahead = (sequence - this.#highest) & 0xffff;
    if (this.packets === 1) this.#highest = sequence;
    else if (ahead < 0x8000) this.#highest += ahead;
  }

  /** Sequence numbers that never came. */
  get lost(): number {
    return this.#first === undefined ? 0 : this.#highest - this.#first + 1 - this.packets;
  }
}
