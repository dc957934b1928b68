import { canTranscode, isEvent, isSpeech, sameCodec, type Codec } from '../../codecs/mod.ts';
import { DataplaneError, type Dataplane } from '../dataplane/mod.ts';
import { MAX_DIALOGUES, newDialogue, nextSerial } from './dialogues.ts';
import { connectLine, senderCodecs } from './paths.ts';
import {
  newParty,
  newSide,
  SessionError,
  type Agreed,
  type Dialogue,
  type Line,
  type Session,
  type Side,
} from './session.ts';
import { MAX_SUBSCRIPTIONS } from './subscriptions.ts';
import { remoteSpec } from './transport.ts';

/** A party where it is connected now. */
interface Place {
  readonly dialogue: Dialogue;
  readonly which: 'a' | 'b';
}

/** A party that has told where it is; of several branches the last that was answered. */
function placeOf(session: Session, tag: string): Place | undefined {
  const places = session.dialogues.flatMap((dialogue) =>
    dialogue.published
      ? []
      : (['a', 'b'] as const).filter((which) => dialogue[which].tag === tag).map((which) => ({ dialogue, which })),
  );
  const speaking = places.filter(({ dialogue, which }) => dialogue.lines.some((line) => line[which].remote));
  return (
    speaking.findLast(({ dialogue }) => dialogue.left !== undefined || dialogue.b.tag !== undefined) ?? speaking.at(-1)
  );
}

/**
 * Two parties hear each other from now on, and those whom they heard before hear nobody: ng's `connect`, without a word to
 * either. What was told to them stays as it was: ports, keys and formats; where these differ there is coding. Of lines that
 * have no like at the other side nothing is heard. `other`, when it is another call, becomes a part of `session`.
 * @throws SessionError; nothing has changed then.
 */
export function connectParties(
  dataplane: Dataplane,
  session: Session,
  other: Session,
  [fromTag, toTag]: readonly [string, string],
): void {
  const from = placeOf(session, fromTag);
  const to = placeOf(other, toTag);
  if (!from) throw refusal('No party with this from-tag has media');
  if (!to) throw refusal('To-tag not found');
  if (session === other && fromTag === toTag) throw refusal('A party cannot be connected to itself');
  if (session === other && from.dialogue === to.dialogue) return;
  const dialogues = session.dialogues.length + (session === other ? 0 : other.dialogues.length);
  if (dialogues >= MAX_DIALOGUES) throw new SessionError('full', `more than ${MAX_DIALOGUES} branches in one call`);
  if (session !== other) checkMerge(session, other);
  const lines = pairUp(from, to);
  const sealed = [...sealedOf(from), ...sealedOf(to)];
  if (session !== other) merge(session, other);
  for (const place of [from, to]) part(dataplane, session, place);
  const dialogue = newDialogue(session, { a: from.dialogue[from.which], b: to.dialogue[to.which], lines });
  session.dialogues.push(dialogue);
  // What passed unopened is opened: by the keys that the two have told, and have been told.
  for (const side of sealed) side.endpoint?.configure(remoteSpec(side));
  for (const own of session.dialogues) for (const line of own.lines) connectLine(dataplane, session, own, line);
}

function refusal(reason: string): SessionError {
  return new SessionError('bad-request', reason);
}

/** The lines of both, with what they agree on without being asked. @throws SessionError */
function pairUp(from: Place, to: Place): Line[] {
  const theirs = to.dialogue.lines;
  const lines = Array.from({ length: Math.max(from.dialogue.lines.length, theirs.length) }, (_, index): Line => {
    const a = from.dialogue.lines[index]?.[from.which] ?? newSide();
    const b = theirs[index]?.[to.which] ?? newSide();
    return { index, a, b, agreed: alike(a, b) ? agreedOn(a, b) : undefined };
  });
  if (!lines.some(({ agreed }) => agreed)) throw refusal('The two parties have no media in common');
  return lines;
}

function alike(a: Side, b: Side): boolean {
  if (!a.endpoint || !b.endpoint || !a.remote || !b.remote || a.remote.rejected || b.remote.rejected) return false;
  return a.remote.kind === b.remote.kind && a.remote.carriage === b.remote.carriage;
}

/** Relayed where each understands what the other sends as it is, else coded; `undefined`: neither. */
function agreedOn(a: Side, b: Side): Agreed | undefined {
  const relayed = { from: undefined, speech: undefined, passing: false };
  if (a.remote?.carriage !== 'rtp' || (understood(a, b) && understood(b, a))) return relayed;
  const coded = (side: Side): Codec | undefined => side.codecs.find((codec) => isSpeech(codec) && canTranscode(codec));
  const [speechA, speechB] = [coded(a), coded(b)];
  return a.remote.kind === 'audio' && speechA && speechB
    ? { ...relayed, speech: { a: speechA, b: speechB } }
    : undefined;
}

/** By name and number: what is relayed keeps its payload type. */
function understood(sender: Side, receiver: Side): boolean {
  const sent = senderCodecs(sender, false);
  const knows = (codec: Codec) =>
    senderCodecs(receiver, false).some((other) => other.pt === codec.pt && sameCodec(other, codec));
  const speech = sent.find(isSpeech);
  const events = receiver.codecs.some(isEvent) ? sent.filter(isEvent) : [];
  return (speech === undefined || knows(speech)) && events.every(knows);
}

/** Whom it leaves keeps what it has, and hears nobody; a dialogue that both have left is gone. */
function part(dataplane: Dataplane, session: Session, { dialogue, which }: Place): void {
  const stays = which === 'a' ? 'b' : 'a';
  // It may have been parted on the other side before.
  const at = session.dialogues.findIndex(({ serial }) => serial === dialogue.serial);
  const now = session.dialogues[at];
  if (!now) return;
  for (const { a, b } of now.lines) {
    if (!a.endpoint || !b.endpoint) continue;
    dataplane.setPath(a.endpoint, b.endpoint, undefined);
    dataplane.setPath(b.endpoint, a.endpoint, undefined);
    for (const end of now.echo ? [a.endpoint, b.endpoint] : []) dataplane.setPath(end, end, undefined);
  }
  const empty = now.left !== undefined || now.lines.every((line) => line[stays].endpoint === undefined);
  if (empty) {
    session.dialogues.splice(at, 1);
    return;
  }
  const lines = now.lines.map((line): Line => ({ ...line, [which]: newSide(), agreed: undefined }));
  session.dialogues[at] = {
    ...now,
    [which]: newParty(undefined),
    lines,
    echo: undefined,
    left: { which, tag: now[which].tag },
  };
}

function sealedOf({ dialogue, which }: Place): Side[] {
  return dialogue.lines.filter(({ agreed }) => agreed?.passing === true).map((line) => line[which]);
}

/** @throws SessionError when the two calls cannot be one. */
function checkMerge(session: Session, other: Session): void {
  const own = new Set(tagsOf(session));
  if (tagsOf(other).some((tag) => own.has(tag))) throw refusal('Failed to merge two calls into one (tag collision)');
  // Its lines would have to go to another thread all at once.
  if ([...session.dialogues, ...other.dialogues].some(({ a, b }) => a.carrier ?? b.carrier))
    throw refusal('A call with bundled lines cannot become one with another');
  if (session.subscriptions.size + other.subscriptions.size > MAX_SUBSCRIPTIONS)
    throw new SessionError('full', `more than ${MAX_SUBSCRIPTIONS} subscriptions in one call`);
}

function tagsOf({ dialogues, subscriptions }: Session): string[] {
  return [...dialogues.flatMap(({ a, b }) => [a.tag, b.tag]), ...subscriptions.keys()].filter(
    (tag) => tag !== undefined,
  );
}

/** All of `other` is `session`'s from now on, its name too. */
function merge(session: Session, other: Session): void {
  const subscribers = [...other.subscriptions.values()].flatMap(({ lines }) => lines.map(({ side }) => side));
  const parties = other.dialogues.flatMap(({ lines }) => lines.flatMap(({ a, b }) => [a, b]));
  for (const { endpoint } of [...subscribers, ...parties]) move(endpoint, session.callId);
  for (const dialogue of other.dialogues) {
    for (const { gates } of [dialogue.a, dialogue.b])
      for (const gate of ['blocked', 'silenced', 'dtmfBlocked', 'dropped'] as const) gates[gate] ||= other.gates[gate];
    dialogue.serial = nextSerial(session);
    session.dialogues.push(dialogue);
  }
  for (const [tag, subscription] of other.subscriptions) session.subscriptions.set(tag, subscription);
  for (const attachment of other.attached) attachment.merged(session);
  session.aliases = [...session.aliases, other.callId, ...other.aliases];
  other.dialogues.length = 0;
  other.subscriptions.clear();
  other.attached.clear();
}

function move(endpoint: Side['endpoint'], affinity: string): void {
  try {
    endpoint?.move(affinity);
  } catch (error) {
    // What has been closed under our feet is silent anyway.
    if (!(error instanceof DataplaneError)) throw error;
  }
}
