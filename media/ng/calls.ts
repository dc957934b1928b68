import type { HostPort } from '../../vocabulary/mod.ts';
import type { Dialogue, Session, Side } from '../session/mod.ts';
import type { StreamQuality } from './quality.ts';

type Party = Dialogue['a'];

/** What ng remembers of one of our ends: who speaks there and how it went. */
export interface EndNotes {
  readonly call: CallNotes;
  readonly party: Party;
  readonly side: Side;
  /** Index of the media line, from 0. */
  readonly index: number;
  /** From the first packets on. */
  quality: StreamQuality | undefined;
  /** Where the packet path has learned that the party sends from. */
  learned: HostPort | undefined;
  /** Samples in a row below the alarm. */
  bad: number;
  alarmed: boolean;
}

export interface CallNotes {
  readonly callId: string;
  readonly ends: Map<number, EndNotes>;
}

/**
 * Beside the sessions: which endpoint belongs to whom, so that an event of the packet path finds
 * its call. It has an entry for each call that stands, no more: {@link follow} after every offer and answer,
 * {@link forget} at every end.
 */
export class CallTable {
  readonly #calls = new Map<string, CallNotes>();
  readonly #ends = new Map<number, EndNotes>();
  #cursor = this.#calls.values();

  get size(): number {
    return this.#calls.size;
  }

  get ends(): number {
    return this.#ends.size;
  }

  find(callId: string): CallNotes | undefined {
    return this.#calls.get(callId);
  }

  endOf(endpoint: number): EndNotes | undefined {
    return this.#ends.get(endpoint);
  }

  /** The session's endpoints as they are now. */
  follow(session: Session): void {
    let call = this.#calls.get(session.callId);
    if (!call) {
      call = { callId: session.callId, ends: new Map() };
      this.#calls.set(session.callId, call);
    }
    const before = new Set(call.ends.keys());
    for (const { a, b, lines } of session.dialogues) {
      for (const line of lines) {
        this.#note(call, before, a, line.a, line.index);
        this.#note(call, before, b, line.b, line.index);
      }
    }
    for (const { party, lines } of session.subscriptions.values())
      for (const [index, { side }] of lines.entries()) this.#note(call, before, party, side, index);
    for (const gone of before) {
      call.ends.delete(gone);
      this.#ends.delete(gone);
    }
  }

  forget(callId: string): void {
    const call = this.#calls.get(callId);
    if (!call) return;
    for (const id of call.ends.keys()) this.#ends.delete(id);
    this.#calls.delete(callId);
  }

  /** The next calls in a round that never ends: for work that must not look at all of them at once. */
  *next(count: number): Iterable<CallNotes> {
    for (let taken = 0; taken < Math.min(count, this.#calls.size); taken++) {
      let step = this.#cursor.next();
      if (step.done === true) {
        this.#cursor = this.#calls.values();
        step = this.#cursor.next();
      }
      if (step.done !== true) yield step.value;
    }
  }

  #note(call: CallNotes, before: Set<number>, party: Party, side: Side, index: number): void {
    const id = side.endpoint?.id;
    if (id === undefined || before.delete(id)) return;
    const end: EndNotes = {
      call,
      party,
      side,
      index,
      quality: undefined,
      learned: undefined,
      bad: 0,
      alarmed: false,
    };
    call.ends.set(id, end);
    this.#ends.set(id, end);
  }
}
