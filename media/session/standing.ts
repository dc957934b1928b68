import { configure } from './bundle.ts';
import type { Dialogue, Party, Session, Side } from './session.ts';
import { isKeyless, remoteSpec } from './transport.ts';

/** A call as it was before an offer: when that is refused, the call goes on as if it had not been made (RFC 3261 §14.1). */
export type Standing = readonly StandingDialogue[];

interface StandingDialogue {
  readonly a: Party;
  readonly b: Party;
  readonly lines: readonly { readonly a: Side; readonly b: Side }[];
}

export function standingOf({ dialogues }: Session): Standing {
  return dialogues.map(({ a, b, lines }) => ({
    a: { ...a },
    b: { ...b },
    lines: lines.map((line) => ({ a: { ...line.a }, b: { ...line.b } })),
  }));
}

/** Branches and lines that were not there then have been closed before. */
export function putBack({ dialogues }: Session, standing: Standing): void {
  for (const [index, before] of standing.entries()) {
    const dialogue = dialogues[index];
    if (dialogue) for (const which of ['a', 'b'] as const) putPartyBack(dialogue, which, before);
  }
}

function putPartyBack(dialogue: Dialogue, which: 'a' | 'b', standing: StandingDialogue): void {
  const party = dialogue[which];
  const { tag, label, group, said } = standing[which];
  Object.assign(party, { tag, label, group, said });
  for (const [index, sides] of standing.lines.entries()) {
    const line = dialogue.lines[index];
    const before = sides[which];
    if (!line) continue;
    const side = line[which];
    const moved = side.remote !== before.remote;
    Object.assign(side, side.endpoint === before.endpoint ? before : described(before));
    const passing = line.agreed?.passing ?? false;
    if (!moved || !side.remote || (!passing && isKeyless(side))) continue;
    configure(party, side, side === party.carrier?.lead, remoteSpec(side, passing));
  }
}

/** What was said, without what belongs to sockets that are closed. */
function described({ remote, flags, codecs, offered, coding, tuning, ptimeMs }: Side): Partial<Side> {
  return { remote, flags, codecs, offered, coding, tuning, ptimeMs };
}
