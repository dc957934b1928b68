import { randomBytes } from 'node:crypto';
import { isSpeech, sameCodec } from '../../codecs/mod.ts';
import { DataplaneError } from '../dataplane/mod.ts';
import { compose, type ComposedLine } from './compose.ts';
import { newHeading, ofOurs, plainText } from './copy-text.ts';
import type { MediaFlags } from './flags.ts';
import { offeredCodecs } from './formats.ts';
import { chooseInterface } from './interfaces.ts';
import { codingFor } from './copy-coding.ts';
import type { CopyParts } from './publications.ts';
import type { RemoteMedia } from './remote-media.ts';
import { translate, understand } from './requests.ts';
import {
  newParty,
  newSide,
  SessionError,
  type Session,
  type Side,
  type SubscribedLine,
  type Subscription,
} from './session.ts';
import { tell } from './tell.ts';
import { decideOffered, isSecure, openSide, remoteSpec, takeRole } from './transport.ts';
import { markEndpoints } from './wishes.ts';

export interface SubscribeRequest {
  /** Of the parties whose media it is, in the order in which they are offered. */
  readonly tags: readonly string[];
  /** Of the subscriber; one is made when it has none. One that is there gets another offer. */
  readonly toTag: string | undefined;
  readonly label: string | undefined;
  /** Logical interface towards the subscriber. */
  readonly interfaceName: string | undefined;
  readonly flags: MediaFlags;
}

/** One line of an offer to a subscriber, and whose media it is. */
export interface OfferedCopy {
  readonly tag: string;
  /** The party's own label. */
  readonly partyLabel: string | undefined;
  /** Of the party's media line, from 0. */
  readonly index: number;
  readonly kind: string;
  /** Of this line: unique in the call (RFC 4574). */
  readonly label: string;
  /** As the party has it. */
  readonly direction: RemoteMedia['direction'];
}

export interface Subscribed {
  readonly sdp: string;
  readonly toTag: string;
  readonly copies: readonly OfferedCopy[];
}

export const MAX_SUBSCRIPTIONS = 32;
const MAX_LINES = 32;

/** A `sendonly` offer of what the parties send. @throws SessionError; nobody new has subscribed then. */
export function subscribe(parts: CopyParts, session: Session, request: SubscribeRequest): Subscribed {
  const { dataplane, interfaces, loopMark } = parts;
  const flags = offering(request);
  const toTag = request.toTag ?? randomBytes(32).toString('hex');
  const sources = request.tags.flatMap((tag) => sourcesOf(session, tag));
  if (sources.length === 0 || sources.length > MAX_LINES || isParty(session, toTag))
    throw new SessionError('bad-request', 'Failed to request subscription');
  const known = session.subscriptions.get(toTag);
  if (!known && session.subscriptions.size >= MAX_SUBSCRIPTIONS)
    throw new SessionError('full', `more than ${MAX_SUBSCRIPTIONS} subscriptions in one call`);
  const subscription = known ?? { party: newParty(toTag), heading: newHeading(), lines: [] };
  subscription.party.label = request.label ?? subscription.party.label;
  try {
    const lines = sources.map((source, index): ComposedLine => {
      const line = lineFor(subscription, index, source);
      return offerLine(parts, session, line, source, flags, chosen(request, source, interfaces));
    });
    while (subscription.lines.length > sources.length) closeSide(subscription.lines.pop()?.side);
    session.subscriptions.set(toTag, subscription);
    markEndpoints(session);
    // One party is told as it has told itself; several have no text in common.
    const said = request.tags.length === 1 ? sources[0]?.said : undefined;
    const media = sources.map(({ copy }) => ({
      kind: copy.kind,
      attributes: flags.flags.has('SIPREC') ? [`label:${copy.label}`] : [],
    }));
    const text = plainText(said ?? subscription.heading, media, said !== undefined);
    const how = {
      ...{ dataplane, loopMark, group: [], iceLite: flags.iceLite.has('forward') },
      flags: said ? { ...ofOurs(flags), replace: flags.replace } : ofOurs(flags),
    };
    const sdp = tell(subscription.party, compose(text, lines, how), how.flags);
    return { sdp, toTag, copies: sources.map(({ copy }) => copy) };
  } catch (error) {
    if (!known) for (const { side } of subscription.lines) closeSide(side);
    throw translate(error);
  }
}

/** The subscriber has said where copies go. @throws SessionError; the subscription is as before then. */
export function answerSubscription(
  { dataplane }: Pick<CopyParts, 'dataplane'>,
  session: Session,
  toTag: string,
  { sdp, flags }: { readonly sdp: string; readonly flags: MediaFlags },
): void {
  const subscription = find(session, toTag);
  const { remote } = understand({ sdp, flags });
  const failed = new SessionError('bad-request', 'Failed to process subscription answer');
  if (subscription.lines.some((line, index) => !acceptable(session, line, remote.media[index], flags))) throw failed;
  try {
    for (const [index, line] of subscription.lines.entries()) {
      const media = remote.media[index];
      line.on = media !== undefined && !media.rejected && /^(sendrecv|recvonly)$/.test(media.direction);
      if (!media || media.rejected) continue;
      line.side.remote = media;
      line.side.flags = flags;
      takeRole(line.side);
      line.side.endpoint?.configure(remoteSpec(line.side));
    }
    connect(dataplane, session, subscription);
  } catch (error) {
    failed.cause = error;
    throw failed;
  }
}

/** @throws SessionError */
export function unsubscribe(session: Session, toTag: string): void {
  const subscription = find(session, toTag);
  session.subscriptions.delete(toTag);
  for (const { side } of subscription.lines) closeSide(side);
}

/** After an offer or answer of the call: parties may have other endpoints, or have come. */
export function reconnectSubscriptions(parts: Pick<CopyParts, 'dataplane'>, session: Session): void {
  for (const subscription of session.subscriptions.values()) {
    try {
      connect(parts.dataplane, session, subscription);
    } catch (error) {
      // The call comes first; this subscriber is one too many for the new endpoint.
      if (!(error instanceof DataplaneError)) throw error;
    }
  }
}

/** With the call. */
export function closeSubscriptions(session: Session): void {
  for (const { lines } of session.subscriptions.values()) for (const { side } of lines) closeSide(side);
  session.subscriptions.clear();
}

function find(session: Session, toTag: string): Subscription {
  const subscription = session.subscriptions.get(toTag);
  if (!subscription) throw new SessionError('bad-request', 'To-tag not found');
  return subscription;
}

function isParty(session: Session, tag: string): boolean {
  return session.dialogues.some(({ a, b }) => a.tag === tag || b.tag === tag);
}

interface Source {
  readonly side: Side;
  readonly remote: RemoteMedia;
  readonly said: Subscription['heading'] | undefined;
  readonly copy: OfferedCopy;
}

/** The media lines of a party that can be copied; of several branches those of the one that was answered. */
function sourcesOf(session: Session, tag: string): Source[] {
  const branches = session.dialogues.flatMap((dialogue) =>
    (['a', 'b'] as const).filter((which) => dialogue[which].tag === tag).map((which) => ({ dialogue, which })),
  );
  const answered = branches.filter(({ dialogue }) => dialogue.published || dialogue.b.tag !== undefined);
  const branch = answered.at(-1) ?? branches.at(-1);
  if (!branch) return [];
  const { dialogue, which } = branch;
  const { label: partyLabel, said } = dialogue[which];
  return dialogue.lines.flatMap((line): Source[] => {
    const side = line[which];
    const { remote } = side;
    if (!remote || remote.rejected || remote.carriage !== 'rtp') return [];
    const label = String(dialogue.serial * 64 + line.index * 2 + (which === 'a' ? 1 : 0));
    const { kind, direction } = remote;
    return [{ side, remote, said, copy: { tag, partyLabel, index: line.index, kind, label, direction } }];
  });
}

/** No candidates pass. */
function offering({ flags }: SubscribeRequest): MediaFlags {
  const ice = flags.ice === 'optional' || flags.ice === 'force-relay' ? 'force' : flags.ice;
  return { ...flags, ice };
}

function chosen(request: SubscribeRequest, { remote }: Source, interfaces: readonly string[]): string {
  const { flags, interfaceName } = request;
  const direction = interfaceName === undefined ? flags.direction : ['', interfaceName];
  return chooseInterface(interfaces, { direction, addressFamily: flags.addressFamily }, 1, remote);
}

/** The line of that number, whatever it was for before. */
function lineFor(subscription: Subscription, at: number, { copy: { tag, index } }: Source): SubscribedLine {
  const line = subscription.lines[at];
  if (!line) return (subscription.lines[at] = { side: newSide(), tag, index, on: false, coded: false });
  if (line.tag === tag && line.index === index) return line;
  // With the endpoint ends what ends there.
  closeSide(line.side);
  return Object.assign(line, { tag, index, on: false, coded: false });
}

function offerLine(
  { dataplane }: CopyParts,
  session: Session,
  { side, index }: SubscribedLine,
  source: Source,
  flags: MediaFlags,
  interfaceName: string,
): ComposedLine {
  // Keys are never the party's: it is heard in the clear.
  const remote = { ...source.remote, sdes: [] };
  decideOffered(side, { ...newSide(), remote }, flags);
  openSide(dataplane, side, interfaceName, session.callId);
  side.codecs = source.copy.kind === 'audio' ? offeredCodecs(source.side.codecs, flags) : source.side.codecs;
  side.offered = side.codecs;
  return {
    ...{ side, codecs: side.codecs, rejected: false, nowhere: false, direction: 'sendonly' },
    ...({ place: 'apart', midExtension: undefined } as const),
    mid: flags.flags.has('generate-mid') ? String(index + 1) : undefined,
    ptimeMs: source.remote.ptimeMs,
    trickle: flags.flags.has('trickle-ICE'),
    coded: false,
  };
}

/**
 * Whether the subscriber can get what is sent: it takes all formats of the offer or, with `allow-transcoding`, one of them,
 * or one into which what is sent can be coded. What is to be encrypted needs a key.
 */
function acceptable(
  session: Session,
  line: SubscribedLine,
  media: RemoteMedia | undefined,
  flags: MediaFlags,
): boolean {
  const { side } = line;
  if (!media || media.rejected) return true;
  if (media.carriage !== 'rtp') return false;
  const keyed =
    (side.dtls && media.fingerprints.length > 0) ||
    media.sdes.some(({ tag, key }) => side.sdes.some((own) => own.tag === tag && own.key.suite === key.suite));
  if ((isSecure(side.protocol) || isSecure(media.protocol)) && !keyed) return false;
  const taken = side.codecs.filter((codec) => media.codecs.some((other) => sameCodec(other, codec)));
  if (!flags.flags.has('allow-transcoding')) return taken.length === side.codecs.length;
  return taken.some(isSpeech) || sidesOf(session, line).some((source) => codingFor(source, media) !== undefined);
}

/** From every endpoint at which the party may be heard: forking gives it several. */
function connect(dataplane: CopyParts['dataplane'], session: Session, { lines }: Subscription): void {
  for (const line of lines) {
    const { endpoint, remote, flags } = line.side;
    if (!endpoint) continue;
    line.coded = false;
    for (const source of sidesOf(session, line)) {
      if (!source.endpoint) continue;
      const coding = flags?.flags.has('allow-transcoding') === true ? codingFor(source, remote) : undefined;
      dataplane.tap(source.endpoint, endpoint, line.on, line.on ? coding : undefined);
      line.coded ||= line.on && coding !== undefined;
    }
  }
}

/** The ends of the party whose media it is, in all its branches. */
function sidesOf(session: Session, { tag, index }: SubscribedLine): Side[] {
  return session.dialogues.flatMap((dialogue) =>
    (['a', 'b'] as const).flatMap((which) =>
      dialogue[which].tag === tag ? (dialogue.lines[index]?.[which] ?? []) : [],
    ),
  );
}

function closeSide(side: Side | undefined): void {
  side?.endpoint?.close();
  if (!side) return;
  side.endpoint = undefined;
  side.opened = undefined;
}
