import { isSpeech, named, type Codec } from '../../codecs/mod.ts';
import type { Dataplane } from '../dataplane/mod.ts';
import * as bundle from './bundle.ts';
import { compose, type ComposedLine } from './compose.ts';
import { headingOf, newHeading, ofOurs, plainText } from './copy-text.ts';
import { closeDialogue, MAX_DIALOGUES, newDialogue } from './dialogues.ts';
import type { MediaFlags } from './flags.ts';
import { chooseInterface } from './interfaces.ts';
import type { RemoteMedia } from './remote-media.ts';
import { understand, type SdpRequest } from './requests.ts';
import { newLine, newParty, SessionError, type Dialogue, type Line, type Session } from './session.ts';
import { tell } from './tell.ts';
import { decideAnswered, remoteSpec } from './transport.ts';

export interface CopyParts {
  readonly dataplane: Dataplane;
  readonly interfaces: readonly string[];
  readonly loopMark: string;
}

/**
 * A party that is only heard, by whoever subscribes to it. Its offer is answered with one codec for each line and
 * `recvonly`; the same from-tag again is a new offer. @throws SessionError; the session is as before then.
 */
export function publish(parts: CopyParts, session: Session, request: SdpRequest): string {
  const { text, remote } = understand(request);
  const { fromTag, flags } = request;
  const known = session.dialogues.find(({ published, a }) => published && a.tag === fromTag);
  const dialogue = known ?? newPublisher(session, fromTag);
  const before = dialogue.lines.length;
  dialogue.a.label = flags.label ?? dialogue.a.label;
  try {
    dialogue.a.group = remote.group;
    const taken = bundle.takesGroup(dialogue.a, undefined, flags);
    const media = taken ? bundle.sharedDescription(remote) : remote.media;
    const able = (index: number) => codecOf(media[index], flags) !== undefined;
    const ofOfferer = bundle.answeredLines(taken ? remote.group : [], media, able);
    const lines: ComposedLine[] = [];
    for (const index of bundle.leadFirst(ofOfferer, media.length)) {
      const line = (dialogue.lines[index] ??= newLine(index));
      lines[index] = publishLine(parts, session, { dialogue, line, ofOfferer }, media[index] as RemoteMedia, flags);
    }
    bundle.settleBundles(parts.dataplane, dialogue);
    if (lines.every(({ rejected }) => rejected)) throw new SessionError('bad-sdp', 'No media that can be published');
    dialogue.a.said = headingOf(text);
    const kinds = remote.media.map(({ kind }) => ({ kind, attributes: [] }));
    const { dataplane, loopMark } = parts;
    const group = ofOfferer.map((index) => lines[index]?.mid ?? '');
    const how = { dataplane, loopMark, flags: ofOurs(flags), group, iceLite: flags.iceLite.has('backward') };
    dialogue.deleteAt = undefined;
    const answer = plainText((dialogue.b.said ??= newHeading()), kinds, false);
    return tell(dialogue.a, compose(answer, lines, how), how.flags);
  } catch (error) {
    if (known) {
      for (const line of dialogue.lines.splice(before)) bundle.closeLine(parts.dataplane, dialogue, line);
      bundle.settleBundles(parts.dataplane, dialogue);
    } else {
      closeDialogue(dialogue);
      session.dialogues.splice(session.dialogues.indexOf(dialogue), 1);
    }
    throw error;
  }
}

function newPublisher(session: Session, tag: string): Dialogue {
  if (session.dialogues.some(({ a, b }) => a.tag === tag || b.tag === tag))
    throw new SessionError('bad-request', 'This from-tag is that of a party of the call');
  if (session.dialogues.length >= MAX_DIALOGUES)
    throw new SessionError('full', `more than ${MAX_DIALOGUES} branches in one call`);
  const dialogue = newDialogue(session, { a: newParty(tag), published: true });
  session.dialogues.push(dialogue);
  return dialogue;
}

function publishLine(
  { dataplane, interfaces }: CopyParts,
  session: Session,
  { dialogue, line, ofOfferer }: { dialogue: Dialogue; line: Line; ofOfferer: readonly number[] },
  media: RemoteMedia,
  flags: MediaFlags,
): ComposedLine {
  const side = line.a;
  const lead = bundle.leadOf(dialogue, 'a', ofOfferer, line);
  side.remote = media;
  side.flags = flags;
  const codec = codecOf(media, flags);
  const shown = { side, mid: media.mid, ptimeMs: media.ptimeMs, nowhere: false, trickle: media.trickle, coded: false };
  const place = lead === side ? 'apart' : 'shared';
  if (!codec) {
    bundle.closeLine(dataplane, dialogue, line);
    return { ...shown, place, midExtension: undefined, codecs: undefined, rejected: true, direction: 'inactive' };
  }
  side.codecs = [codec];
  const sides = bundle.sidesOf(dialogue, dialogue.a);
  bundle.prepare(dialogue.a, side, sides, ofOfferer.includes(line.index));
  // `forward` would be for whoever is offered it, and nobody is.
  if (lead === side) decideAnswered(side, line.b, { ...flags, iceLite: new Set() }, false);
  else side.protocol = media.protocol;
  const interfaceName = chooseInterface(interfaces, flags, 0, media);
  const opening = { dataplane, interfaceName, affinity: session.callId, other: undefined };
  bundle.openAnswered(opening, dialogue.a, side, lead, sides, { ofOfferer });
  bundle.configure(dialogue.a, side, lead === side, remoteSpec(side));
  const direction = media.direction === 'inactive' ? 'inactive' : 'recvonly';
  const midExtension = bundle.answeredExtension(media, line.b, { ofOfferer });
  return { ...shown, place, midExtension, codecs: side.codecs, rejected: false, direction };
}

function codecOf(media: RemoteMedia | undefined, flags: MediaFlags): Codec | undefined {
  if (!media || media.rejected || media.carriage !== 'rtp') return undefined;
  return acceptedCodec(media.codecs, flags);
}

/** The first that `codec accept` names, else the first at all; packets are passed on as they are, whatever they hold. */
function acceptedCodec(codecs: readonly Codec[], flags: MediaFlags): Codec | undefined {
  const { accept } = flags.codec;
  const speech = codecs.filter(isSpeech);
  return accept.length === 0 ? speech[0] : speech.find((codec) => accept.some((pattern) => named(codec, pattern)));
}
