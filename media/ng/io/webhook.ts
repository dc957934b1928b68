import { randomUUID } from 'node:crypto';
import type { EventFrame } from '../events/event.ts';
import type { EventSink } from '../events/hub.ts';
import { Outbox } from '../events/outbox.ts';

const LIMIT = 1000;
const TRIES = 10;
const TIMEOUT_MS = 5000;

/**
 * Posts every event to one URL as JSON, in order, with retries; `causeway-event` is the same in each try of an event. It
 * owns one timer and one request.
 */
export class Webhook implements EventSink {
  readonly outbox = new Outbox({ limit: LIMIT, tries: TRIES });
  readonly url: string;
  readonly #abort = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #working: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(url: string) {
    this.url = url;
  }

  take(frame: EventFrame): void {
    if (this.#closed) return;
    this.outbox.put({ id: randomUUID(), body: JSON.stringify({ notify: frame.notify, data: frame.data }) });
    this.#step();
  }

  /** What is not delivered is lost. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#abort.abort();
    await this.#working;
  }

  #step(): void {
    if (this.#closed) return;
    const next = this.outbox.next(performance.now());
    if (!next) return;
    clearTimeout(this.#timer);
    if ('send' in next) {
      this.#working = this.#post(next.send.id, next.send.body).then((outcome) => {
        this.outbox.done(outcome, performance.now());
        this.#step();
      });
    } else this.#timer = setTimeout(() => this.#step(), next.waitMs).unref();
  }

  /** 4xx but 408 and 429 is a refusal: the same body will not please later (RFC 9110 §15.5). Never rejects. */
  async #post(id: string, body: string): Promise<'delivered' | 'refused' | 'failed'> {
    try {
      const response = await fetch(this.url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'causeway-event': id },
        body,
        redirect: 'error',
        signal: AbortSignal.any([this.#abort.signal, AbortSignal.timeout(TIMEOUT_MS)]),
      });
      await response.body?.cancel();
      if (response.ok) return 'delivered';
      const again = response.status >= 500 || response.status === 408 || response.status === 429;
      return again ? 'failed' : 'refused';
    } catch {
      return 'failed';
    }
  }
}
