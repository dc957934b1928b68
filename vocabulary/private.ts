import { inspect } from 'node:util';

/** What a logger, a template string or JSON shows in the place of a private value. */
const REDACTED = '[redacted]';

/**
 * A value that must not reach a log: a password, a token, an SDP key, a subscriber's number.
 * It prints as `[redacted]` everywhere; `reveal()` is the only way in, so that a reader can search for it.
 */
export class Private<T> {
  readonly #value: T;

  constructor(value: T) {
    this.#value = value;
  }

  reveal(): T {
    return this.#value;
  }

  toString(): string {
    return REDACTED;
  }

  toJSON(): string {
    return REDACTED;
  }

  [inspect.custom](): string {
    return REDACTED;
  }
}
