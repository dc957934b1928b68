import { closeLine } from './bundle.ts';
import { closeDialogue, matching } from './dialogues.ts';
import { connectParties } from './connections.ts';
import type { Dialect } from './dialect.ts';
import type { Gates } from './gates.ts';
import { LIMIT_TEXTS, type LimitName } from './load.ts';
import { answerCall, offerCall, settleAll, type Negotiating } from './negotiation.ts';
import type { ManagerOptions } from './options.ts';
import { connectLine } from './paths.ts';
import { publish, type CopyParts } from './publications.ts';
import { alphanumeric } from './random.ts';
import { translate, understand, type SdpRequest } from './requests.ts';
import { newSession, SessionError, type Dialogue, type Session, type Side } from './session.ts';
import { isDead, whySilent, type Ending } from './silence.ts';
import { putBack, standingOf } from './standing.ts';
import { closeSubscriptions, reconnectSubscriptions } from './subscriptions.ts';
import { transform, type TransformRequest } from './transformations.ts';
import { Trickle } from './trickle.ts';
import { markEndpoints } from './wishes.ts';

/** All calls of this node. Offer and answer (RFC 3264) decide; the packet path carries it out. */
export class SessionManager {
  readonly #options: ManagerOptions;
  /** By call-id, and by those of calls that were merged into them. */
  readonly #sessions = new Map<string, Session>();
  #aliases = 0;
  readonly #trickle = new Trickle((callId) => this.#sessions.has(callId));
  /** A body that carries it has been here. */
  readonly #loopMark = Buffer.from(alphanumeric(6)).toString('hex');
  /** No new calls; those that run go on. */
  draining = false;
  /** Offers, answers and publications that a limit has stopped. */
  readonly refused: Record<LimitName, number> = { sessions: 0, load: 0, cpu: 0, bandwidth: 0, ports: 0, draining: 0 };

  constructor(options: ManagerOptions) {
    this.#options = options;
  }

  get dialect(): Dialect {
    return this.#options.dialect ?? '10.5';
  }

  get size(): number {
    return this.#sessions.size - this.#aliases;
  }

  /** Why the next new call would be refused. Those that stand may go on and be offered again. */
  get limit(): LimitName | undefined {
    const { maxSessions, load } = this.#options;
    if (this.draining) return 'draining';
    return this.size >= maxSessions ? 'sessions' : load?.exceeded;
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
    const before = standingOf(session);
    try {
      const said = { text, remote: this.#trickle.spoken(session, request.fromTag, remote) };
      const sdp = offerCall(this.#negotiating, session, request, said);
      this.#changed(session);
      return sdp;
    } catch (error) {
      // What could not be offered leaves nothing, neither branches nor lines; a call without any other branch is gone.
      for (const dialogue of session.dialogues.splice(before.length)) closeDialogue(dialogue);
      for (const [index, dialogue] of session.dialogues.entries())
        for (const line of dialogue.lines.splice(before[index]?.lines.length ?? 0))
          closeLine(this.#options.dataplane, dialogue, line);
      if (before.length === 0) this.#end(session);
      putBack(session, before);
      settleAll(this.copying, session);
      throw this.#told(error);
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
      const sdp = answerCall(this.#negotiating, session, request, said);
      this.#changed(session);
      return sdp;
    } catch (error) {
      settleAll(this.copying, session);
      throw this.#told(error);
    }
  }

  /** Candidates of a party that trickle in. @throws SessionError */
  fragment({ callId, fromTag, sdp }: Pick<SdpRequest, 'callId' | 'fromTag' | 'sdp'>, now: number): void {
    this.#trickle.fragment(callId, fromTag, sdp, this.#sessions.get(callId), now);
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
      throw this.#told(error);
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
    const dead = this.all().filter((session) => isDead(session, idle, now, timeoutSeconds * 1000));
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

  get #negotiating(): Negotiating {
    return { ...this.copying, reconnect: (session) => this.#reconnect(session) };
  }

  #reconnect(session: Session): void {
    for (const dialogue of session.dialogues)
      for (const line of dialogue.lines) connectLine(this.#options.dataplane, session, dialogue, line);
  }

  #open(callId: string, now: number): Session {
    const limit = this.limit;
    if (limit) {
      this.refused[limit]++;
      throw new SessionError(limit === 'draining' ? 'draining' : 'full', LIMIT_TEXTS[limit]);
    }
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
    this.#trickle.forget(callId);
    for (const alias of aliases) {
      this.#sessions.delete(alias);
      this.#trickle.forget(alias);
    }
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

  #told(error: unknown): unknown {
    const told = translate(error);
    if (told instanceof SessionError && told.code === 'no-ports') this.refused.ports++;
    return told;
  }

  #looped(request: SdpRequest): boolean {
    return request.flags.flags.has('loop-protect') && request.sdp.includes(`a=rtpengine:${this.#loopMark}`);
  }
}
