import { isSpeech, named, type Codec } from '../../codecs/mod.ts';
import type { Dataplane } from '../dataplane/mod.ts';
import { compose, type ComposedLine } from './compose.ts';
import { headingOf, newHeading, ofOurs, plainText } from './copy-text.ts';
import { closeLines, MAX_DIALOGUES, newDialogue } from './dialogues.ts';
import type { MediaFlags } from './flags.ts';
import { chooseInterface } from './interfaces.ts';
import type { RemoteMedia } from './remote-media.ts';
import { understand, type SdpRequest } from './requests.ts';
import { newLine, newParty, SessionError, type Dialogue, type Line, type Session } from './session.ts';
import { tell } from './tell.ts';
import { decideAnswered, openSide, remoteSpec } from './transport.ts';

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
  dialogue.deleteAt = undefined;
  dialogue.a.label = flags.label ?? dialogue.a.label;
  try {
    const lines = remote.media.map((media, index) => {
      const line = (dialogue.lines[index] ??= newLine(index));
      return publishLine(parts, session, line, media, flags);
    });
    if (lines.every(({ rejected }) => rejected)) throw new SessionError('bad-sdp', 'No media that can be published');
    dialogue.a.said = headingOf(text);
    const kinds = remote.media.map(({ kind }) => ({ kind, attributes: [] }));
    const { dataplane, loopMark } = parts;
    const bundle = remote.bundled && flags.bundle.has('accept');
    const how = { dataplane, loopMark, flags: ofOurs(flags), bundle, iceLite: flags.iceLite.has('backward') };
    const answer = plainText((dialogue.b.said ??= newHeading()), kinds, false);
    return tell(dialogue.a, compose(answer, lines, how), how.flags);
  } catch (error) {
    if (!known) {
      closeLines(dialogue.lines);
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
  line: Line,
  media: RemoteMedia,
  flags: MediaFlags,
): ComposedLine {
  const side = line.a;
  side.remote = media;
  side.flags = flags;
  const codec = media.rejected || media.carriage !== 'rtp' ? undefined : acceptedCodec(media.codecs, flags);
  const shown = { side, mid: media.mid, ptimeMs: media.ptimeMs, nowhere: false, trickle: media.trickle };
  if (!codec) {
    closeLines([line]);
    return { ...shown, codecs: undefined, rejected: true, direction: 'inactive' };
  }
  side.codecs = [codec];
  // `forward` would be for whoever is offered it, and nobody is.
  decideAnswered(side, line.b, { ...flags, iceLite: new Set() }, false);
  openSide(dataplane, side, chooseInterface(interfaces, flags, 0, media), session.callId);
  side.endpoint?.configure(remoteSpec(side));
  const direction = media.direction === 'inactive' ? 'inactive' : 'recvonly';
  return { ...shown, codecs: side.codecs, rejected: false, direction };
}

/** The first that `codec accept` names, else the first at all; packets are passed on as they are, whatever they hold. */
function acceptedCodec(codecs: readonly Codec[], flags: MediaFlags): Codec | undefined {
  const { accept } = flags.codec;
  const speech = codecs.filter(isSpeech);
  return accept.length === 0 ? speech[0] : speech.find((codec) => accept.some((pattern) => named(codec, pattern)));
}
