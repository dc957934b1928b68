import type { Dataplane } from '../dataplane/mod.ts';
import * as bundle from './bundle.ts';
import { compose, passedOn, refused, type ComposedLine, type Composing } from './compose.ts';
import { headingOf } from './copy-text.ts';
import { closeDialogue, dialogueOfAnswer, dialogueOfOffer, matching, parties } from './dialogues.ts';
import type { MediaFlags } from './flags.ts';
import { openGates, type Gates } from './gates.ts';
import { chooseInterface } from './interfaces.ts';
import { agree, codingPolicy, offeredCodecs, tuningOf, type Agreement } from './formats.ts';
import { connectLine } from './paths.ts';
import { alphanumeric } from './random.ts';
import { publish, type CopyParts } from './publications.ts';
import type { RemoteMedia, RemoteSdp } from './remote-media.ts';
import { translate, understand, type SdpRequest } from './requests.ts';
import type { SdpText } from './sdp-text.ts';
import { newLine, SessionError, type Dialogue, type Line, type Session, type Side } from './session.ts';
import { isDead, whySilent, type Ending } from './silence.ts';
import { closeSubscriptions, reconnectSubscriptions } from './subscriptions.ts';
import { tell } from './tell.ts';
import { decideAnswered, decideOffered, passedThrough, remoteSpec, takeRole } from './transport.ts';

export interface ManagerOptions {
  readonly dataplane: Dataplane;
  /**
   * Names of the packet path's interfaces; the first is the default. `name` is of IPv4, `name/IP6` the same logical
   * interface of IPv6.
   */
  readonly interfaces: readonly string[];
  readonly maxSessions: number;
  readonly timeoutSeconds: number;
}

/** All calls of this node. Offer and answer (RFC 3264) decide; the packet path carries it out. */
export class SessionManager {
  readonly #options: ManagerOptions;
  readonly #sessions = new Map<string, Session>();
  /** A body that carries it has been here. */
  readonly #loopMark = Buffer.from(alphanumeric(6)).toString('hex');
  /** No new calls; those that run go on. */
  draining = false;

  constructor(options: ManagerOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** What subscriptions work with. */
  get copying(): CopyParts {
    const { dataplane, interfaces } = this.#options;
    return { dataplane, interfaces, loopMark: this.#loopMark };
  }

  get(callId: string): Session | undefined {
    return this.#sessions.get(callId);
  }

  all(): readonly Session[] {
    return [...this.#sessions.values()];
  }

  /** @returns the SDP for the other party. @throws SessionError */
  offer(request: SdpRequest, now: number): string {
    if (this.#looped(request)) return request.sdp;
    const { text, remote } = understand(request);
    const session = this.#sessions.get(request.callId) ?? this.#open(request.callId, now);
    session.lastSignalAt = now;
    // Whoever offers again does not want it deleted.
    for (const dialogue of session.dialogues) dialogue.deleteAt = undefined;
    const before = session.dialogues.length;
    try {
      const sdp = this.#offer(session, request, text, remote);
      this.#changed(session);
      return sdp;
    } catch (error) {
      // A branch that could not be offered leaves nothing; a call without any other is gone.
      for (const dialogue of session.dialogues.splice(before)) closeDialogue(dialogue);
      if (before === 0) this.#end(session);
      this.#settle(session);
      throw translate(error);
    }
  }

  /** @returns the SDP for the party that offered. @throws SessionError */
  answer(request: SdpRequest, now: number): string {
    if (this.#looped(request)) return request.sdp;
    const { text, remote } = understand(request);
    const session = this.#sessions.get(request.callId);
    if (!session) throw new SessionError('unknown-call', 'Unknown call-id');
    session.lastSignalAt = now;
    try {
      const sdp = this.#answer(session, request, text, remote);
      this.#changed(session);
      return sdp;
    } catch (error) {
      this.#settle(session);
      throw translate(error);
    }
  }

  /** A party that is only heard, of this call or of one of its own. @returns our answer. @throws SessionError */
  publish(request: SdpRequest, now: number): string {
    const session = this.#sessions.get(request.callId) ?? this.#open(request.callId, now);
    session.lastSignalAt = now;
    try {
      const sdp = publish(this.copying, session, request);
      this.#changed(session);
      return sdp;
    } catch (error) {
      if (session.dialogues.length === 0) this.#end(session);
      throw translate(error);
    }
  }

  /**
   * @returns what was deleted, with its endpoints still open for their last figures; {@link release} closes them.
   * `undefined` when the call, the tags or the branch are not known. `at`, epoch ms: media goes on until then, and
   * {@link sweep} releases it.
   */
  remove(callId: string, which: Parameters<typeof matching>[1], at?: number): Session | undefined {
    const session = this.#sessions.get(callId);
    const dialogues = session && matching(session, which);
    if (!session || !dialogues || dialogues.length === 0) return undefined;
    const removed: Session = { ...session, dialogues };
    if (at !== undefined) for (const dialogue of dialogues) dialogue.deleteAt = at;
    else this.#forget(session, dialogues);
    return removed;
  }

  /** Holds back what parties, or the session's all, send, or opens it again. It stays over re-INVITEs. */
  gate(session: Session, whose: readonly { readonly gates: Gates }[], change: Partial<Gates>): void {
    for (const { gates } of whose) Object.assign(gates, change);
    this.#reconnect(session);
  }

  /** From now on something can be put into what these sides are sent, where it can be coded. */
  insertable(session: Session, sides: readonly Side[]): void {
    const fresh = sides.filter((side) => !side.insertable);
    for (const side of fresh) side.insertable = true;
    if (fresh.length > 0) this.#reconnect(session);
  }

  /** Closes every endpoint of the dialogues. */
  release(session: Session): void {
    for (const dialogue of session.dialogues) closeDialogue(dialogue);
  }

  /**
   * Ends what was deleted for about now, and calls on which nothing has been heard from anybody for the time-out: those
   * are returned, for the log. `ending` is told of each while its endpoints still have their last figures; the manager
   * does not know it any more then. A node that drains does not wait for what was deleted.
   */
  sweep(now: number, ending?: (session: Session, why: Ending) => void): readonly Session[] {
    for (const session of this.all()) {
      const due = session.dialogues.filter(
        ({ deleteAt }) => deleteAt !== undefined && (this.draining || deleteAt <= now),
      );
      if (due.length === 0) continue;
      this.#forget(session, due);
      const deleted: Session = { ...session, dialogues: due };
      ending?.(deleted, 'deleted');
      this.release(deleted);
    }
    const { dataplane, timeoutSeconds } = this.#options;
    const idle = new Set(dataplane.idleEndpoints(timeoutSeconds * 1000));
    if (idle.size === 0) return [];
    const dead = this.all().filter((session) => isDead(session, idle, now, timeoutSeconds * 1000));
    for (const session of dead) {
      this.#sessions.delete(session.callId);
      ending?.(session, whySilent(session));
      this.#end(session);
    }
    return dead;
  }

  close(): void {
    for (const session of this.all()) this.#end(session);
  }

  #reconnect(session: Session): void {
    for (const dialogue of session.dialogues)
      for (const line of dialogue.lines) connectLine(this.#options.dataplane, session, dialogue, line);
  }

  #open(callId: string, now: number): Session {
    if (this.draining) throw new SessionError('draining', 'This node is draining');
    if (this.#sessions.size >= this.#options.maxSessions)
      throw new SessionError('full', 'Parallel session limit reached');
    const times = { createdAt: now, lastSignalAt: now };
    const beside = { gates: openGates(), subscriptions: new Map(), attached: new Set<never>() };
    const session: Session = { callId, ...times, ...beside, dialogues: [] };
    this.#sessions.set(callId, session);
    return session;
  }

  #end(session: Session): void {
    this.#over(session);
    this.release(session);
    session.dialogues.length = 0;
    this.#sessions.delete(session.callId);
  }

  #forget(session: Session, dialogues: readonly Dialogue[]): void {
    for (const dialogue of dialogues) session.dialogues.splice(session.dialogues.indexOf(dialogue), 1);
    if (session.dialogues.length > 0) return;
    this.#sessions.delete(session.callId);
    this.#over(session);
  }

  #settle({ dialogues }: Session): void {
    for (const dialogue of dialogues) bundle.settleBundles(this.#options.dataplane, dialogue);
  }

  #changed(session: Session): void {
    reconnectSubscriptions(this.#options, session);
    for (const attachment of session.attached) attachment.changed();
  }

  /** The endpoints of its dialogues may still stand, for their last figures. */
  #over(session: Session): void {
    closeSubscriptions(session);
    for (const attachment of session.attached) attachment.ended();
    session.attached.clear();
  }

  #looped(request: SdpRequest): boolean {
    return request.flags.flags.has('loop-protect') && request.sdp.includes(`a=rtpengine:${this.#loopMark}`);
  }

  #offer(session: Session, request: SdpRequest, text: SdpText, remote: RemoteSdp): string {
    const { flags } = request;
    const { dialogue, from } = dialogueOfOffer(session, request);
    const [offerer, answerer] = parties(dialogue, from);
    offerer.tag = request.fromTag;
    offerer.label = flags.label ?? offerer.label;
    offerer.group = remote.group;
    offerer.said = headingOf(text);
    const media = bundle.takesGroup(offerer, flags, flags) ? bundle.sharedDescription(remote) : remote.media;
    const bundling = bundle.bundlingOf(answerer, media, remote.group, flags);
    const lines = media.map((own, index): ComposedLine => {
      const line = (dialogue.lines[index] ??= newLine(index));
      return this.#offerLine(session, dialogue, line, from, own, flags, bundling);
    });
    const left = lines.filter(({ rejected }) => !rejected);
    if (left.length > 0 && left.every(({ codecs }) => codecs?.length === 0))
      throw new SessionError('bad-sdp', 'no codec is left to offer');
    this.#settle(session);
    const group = lines.flatMap(({ side, mid = '', rejected }) => (side.grouped && !rejected ? [mid] : []));
    return this.#compose(text, lines, answerer, { flags, group, iceLite: flags.iceLite.has('forward') });
  }

  #offerLine(
    session: Session,
    dialogue: Dialogue,
    line: Line,
    from: 'a' | 'b',
    media: RemoteMedia,
    flags: MediaFlags,
    bundling: bundle.Bundling,
  ): ComposedLine {
    const { dataplane } = this.#options;
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
      bundle.closeLine(dataplane, dialogue, line);
      return refused(toSide, mid);
    }
    toSide.grouped = bundling.how !== undefined && media.carriage === 'rtp';
    const sides = bundle.sidesOf(dialogue, answerer);
    bundle.prepare(answerer, toSide, sides, toSide.grouped);
    decideOffered(toSide, fromSide, flags, toSide.grouped && bundling.several);
    const opening = this.#opening(session, flags, 1, media);
    const carried = bundle.rides(answerer, toSide) && toSide.remote !== undefined;
    bundle.openOffered(opening, answerer, toSide, sides, bundling);
    toSide.codecs = media.kind === 'audio' ? offeredCodecs(media.codecs, flags) : media.codecs;
    toSide.offered = toSide.codecs;
    toSide.tuning = tuningOf(flags, false);
    toSide.ptimeMs = flags.ptimeMs ?? media.ptimeMs;
    // In a re-INVITE the offerer may have moved: it must be heard at once.
    // What passes unopened does so until the answer: opened on one side only, it would leave in the clear.
    bundle.configure(offerer, fromSide, line.index === bundling.said, remoteSpec(fromSide, line.agreed?.passing));
    return {
      ...passedOn(toSide, media, flags),
      mid,
      // Before the party has said that it understands, a line that shares a transport has no address of its own.
      place: toSide === bundling.lead || !bundle.rides(answerer, toSide) ? 'apart' : carried ? 'shared' : 'bundle-only',
      midExtension: toSide.grouped && bundling.several ? 'offer' : undefined,
      trickle: flags.flags.has('trickle-ICE'),
    };
  }

  #answer(session: Session, request: SdpRequest, text: SdpText, remote: RemoteSdp): string {
    const { flags } = request;
    const { dialogue, from } = dialogueOfAnswer(session, request);
    const [offerer, answerer] = parties(dialogue, from);
    // Two phones may answer one offer: the last has the call.
    const another = answerer.tag !== undefined && request.toTag !== undefined && answerer.tag !== request.toTag;
    if (request.toTag !== undefined) answerer.tag = request.toTag;
    answerer.label = flags.label ?? answerer.label;
    answerer.said = headingOf(text);
    const asked = dialogue.lines[0]?.[from].flags;
    const bundles = bundle.bundlesOf(dialogue, from, remote, flags);
    const lines: ComposedLine[] = [];
    for (const index of bundles.order) {
      const media = bundles.media[index] as RemoteMedia;
      const line = dialogue.lines[index];
      // More than was offered: nobody asked for it.
      lines[index] = line
        ? this.#answerLine(session, dialogue, line, from, media, flags, another, bundles)
        : refused(newLine(index).a, undefined);
    }
    this.#settle(session);
    const iceLite = flags.iceLite.has('forward') || asked?.iceLite.has('backward') === true;
    const grouped = bundles.ofOfferer.filter((index) => lines[index]?.rejected === false);
    const group = grouped.map((index) => lines[index]?.mid ?? '');
    return this.#compose(text, lines, offerer, { flags, group, iceLite });
  }

  #answerLine(
    session: Session,
    dialogue: Dialogue,
    line: Line,
    from: 'a' | 'b',
    media: RemoteMedia,
    flags: MediaFlags,
    another: boolean,
    bundles: bundle.Bundles,
  ): ComposedLine {
    const { dataplane } = this.#options;
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
    const sides = bundle.sidesOf(dialogue, offerer);
    bundle.prepare(offerer, offerSide, sides, bundles.ofOfferer.includes(line.index));
    if (lead === offerSide) decideAnswered(offerSide, answerSide, flags, pass);
    else offerSide.protocol = offered.protocol;
    const opening = this.#opening(session, asked.direction.length > 0 ? asked : flags, 0, offered);
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
    };
  }

  #opening(session: Session, flags: MediaFlags, which: 0 | 1, media: RemoteMedia): bundle.Opening {
    const { dataplane, interfaces } = this.#options;
    return { dataplane, interfaceName: chooseInterface(interfaces, flags, which, media), affinity: session.callId };
  }

  #compose(
    text: SdpText,
    lines: readonly ComposedLine[],
    to: Dialogue['a'],
    how: Pick<Composing, 'flags' | 'group' | 'iceLite'>,
  ): string {
    const parts = { dataplane: this.#options.dataplane, loopMark: this.#loopMark, ...how };
    return tell(to, compose(text, lines, parts), how.flags);
  }
}
