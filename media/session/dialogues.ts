import { newParty, SessionError, type Dialogue, type Party, type Session } from './session.ts';

/** The names that an offer or answer goes by. */
export interface Names {
  readonly fromTag: string;
  readonly toTag: string | undefined;
  readonly viaBranch: string | undefined;
}

export const MAX_DIALOGUES = 64;

export interface Found {
  readonly dialogue: Dialogue;
  /** Which of its parties offers. */
  readonly from: 'a' | 'b';
}

export function parties(dialogue: Dialogue, from: 'a' | 'b'): readonly [Party, Party] {
  return from === 'a' ? [dialogue.a, dialogue.b] : [dialogue.b, dialogue.a];
}

/** Where an offer belongs; a new branch when it is none of those that are there. @throws SessionError */
export function dialogueOfOffer(session: Session, names: Names): Found {
  const found = offered(session, names);
  // Whoever was left by the other party has found somebody new.
  found.dialogue.left = undefined;
  return found;
}

function offered(session: Session, { fromTag, toTag, viaBranch }: Names): Found {
  for (const dialogue of session.dialogues) {
    const { a, b, published } = dialogue;
    if (published) continue;
    if (toTag !== undefined) {
      if (a.tag === fromTag && b.tag === toTag) return { dialogue, from: 'a' };
      if (b.tag === fromTag && a.tag === toTag) return { dialogue, from: 'b' };
    } else {
      // The same offer again, before any answer or after it.
      if (a.tag === fromTag && dialogue.viaBranch === viaBranch) return { dialogue, from: 'a' };
      if (b.tag === fromTag && viaBranch === undefined) return { dialogue, from: 'b' };
    }
  }
  if (session.dialogues.length >= MAX_DIALOGUES)
    throw new SessionError('full', `more than ${MAX_DIALOGUES} branches in one call`);
  const dialogue = newDialogue(session, { viaBranch, a: newParty(fromTag), b: newParty(toTag) });
  // A party that is held back stays so in another branch.
  const known = session.dialogues.flatMap(({ a, b }) => [a, b]).find(({ tag }) => tag === fromTag);
  if (known) Object.assign(dialogue.a.gates, known.gates);
  session.dialogues.push(dialogue);
  return { dialogue, from: 'a' };
}

export function newDialogue(session: Session, known: Partial<Dialogue> & Pick<Dialogue, 'a'>): Dialogue {
  const fresh = { viaBranch: undefined, b: newParty(undefined), published: false, lines: [] };
  const later = { left: undefined, echo: undefined, deleteAt: undefined };
  return { ...fresh, ...later, serial: nextSerial(session), ...known };
}

export function nextSerial({ dialogues }: Session): number {
  return 1 + Math.max(-1, ...dialogues.map(({ serial }) => serial));
}

/** Whose offer is answered. @throws SessionError */
export function dialogueOfAnswer(session: Session, { fromTag, toTag, viaBranch }: Names): Found {
  const exact = session.dialogues.find(({ a, b }) => a.tag === fromTag && b.tag === toTag && toTag !== undefined);
  if (exact) return { dialogue: exact, from: 'a' };
  const turned = session.dialogues.find(({ a, b }) => b.tag === fromTag && a.tag === toTag && toTag !== undefined);
  if (turned) return { dialogue: turned, from: 'b' };
  const mine = session.dialogues.filter(({ a, published, left }) => a.tag === fromTag && !published && !left);
  const branch =
    mine.find((dialogue) => viaBranch !== undefined && dialogue.viaBranch === viaBranch) ??
    mine.find(({ b }) => b.tag === undefined) ??
    mine.at(-1);
  if (!branch) throw new SessionError('unknown-call', 'No offer with this from-tag');
  return { dialogue: branch, from: 'a' };
}

/** The dialogues that a delete means: by branch, by the parties' tags, or all. */
export function matching(
  session: Session,
  { fromTag, toTag, viaBranch }: { fromTag?: string; toTag?: string; viaBranch?: string },
): Dialogue[] {
  return session.dialogues.filter((dialogue) => {
    if (viaBranch !== undefined && viaBranch !== '') return dialogue.viaBranch === viaBranch;
    if (fromTag === undefined) return true;
    const tags = [dialogue.a.tag, dialogue.b.tag];
    // Of a party whose other side was connected to somebody else: by the names that the two had.
    if (dialogue.left && fromTag === dialogue.left.tag) return toTag !== undefined && tags.includes(toTag);
    if (!tags.includes(fromTag)) return false;
    if (dialogue.left) return toTag === undefined || toTag === dialogue.left.tag;
    return toTag === undefined || tags.includes(toTag) || dialogue.b.tag === undefined;
  });
}

export function closeDialogue({ lines, a, b }: Dialogue): void {
  for (const line of lines) {
    for (const [side, { carrier }] of [[line.a, a] as const, [line.b, b] as const]) {
      // Last, for its riders say goodbye.
      if (side.endpoint !== carrier?.endpoint) side.endpoint?.close();
      side.endpoint = undefined;
      side.opened = undefined;
    }
  }
  for (const party of [a, b]) {
    party.carrier?.endpoint.close();
    party.carrier = undefined;
  }
}
