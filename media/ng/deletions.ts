import type { Session } from '../session/mod.ts';

/** What of a call is to go; nothing: all of it. */
export interface Which {
  readonly fromTag?: string;
  readonly toTag?: string;
  readonly viaBranch?: string;
}

/** More branches than a call can have. */
const MAX_OF_A_CALL = 64;

/**
 * Deletions that were asked for and are not due yet: a proxy may delete before the last packets have come, and a call
 * that is offered anew meanwhile goes on. No more entries than there are calls and branches.
 */
export class Deletions {
  readonly #calls = new Map<string, { readonly which: Which; readonly dueAt: number }[]>();

  get size(): number {
    return this.#calls.size;
  }

  /** `dueAt`: epoch ms. */
  schedule(callId: string, which: Which, dueAt: number): void {
    const list = this.#calls.get(callId) ?? [];
    if (list.length < MAX_OF_A_CALL) list.push({ which, dueAt });
    this.#calls.set(callId, list);
  }

  cancel(callId: string): void {
    this.#calls.delete(callId);
  }

  /** What is due, or all of it; each is given once. */
  take(now: number, all = false): readonly { readonly callId: string; readonly which: Which }[] {
    const due: { callId: string; which: Which }[] = [];
    for (const [callId, list] of this.#calls) {
      const later = list.filter(({ dueAt }) => !all && dueAt > now);
      if (later.length === list.length) continue;
      for (const { which, dueAt } of list) if (all || dueAt <= now) due.push({ callId, which });
      if (later.length === 0) this.#calls.delete(callId);
      else this.#calls.set(callId, later);
    }
    return due;
  }
}

/** The session with those dialogues only that a deletion means; `undefined` when there are none. */
export function partOf(session: Session, { fromTag, toTag, viaBranch }: Which): Session | undefined {
  const dialogues = session.dialogues.filter((dialogue) => {
    if (viaBranch !== undefined) return dialogue.viaBranch === viaBranch;
    if (fromTag === undefined) return true;
    const tags = [dialogue.a.tag, dialogue.b.tag];
    return tags.includes(fromTag) && (toTag === undefined || tags.includes(toTag) || dialogue.b.tag === undefined);
  });
  return dialogues.length === 0 ? undefined : { ...session, dialogues };
}
