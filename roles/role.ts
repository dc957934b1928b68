/**
 * A running role: what `causeway signaling`, `media`, `registry` and the others hand back once they serve.
 * The process that started it owns it and closes it exactly once.
 */
export interface Role {
  /** Goes into the ready line: every address that this role serves, by purpose. */
  readonly listen: Readonly<Record<string, string>>;
  /** Stops taking new work and resolves when the running calls have ended, or after `graceMs`. */
  drain(graceMs: number): Promise<void>;
  /** Releases every socket, port, timer, thread and native object. */
  close(): Promise<void>;
}
