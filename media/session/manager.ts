import { compose, refused, type ComposedLine, type Composing } from './compose.ts';
import { headingOf } from './copy-text.ts';
import { connectParties } from './connections.ts';
import { closeLines, dialogueOfAnswer, dialogueOfOffer, matching, parties } from './dialogues.ts';
import type { Dialect } from './dialect.ts';
import type { MediaFlags } from './flags.ts';
import type { Gates } from './gates.ts';
import type { ManagerOptions } from './options.ts';
import { chooseInterface } from './interfaces.ts';
import { agree, codingPolicy, offeredCodecs, type Agreement } from './formats.ts';
import { connectLine } from './paths.ts';
import { alphanumeric } from './random.ts';
import { publish, type CopyParts } from './publications.ts';
import type { RemoteMedia, RemoteSdp } from './remote-media.ts';
import { translate, understand, type SdpRequest } from './requests.ts';
import type { SdpText } from './sdp-text.ts';
import { newLine, newSession, SessionError, type Dialogue, type Line, type Session, type Side } from './session.ts';
import { isDead, whySilent, type Ending } from './silence.ts';
import { closeSubscriptions, reconnectSubscriptions } from './subscriptions.ts';
import { tell } from './tell.ts';
import { transform, type TransformRequest } from './transformations.ts';
import { heed, markEndpoints } from './wishes.ts';
import { decideAnswered, decideOffered, openSide, passedThrough, remoteSpec, takeRole } from './transport.ts';

/** All calls of this node. Offer and answer (RFC 3264) decide; the packet path carries it out. */
export class SessionManager {
  readonly #options: ManagerOptions;
  /** By call-id, and by those of calls that were merged into them. */
  readonly #sessions = new Map<string, Session>();
  #aliases = 0;
  /** A body that carries it has been here. */
  readonly #loopMark = Buffer.from(alphanumeric(6)).toString('hex');
  /** No new calls; those that run go on. */
  draining = false;

  constructor(options: ManagerOptions) {
    this.#options = options;
  }

  get dialect(): Dialect {
    return this.#options.dialect ?? '10.5';
  }

  get size(): number {
    return this.#sessions.size - this.#aliases;
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
    return this.#aliases === 0 ? [...this.#sessions.values()] : [...new Set(this.#sessions.values())];
  }

  /** Of calls that have become one, all names. */
  callIds(): Iterable<string> {
    return this.#sessions.keys();
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
      for (const { lines } of session.dialogues.splice(before)) closeLines(lines);
      if (before === 0) this.#end(session);
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
      throw translate(error);
    }
  }

  /** A party that is only heard, of this call or of one of its own. @returns our answer. @throws SessionError */
  publish(request: SdpRequest, now: number): string {
    return this.#within(request.callId, now, (session) => publish(this.copying, session, request));
  }

  /** Streams that are only coded, of this call or of one of their own. @throws SessionError */
  transform(request: TransformRequest, now: number): ReturnType<typeof transform> {
    return this.#within(request.callId, now, (session) => transform(this.copying, session, request));
  }

  /** A call that has nothing then is gone. */
  #within<T>(callId: string, now: number, work: (session: Session) => T): T {
    const session = this.#sessions.get(callId) ?? this.#open(callId, now);
    session.lastSignalAt = now;
    try {
      const result = work(session);
      this.#changed(session);
      return result;
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

  /** Two parties, of one call or of two, which are one from then on. @throws SessionError; nothing has changed then. */
  connect(session: Session, other: Session, tags: readonly [string, string], now: number): void {
    try {
      connectParties(this.#options.dataplane, session, other, tags);
    } catch (error) {
      throw translate(error);
    }
    for (const callId of session === other ? [] : [other.callId, ...other.aliases]) this.#sessions.set(callId, session);
    this.#aliases += session === other ? 0 : 1;
    session.lastSignalAt = now;
    this.#changed(session);
  }

  /** Closes every endpoint of the dialogues. */
  release(session: Session): void {
    for (const dialogue of session.dialogues) closeLines(dialogue.lines);
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
    const dead = this.all().filter((session) =>
      isDead(session, idle, (now - session.lastSignalAt) / 1000 / timeoutSeconds),
    );
    for (const session of dead) {
      this.#unlist(session);
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
    if (this.size >= this.#options.maxSessions) throw new SessionError('full', 'Parallel session limit reached');
    const session = newSession(callId, now);
    this.#sessions.set(callId, session);
    return session;
  }

  #end(session: Session): void {
    this.#over(session);
    this.release(session);
    session.dialogues.length = 0;
    this.#unlist(session);
  }

  #unlist({ callId, aliases }: Session): void {
    if (!this.#sessions.delete(callId)) return;
    for (const alias of aliases) this.#sessions.delete(alias);
    this.#aliases -= aliases.length;
  }

  #forget(session: Session, dialogues: readonly Dialogue[]): void {
    for (const dialogue of dialogues) session.dialogues.splice(session.dialogues.indexOf(dialogue), 1);
    if (session.dialogues.length > 0) return;
    this.#unlist(session);
    this.#over(session);
  }

  #changed(session: Session): void {
    markEndpoints(session);
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
    if (heed(session, dialogue, from, flags, 'offer')) this.#reconnect(session);
    const [offerer, answerer] = parties(dialogue, from);
    offerer.tag = request.fromTag;
    offerer.label = flags.label ?? offerer.label;
    offerer.bundled = remote.bundled;
    offerer.said = headingOf(text);
    const lines = remote.media.map((media, index): ComposedLine => {
      const line = (dialogue.lines[index] ??= newLine(index));
      return this.#offerLine(session, line, from, media, flags);
    });
    const left = lines.filter(({ rejected }) => !rejected);
    if (left.length > 0 && left.every(({ codecs }) => codecs?.length === 0))
      throw new SessionError('bad-sdp', 'no codec is left to offer');
    const bundle = flags.bundle.has('offer') || flags.bundle.has('require');
    return this.#compose(text, lines, answerer, { flags, bundle, iceLite: flags.iceLite.has('forward') });
  }

  #offerLine(session: Session, line: Line, from: 'a' | 'b', media: RemoteMedia, flags: MediaFlags): ComposedLine {
    const { dataplane, interfaces } = this.#options;
    const fromSide = line[from];
    const toSide = line[from === 'a' ? 'b' : 'a'];
    fromSide.remote = media;
    fromSide.flags = flags;
    fromSide.codecs = media.codecs;
    fromSide.coding = codingPolicy(flags, media.ptimeMs);
    const mid = media.mid ?? (flags.flags.has('generate-mid') ? String(line.index + 1) : undefined);
    if (media.rejected || media.carriage === 'other') {
      closeLines([line]);
      return refused(toSide, mid);
    }
    decideOffered(toSide, fromSide, flags);
    openSide(dataplane, toSide, chooseInterface(interfaces, flags, 1, media), session.callId);
    toSide.codecs = media.kind === 'audio' ? offeredCodecs(media.codecs, flags) : media.codecs;
    toSide.offered = toSide.codecs;
    toSide.ptimeMs = flags.ptimeMs ?? media.ptimeMs;
    // In a re-INVITE the offerer may have moved: it must be heard at once.
    // What passes unopened does so until the answer: opened on one side only, it would leave in the clear.
    fromSide.endpoint?.configure(remoteSpec(fromSide, line.agreed?.passing));
    return {
      side: toSide,
      codecs: media.carriage === 'rtp' ? toSide.codecs : undefined,
      rejected: false,
      mid,
      ptimeMs: toSide.ptimeMs,
      direction: media.direction,
      nowhere: media.nowhere && media.ice === undefined && !flags.replace.has('zero-address'),
      trickle: flags.flags.has('trickle-ICE'),
    };
  }

  #answer(session: Session, request: SdpRequest, text: SdpText, remote: RemoteSdp): string {
    const { flags } = request;
    const { dialogue, from } = dialogueOfAnswer(session, request);
    if (heed(session, dialogue, from === 'a' ? 'b' : 'a', flags, 'answer')) this.#reconnect(session);
    const [offerer, answerer] = parties(dialogue, from);
    // Two phones may answer one offer: the last has the call.
    const another = answerer.tag !== undefined && request.toTag !== undefined && answerer.tag !== request.toTag;
    if (request.toTag !== undefined) answerer.tag = request.toTag;
    answerer.label = flags.label ?? answerer.label;
    answerer.said = headingOf(text);
    const lines = remote.media.map((media, index): ComposedLine => {
      const line = dialogue.lines[index];
      // More than was offered: nobody asked for it.
      if (!line) return refused(newLine(index).a, undefined);
      return this.#answerLine(session, dialogue, line, from, media, flags, another);
    });
    const asked = dialogue.lines[0]?.[from].flags;
    const iceLite = flags.iceLite.has('forward') || asked?.iceLite.has('backward') === true;
    const bundle = offerer.bundled && (flags.bundle.has('accept') || asked?.bundle.has('accept') === true);
    return this.#compose(text, lines, offerer, { flags, bundle, iceLite });
  }

  #answerLine(
    session: Session,
    dialogue: Dialogue,
    line: Line,
    from: 'a' | 'b',
    media: RemoteMedia,
    flags: MediaFlags,
    another: boolean,
  ): ComposedLine {
    const { dataplane, interfaces } = this.#options;
    const offerSide = line[from];
    const answerSide = line[from === 'a' ? 'b' : 'a'];
    const offered = offerSide.remote;
    const asked = offerSide.flags ?? flags;
    answerSide.remote = media;
    answerSide.flags = flags;
    if (media.rejected || !answerSide.endpoint || !offered || offered.rejected) {
      closeLines([line]);
      return refused(offerSide, offered?.mid);
    }
    const agreed: Agreement =
      media.kind === 'audio' && media.carriage === 'rtp'
        ? agree(offered.codecs, media.codecs, offerSide.coding, flags)
        : { forOfferer: media.codecs, transcode: undefined };
    const pass = agreed.transcode === undefined && passedThrough(offerSide, answerSide) !== undefined;
    decideAnswered(offerSide, answerSide, flags, pass);
    openSide(
      dataplane,
      offerSide,
      chooseInterface(interfaces, asked.direction.length > 0 ? asked : flags, 0, offered),
      session.callId,
    );
    takeRole(answerSide);
    offerSide.codecs = agreed.forOfferer;
    answerSide.codecs = media.codecs;
    offerSide.ptimeMs = asked.ptimeReverseMs ?? offered.ptimeMs ?? media.ptimeMs;
    offerSide.endpoint?.configure(remoteSpec(offerSide, pass));
    answerSide.endpoint.configure(remoteSpec(answerSide, pass, another));
    const { transcode } = agreed;
    const [a, b] = from === 'a' ? [transcode?.offerer, transcode?.answerer] : [transcode?.answerer, transcode?.offerer];
    line.agreed = { from, speech: a && b && { a, b }, passing: pass };
    connectLine(dataplane, session, dialogue, line);
    return {
      side: offerSide,
      codecs: media.carriage === 'rtp' ? agreed.forOfferer : undefined,
      rejected: false,
      mid: offered.mid,
      ptimeMs: offerSide.ptimeMs,
      direction: media.direction,
      nowhere: media.nowhere && media.ice === undefined && !flags.replace.has('zero-address'),
      trickle: offered.trickle || flags.flags.has('trickle-ICE'),
    };
  }

  #compose(
    text: SdpText,
    lines: readonly ComposedLine[],
    to: Dialogue['a'],
    how: Pick<Composing, 'flags' | 'bundle' | 'iceLite'>,
  ): string {
    const { dataplane } = this.#options;
    return tell(to, compose(text, lines, { dataplane, loopMark: this.#loopMark, ...how }), how.flags);
  }
}
