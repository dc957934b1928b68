/** A deadline that can be taken back. `at` is monotonic milliseconds. */
export interface Timer {
  readonly at: number;
  cancelled: boolean;
  fire(now: number): void;
}

/**
 * Deadlines in order, as a binary heap. It has no clock: whoever owns one asks for `nextAt` and calls `advance`.
 * A cancelled timer stays in the heap until its time or until the dead outnumber the living.
 */
export class TimerQueue {
  #heap: Timer[] = [];
  #cancelled = 0;
  /** Called when a new timer is the first to come: whoever advances the queue sets its alarm anew. */
  onEarlier: (() => void) | undefined;

  /** Living timers. */
  get size(): number {
    return this.#heap.length - this.#cancelled;
  }

  get nextAt(): number | undefined {
    while (this.#heap[0]?.cancelled === true) {
      this.#pop();
      this.#cancelled--;
    }
    return this.#heap[0]?.at;
  }

  set(at: number, fire: (now: number) => void): Timer {
    return this.add({ at, fire, cancelled: false });
  }

  /** The same for a timer that knows by itself what is to be done. */
  add<T extends Timer>(timer: T): T {
    this.#heap.push(timer);
    this.#up(this.#heap.length - 1);
    if (this.#heap[0] === timer) this.onEarlier?.();
    return timer;
  }

  cancel(timer: Timer | undefined): void {
    if (timer === undefined || timer.cancelled) return;
    timer.cancelled = true;
    this.#cancelled++;
    if (this.#cancelled > 64 && this.#cancelled > this.#heap.length / 2) this.#compact();
  }

  /** Fires everything that is due. */
  advance(now: number): void {
    for (;;) {
      const at = this.nextAt;
      if (at === undefined || at > now) return;
      const timer = this.#pop() as Timer;
      // Fired is as good as cancelled: a later cancel() must not count it.
      timer.cancelled = true;
      timer.fire(now);
    }
  }

  #compact(): void {
    this.#heap = this.#heap.filter((timer) => !timer.cancelled);
    this.#cancelled = 0;
    for (let i = (this.#heap.length >> 1) - 1; i >= 0; i--) this.#down(i);
  }

  #pop(): Timer | undefined {
    const top = this.#heap[0];
    const last = this.#heap.pop();
    if (this.#heap.length > 0 && last) {
      this.#heap[0] = last;
      this.#down(0);
    }
    return top;
  }

  #up(index: number): void {
    const heap = this.#heap;
    let i = index;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if ((heap[parent] as Timer).at <= (heap[i] as Timer).at) return;
      this.#swap(i, parent);
      i = parent;
    }
  }

  #down(index: number): void {
    const heap = this.#heap;
    let i = index;
    for (;;) {
      const left = 2 * i + 1;
      if (left >= heap.length) return;
      const right = left + 1;
      const child = right < heap.length && (heap[right] as Timer).at < (heap[left] as Timer).at ? right : left;
      if ((heap[i] as Timer).at <= (heap[child] as Timer).at) return;
      this.#swap(i, child);
      i = child;
    }
  }

  #swap(a: number, b: number): void {
    const held = this.#heap[a] as Timer;
    this.#heap[a] = this.#heap[b] as Timer;
    this.#heap[b] = held;
  }
}
