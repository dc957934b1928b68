import type { Dataplane } from '../dataplane/mod.ts';
import { compose, type ComposedLine, type Composing } from './compose.ts';
import { headingOf } from './copy-text.ts';
import { closeLines, dialogueOfAnswer, dialogueOfOffer, matching, parties } from './dialogues.ts';
import type { MediaFlags } from './flags.ts';
import { openGates, type Gates } from './gates.ts';
import { chooseInterface } from './interfaces.ts';
import { agree, codingPolicy, offeredCodecs, type Agreement } from './formats.ts';
import { connectLine } from './paths.ts';
import { alphanumeric } from './random.ts';
import { publish, type CopyParts } from './publications.ts';
import type { RemoteMedia, RemoteSdp } from './remote-media.ts';
import { translate, understand, type SdpRequest } from './requests.ts';
import type { SdpText } from './sdp-text.ts';
import { newLine, SessionError, type Dialogue, type Line, type Session, type Side } from './session.ts';
import { PATIENCE, whySilent, type Ending } from './silence.ts';
import { closeSubscriptions, reconnectSubscriptions } from './subscriptions.ts';
import { tell } from './tell.ts';
import { Trickle } from './trickle.ts';
import {
  decideAnswered,
  decideOffered,
  followCandidates,
  openSide,
  passedThrough,
  remoteSpec,
  takeRole,
} from './transport.ts';

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
  readonly #trickle = new Trickle((callId) => this.#sessions.has(callId));
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

  /** Fragments of ICE whose party has not spoken yet. */
  get fragmentsWaiting(): number {
    return this.#trickle.waiting;
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

  /** Candidates of a party that trickle in. @throws SessionError */
  fragment({ callId, fromTag, sdp }: Pick<SdpRequest, 'callId' | 'fromTag' | 'sdp'>, now: number): void {
    this.#trickle.fragment(callId, fromTag, sdp, this.#sessions.get(callId), now);
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
    for (const dialogue of session.dialogues) closeLines(dialogue.lines);
  }

  /**
   * Ends what was deleted for about now, and calls on which nothing has been heard from anybody for the time-out: those
   * are returned, for the log. `ending` is told of each while its endpoints still have their last figures; the manager
   * does not know it any more then. A node that drains does not wait for what was deleted.
   */
  sweep(now: number, ending?: (session: Session, why: Ending) => void): readonly Session[] {
    this.#trickle.sweep(now);
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
    const dead = this.all().filter((session) => {
      const sides = session.dialogues.flatMap(({ lines }) => lines.flatMap(({ a, b }) => [a, b]));
      const open = sides.filter((side) => side.endpoint !== undefined);
      if (open.length === 0) return now - session.lastSignalAt > timeoutSeconds * 1000;
      if (!open.every((side) => idle.has(side.endpoint?.id ?? -1))) return false;
      // Counted from the last signal too: a call that comes back from hold has been silent for long.
      const patience = whySilent(session) === 'timeout' ? 1 : PATIENCE;
      return now - session.lastSignalAt > timeoutSeconds * 1000 * patience;
    });
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

  #changed(session: Session): void {
    reconnectSubscriptions(this.#options, session);
    for (const attachment of session.attached) attachment.changed();
  }

  /** The endpoints of its dialogues may still stand, for their last figures. */
  #over(session: Session): void {
    this.#trickle.forget(session.callId);
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
    offerer.bundled = remote.bundled;
    offerer.said = headingOf(text);
    const spoken = this.#trickle.spoken(session, request.fromTag, remote.media);
    const lines = spoken.map((media, index): ComposedLine => {
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
    followCandidates(fromSide);
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
    const [offerer, answerer] = parties(dialogue, from);
    // Two phones may answer one offer: the last has the call.
    const another = answerer.tag !== undefined && request.toTag !== undefined && answerer.tag !== request.toTag;
    if (request.toTag !== undefined) answerer.tag = request.toTag;
    answerer.label = flags.label ?? answerer.label;
    answerer.said = headingOf(text);
    const spoken = this.#trickle.spoken(session, answerer.tag ?? '', remote.media);
    const lines = spoken.map((media, index): ComposedLine => {
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

function refused(side: Side, mid: string | undefined): ComposedLine {
  const nothing = { ptimeMs: undefined, direction: 'inactive', nowhere: false, trickle: false };
  return { side, codecs: undefined, rejected: true, mid, ...nothing };
}
