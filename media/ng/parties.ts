import { isIP } from 'node:net';
import type { Dialogue, Session, Side } from '../session/mod.ts';
import { NgError, REASONS } from './errors.ts';
import type { Dictionary } from './message.ts';
import { optional, wordsOf } from './request.ts';

/** One side of one dialogue. A party that several were called for has several. */
export interface SelectedParty {
  readonly tag: string | undefined;
  readonly dialogue: Dialogue;
  readonly which: 'a' | 'b';
  readonly sides: readonly Side[];
}

/**
 * The parties that a command means: all, or one by label, media address or from-tag, looked at in this order.
 * @returns `undefined` when it names none. @throws NgError when it names one that is not there.
 */
export function selectParties(session: Session, message: Dictionary): readonly SelectedParty[] | undefined {
  const everybody = session.dialogues.flatMap((dialogue) => [partyOf(dialogue, 'a'), partyOf(dialogue, 'b')]);
  if (isForAll(message)) return everybody;
  const label = optional(message, 'label') ?? optional(message, 'from-label');
  if (label !== undefined) {
    return some(everybody, ({ dialogue, which }) => dialogue[which].label === label, REASONS.noSuchLabel);
  }
  const address = optional(message, 'address');
  if (address !== undefined) {
    if (isIP(address) === 0) throw new NgError(REASONS.badAddress);
    return some(
      everybody,
      ({ sides }) => sides.some(({ remote }) => remote?.rtp?.address === address),
      REASONS.noSuchAddress,
    );
  }
  const fromTag = optional(message, 'from-tag');
  if (fromTag === undefined) return undefined;
  return some(everybody, ({ tag }) => tag === fromTag, REASONS.noSuchTag);
}

/** By the flag or, as newer clients have it, by the key. */
export function isForAll(message: Dictionary): boolean {
  return wordsOf(message['flags']).has('all') || wordsOf(message['all']).has('all');
}

function partyOf(dialogue: Dialogue, which: 'a' | 'b'): SelectedParty {
  return { tag: dialogue[which].tag, dialogue, which, sides: dialogue.lines.map((line) => line[which]) };
}

function some(
  parties: readonly SelectedParty[],
  wanted: (party: SelectedParty) => boolean,
  reason: string,
): readonly SelectedParty[] {
  const found = parties.filter((party) => wanted(party));
  if (found.length === 0) throw new NgError(reason);
  return found;
}
