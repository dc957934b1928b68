import type { Dataplane } from '../dataplane/mod.ts';
import { closeDialogue, matching } from './dialogues.ts';
import { openGates, type Gates } from './gates.ts';
import { answerCall, offerCall, settleAll } from './negotiation.ts';
import { connectLine } from './paths.ts';
import { alphanumeric } from './random.ts';
import { publish, type CopyParts } from './publications.ts';
import { translate, understand, type SdpRequest } from './requests.ts';
import { SessionError, type Dialogue, type Session, type Side } from './session.ts';
import { isDead, whySilent, type Ending } from './silence.ts';
import { closeSubscriptions, reconnectSubscriptions } from './subscriptions.ts';
import { Trickle } from './trickle.ts';

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
      const said = { text, remote: this.#trickle.spoken(session, request.fromTag, remote) };
      const sdp = offerCall(this.copying, session, request, said);
      this.#changed(session);
      return sdp;
    } catch (error) {
      // A branch that could not be offered leaves nothing; a call without any other is gone.
      for (const dialogue of session.dialogues.splice(before)) closeDialogue(dialogue);
      if (before === 0) this.#end(session);
      settleAll(this.copying, session);
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
      const said = { text, remote: this.#trickle.spoken(session, request.toTag ?? '', remote) };
      const sdp = answerCall(this.copying, session, request, said);
      this.#changed(session);
      return sdp;
    } catch (error) {
      settleAll(this.copying, session);
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
    for (const dialogue of session.dialogues) closeDialogue(dialogue);
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
}
