import * as bundle from './bundle.ts';
import { compose, passedOn, refused, type ComposedLine, type Composing } from './compose.ts';
import { headingOf } from './copy-text.ts';
import { dialogueOfAnswer, dialogueOfOffer, parties, type Found } from './dialogues.ts';
import type { MediaFlags } from './flags.ts';
import { agree, codingPolicy, offeredCodecs, tuningOf, type Agreement } from './formats.ts';
import { chooseInterface } from './interfaces.ts';
import { connectLine } from './paths.ts';
import type { CopyParts } from './publications.ts';
import type { RemoteMedia, RemoteSdp } from './remote-media.ts';
import type { SdpRequest } from './requests.ts';
import type { SdpText } from './sdp-text.ts';
import { newLine, SessionError, type Dialogue, type Line, type Session, type Side } from './session.ts';
import { tell } from './tell.ts';
import {
  decideAnswered,
  decideOffered,
  followCandidates,
  isKeyless,
  passedThrough,
  remoteSpec,
  takeRole,
} from './transport.ts';
import { heed } from './wishes.ts';

export interface Negotiating extends CopyParts {
  /** Paths of the call are others now. */
  reconnect(session: Session): void;
}

/** What a party has said, as text and as it is read. */
export interface Understood {
  readonly text: SdpText;
  readonly remote: RemoteSdp;
}

/** One offer or answer, as it concerns each of its lines. */
interface Exchange extends Found {
  readonly parts: CopyParts;
  readonly session: Session;
  readonly flags: MediaFlags;
}

/** After every offer and answer, those that have failed among them. */
export function settleAll({ dataplane }: Pick<CopyParts, 'dataplane'>, { dialogues }: Session): void {
  for (const dialogue of dialogues) bundle.settleBundles(dataplane, dialogue);
}

/** @returns the SDP for the other party. @throws SessionError */
export function offerCall(parts: Negotiating, session: Session, request: SdpRequest, said: Understood): string {
  const { text, remote } = said;
  const { flags } = request;
  const { dialogue, from } = dialogueOfOffer(session, request);
  const exchange = { parts, session, dialogue, from, flags };
  if (heed(session, dialogue, from, flags, 'offer')) parts.reconnect(session);
  const [offerer, answerer] = parties(dialogue, from);
  offerer.tag = request.fromTag;
  offerer.label = flags.label ?? offerer.label;
  offerer.group = remote.group;
  offerer.said = headingOf(text);
  const media = bundle.takesGroup(offerer, flags, flags) ? bundle.sharedDescription(remote) : remote.media;
  const bundling = bundle.bundlingOf(answerer, media, remote.group, flags);
  const lines = media.map((own, index): ComposedLine => {
    const line = (dialogue.lines[index] ??= newLine(index));
    return offerLine(exchange, line, own, bundling);
  });
  const left = lines.filter(({ rejected }) => !rejected);
  if (left.length > 0 && left.every(({ codecs }) => codecs?.length === 0))
    throw new SessionError('bad-sdp', 'no codec is left to offer');
  settleAll(parts, session);
  // Whoever offers again does not want it deleted.
  dialogue.deleteAt = undefined;
  const group = lines.flatMap(({ side, mid = '', rejected }) => (side.grouped && !rejected ? [mid] : []));
  return composed(parts, text, lines, answerer, { flags, group, iceLite: flags.iceLite.has('forward') });
}

function offerLine(exchange: Exchange, line: Line, media: RemoteMedia, bundling: bundle.Bundling): ComposedLine {
  const { parts, dialogue, from, flags } = exchange;
  const [offerer, answerer] = parties(dialogue, from);
  const fromSide = line[from];
  const toSide = line[from === 'a' ? 'b' : 'a'];
  fromSide.remote = media;
  fromSide.flags = flags;
  fromSide.codecs = media.codecs;
  fromSide.coding = codingPolicy(flags, media.ptimeMs);
  fromSide.tuning = tuningOf(flags, true);
  const mid = bundling.mids[line.index];
  if (media.rejected || media.carriage === 'other') {
    bundle.closeLine(parts.dataplane, dialogue, line);
    return refused(toSide, mid);
  }
  toSide.grouped = bundling.how !== undefined && media.carriage === 'rtp';
  const sides = bundle.sidesOf(dialogue, answerer);
  bundle.prepare(answerer, toSide, sides, toSide.grouped);
  decideOffered(toSide, fromSide, flags, toSide.grouped && bundling.several);
  const opening = openingOf(exchange, flags, 1, media, fromSide);
  const carried = bundle.rides(answerer, toSide) && toSide.remote !== undefined;
  bundle.openOffered(opening, answerer, toSide, sides, bundling);
  toSide.codecs = media.kind === 'audio' ? offeredCodecs(media.codecs, flags) : media.codecs;
  toSide.offered = toSide.codecs;
  toSide.tuning = tuningOf(flags, false);
  toSide.ptimeMs = flags.ptimeMs ?? media.ptimeMs;
  followCandidates(fromSide);
  // In a re-INVITE the offerer may have moved: it must be heard at once.
  // What passes unopened does so until the answer: opened on one side only, it would leave in the clear.
  // Without a key in common yet, it stays as it was: nothing may leave in the clear meanwhile.
  const passing = line.agreed?.passing ?? false;
  if (passing || !isKeyless(fromSide))
    bundle.configure(offerer, fromSide, line.index === bundling.said, remoteSpec(fromSide, passing));
  return {
    ...passedOn(toSide, media, flags),
    mid,
    // Before the party has said that it understands, a line that shares a transport has no address of its own.
    place: toSide === bundling.lead || !bundle.rides(answerer, toSide) ? 'apart' : carried ? 'shared' : 'bundle-only',
    midExtension: toSide.grouped && bundling.several ? 'offer' : undefined,
    trickle: flags.flags.has('trickle-ICE'),
    coded: media.kind === 'audio' && (fromSide.coding.engaged || fromSide.coding.repacked),
  };
}

const KEYLESS_ANSWER = 'the answer asks for SRTP but carries neither a fingerprint nor a crypto suite that was offered';

/** @returns the SDP for the party that offered. @throws SessionError */
export function answerCall(parts: Negotiating, session: Session, request: SdpRequest, said: Understood): string {
  const { text, remote } = said;
  const { flags } = request;
  const { dialogue, from } = dialogueOfAnswer(session, request);
  if (heed(session, dialogue, from === 'a' ? 'b' : 'a', flags, 'answer')) parts.reconnect(session);
  const [offerer, answerer] = parties(dialogue, from);
  // Two phones may answer one offer: the last has the call.
  const another = answerer.tag !== undefined && request.toTag !== undefined && answerer.tag !== request.toTag;
  if (request.toTag !== undefined) answerer.tag = request.toTag;
  answerer.label = flags.label ?? answerer.label;
  answerer.said = headingOf(text);
  const exchange = { parts, session, dialogue, from, flags };
  const asked = dialogue.lines[0]?.[from].flags;
  const bundles = bundle.bundlesOf(dialogue, from, remote, flags);
  const lines: ComposedLine[] = [];
  for (const index of bundles.order) {
    const media = bundles.media[index] as RemoteMedia;
    const line = dialogue.lines[index];
    // More than was offered: nobody asked for it.
    lines[index] = line ? answerLine(exchange, line, media, another, bundles) : refused(newLine(index).a, undefined);
  }
  settleAll(parts, session);
  const iceLite = flags.iceLite.has('forward') || asked?.iceLite.has('backward') === true;
  const grouped = bundles.ofOfferer.filter((index) => lines[index]?.rejected === false);
  const group = grouped.map((index) => lines[index]?.mid ?? '');
  return composed(parts, text, lines, offerer, { flags, group, iceLite });
}

function answerLine(
  exchange: Exchange,
  line: Line,
  media: RemoteMedia,
  another: boolean,
  bundles: bundle.Bundles,
): ComposedLine {
  const { session, dialogue, from, flags } = exchange;
  const { dataplane } = exchange.parts;
  const [offerer, answerer] = parties(dialogue, from);
  const to = from === 'a' ? 'b' : 'a';
  const offerSide = line[from];
  const answerSide = line[to];
  const offered = offerSide.remote;
  const asked = offerSide.flags ?? flags;
  answerSide.remote = media;
  answerSide.flags = flags;
  if (media.rejected || !answerSide.endpoint || !offered || offered.rejected) {
    bundle.closeLine(dataplane, dialogue, line);
    return refused(offerSide, offered?.mid);
  }
  const lead = bundle.leadOf(dialogue, from, bundles.ofOfferer, line);
  if (lead !== offerSide && lead.remote) offerSide.remote = bundle.withTransport(offered, lead.remote);
  const agreed: Agreement =
    media.kind === 'audio' && media.carriage === 'rtp'
      ? agree(offered.codecs, media.codecs, offerSide.coding, flags)
      : { forOfferer: media.codecs, transcode: undefined };
  const passable = agreed.transcode === undefined && bundle.isApart(dialogue, bundles);
  const pass = passable && passedThrough(offerSide, answerSide) !== undefined;
  if (!pass && isKeyless(answerSide)) throw new SessionError('bad-sdp', KEYLESS_ANSWER);
  const sides = bundle.sidesOf(dialogue, offerer);
  bundle.prepare(offerer, offerSide, sides, bundles.ofOfferer.includes(line.index));
  if (lead === offerSide) decideAnswered(offerSide, answerSide, flags, pass);
  else offerSide.protocol = offered.protocol;
  const opening = openingOf(exchange, asked.direction.length > 0 ? asked : flags, 0, offered, answerSide);
  bundle.openAnswered(opening, offerer, offerSide, lead, sides, bundles);
  bundle.openOn(opening, answerer, answerSide, bundle.leadOf(dialogue, to, bundles.ofAnswerer, line));
  takeRole(answerSide);
  offerSide.codecs = agreed.forOfferer;
  answerSide.codecs = media.codecs;
  offerSide.ptimeMs = asked.ptimeReverseMs ?? offered.ptimeMs ?? media.ptimeMs;
  bundle.configure(offerer, offerSide, lead === offerSide, remoteSpec(offerSide, pass));
  const speaks = line.index === bundles.ofAnswerer[0];
  bundle.configure(answerer, answerSide, speaks, remoteSpec(answerSide, pass, another));
  const { transcode } = agreed;
  const [a, b] = from === 'a' ? [transcode?.offerer, transcode?.answerer] : [transcode?.answerer, transcode?.offerer];
  line.agreed = { from, speech: a && b && { a, b }, passing: pass };
  connectLine(dataplane, session, dialogue, line);
  return {
    ...passedOn(offerSide, media, flags),
    mid: offered.mid,
    place: lead === offerSide ? 'apart' : 'shared',
    midExtension: bundle.answeredExtension(offered, answerSide, bundles),
    trickle: offered.trickle || flags.flags.has('trickle-ICE'),
    coded: transcode !== undefined,
  };
}

function openingOf(
  { parts, session }: Exchange,
  flags: MediaFlags,
  which: 0 | 1,
  media: RemoteMedia,
  { endpoint: other }: Side,
): bundle.Opening {
  const { dataplane, interfaces } = parts;
  const interfaceName = chooseInterface(interfaces, flags, which, media);
  return { dataplane, interfaceName, affinity: session.callId, other };
}

function composed(
  parts: CopyParts,
  text: SdpText,
  lines: readonly ComposedLine[],
  to: Dialogue['a'],
  how: Pick<Composing, 'flags' | 'group' | 'iceLite'>,
): string {
  const { dataplane, loopMark } = parts;
  return tell(to, compose(text, lines, { dataplane, loopMark, ...how }), how.flags);
}
