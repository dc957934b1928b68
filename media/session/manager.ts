import { isSpeech, sameCodec, type Codec } from '../../codecs/mod.ts';
import { DataplaneError, type Dataplane } from '../dataplane/mod.ts';
import { compose, type ComposedLine } from './compose.ts';
import type { MediaFlags } from './flags.ts';
import { agree, offeredCodecs, pathBetween } from './formats.ts';
import { readSdp, type RemoteMedia, type RemoteSdp } from './remote-media.ts';
import { cutSdp, type SdpText } from './sdp-text.ts';
import { newLine, SessionError, type Dialogue, type Line, type Session, type Side } from './session.ts';
import { decideAnswered, decideOffered, openSide, remoteSpec } from './transport.ts';

export interface ManagerOptions {
  readonly dataplane: Dataplane;
  /** Names of the packet path's interfaces; the first is the default. */
  readonly interfaces: readonly string[];
  readonly maxSessions: number;
  readonly timeoutSeconds: number;
}

export interface SdpRequest {
  readonly callId: string;
  readonly fromTag: string;
  readonly toTag: string | undefined;
  readonly viaBranch: string | undefined;
  readonly sdp: string;
  readonly flags: MediaFlags;
}

/** A call on hold, or one that still rings, may be silent for so much longer. */
const PATIENCE = 60;

/** All calls of this node. Offer and answer (RFC 3264) decide; the packet path carries it out. */
export class SessionManager {
  readonly #options: ManagerOptions;
  readonly #sessions = new Map<string, Session>();
  /** No new calls; those that run go on. */
  draining = false;

  constructor(options: ManagerOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#sessions.size;
  }

  get(callId: string): Session | undefined {
    return this.#sessions.get(callId);
  }

  all(): readonly Session[] {
    return [...this.#sessions.values()];
  }

  /** @returns the SDP for the other party. @throws SessionError */
  offer(request: SdpRequest, now: number): string {
    const { text, remote } = understand(request.sdp);
    const session = this.#sessions.get(request.callId) ?? this.#open(request.callId, now);
    session.lastSignalAt = now;
    const before = session.dialogues.length;
    try {
      return this.#offer(session, request, text, remote);
    } catch (error) {
      // A branch that could not be offered leaves nothing; a call without any other is gone.
      for (const { lines } of session.dialogues.splice(before)) closeLines(lines);
      if (before === 0) this.#end(session);
      throw translate(error);
    }
  }

  /** @returns the SDP for the party that offered. @throws SessionError */
  answer(request: SdpRequest, now: number): string {
    const { text, remote } = understand(request.sdp);
    const session = this.#sessions.get(request.callId);
    if (!session) throw new SessionError('unknown-call', 'Unknown call-id');
    session.lastSignalAt = now;
    try {
      return this.#answer(session, request, text, remote);
    } catch (error) {
      throw translate(error);
    }
  }

  /**
   * @returns what was deleted, with its endpoints still open for their last figures; {@link release} closes them.
   * `undefined` when the call, the tags or the branch are not known.
   */
  remove(callId: string, which: { fromTag?: string; toTag?: string; viaBranch?: string }): Session | undefined {
    const session = this.#sessions.get(callId);
    if (!session) return undefined;
    const { viaBranch, fromTag, toTag } = which;
    const matching = session.dialogues.filter((dialogue) => {
      if (viaBranch !== undefined && viaBranch !== '') return dialogue.viaBranch === viaBranch;
      if (fromTag === undefined) return true;
      const tags = [dialogue.a.tag, dialogue.b.tag];
      if (!tags.includes(fromTag)) return false;
      return toTag === undefined || tags.includes(toTag) || dialogue.b.tag === undefined;
    });
    if (matching.length === 0) return undefined;
    const removed: Session = { ...session, dialogues: matching };
    for (const dialogue of matching) session.dialogues.splice(session.dialogues.indexOf(dialogue), 1);
    if (session.dialogues.length === 0) this.#sessions.delete(callId);
    return removed;
  }

  /** Closes every endpoint of the dialogues. */
  release(session: Session): void {
    for (const dialogue of session.dialogues) closeLines(dialogue.lines);
  }

  /** Calls on which nothing has been heard from anybody for the time-out: ended, and returned for the log. */
  sweep(now: number): readonly Session[] {
    const { dataplane, timeoutSeconds } = this.#options;
    const idle = new Set(dataplane.idleEndpoints(timeoutSeconds * 1000));
    if (idle.size === 0) return [];
    const dead = this.all().filter((session) => {
      const sides = session.dialogues.flatMap(({ lines }) => lines.flatMap(({ a, b }) => [a, b]));
      const open = sides.filter((side) => side.endpoint !== undefined);
      if (open.length === 0) return now - session.lastSignalAt > timeoutSeconds * 1000;
      if (!open.every((side) => idle.has(side.endpoint?.id ?? -1))) return false;
      // Counted from the last signal too: a call that comes back from hold has been silent for long.
      const answered = session.dialogues.some(({ lines }) => lines.some(({ a, b }) => a.remote && b.remote));
      const held = open.some((side) => side.remote !== undefined && side.remote.direction !== 'sendrecv');
      const patience = held || !answered ? PATIENCE : 1;
      return now - session.lastSignalAt > timeoutSeconds * 1000 * patience;
    });
    for (const session of dead) this.#end(session);
    return dead;
  }

  close(): void {
    for (const session of this.all()) this.#end(session);
  }

  #open(callId: string, now: number): Session {
    if (this.draining) throw new SessionError('draining', 'This node is draining');
    if (this.#sessions.size >= this.#options.maxSessions)
      throw new SessionError('full', 'Parallel session limit reached');
    const session: Session = { callId, createdAt: now, lastSignalAt: now, dialogues: [] };
    this.#sessions.set(callId, session);
    return session;
  }

  #end(session: Session): void {
    this.release(session);
    session.dialogues.length = 0;
    this.#sessions.delete(session.callId);
  }

  #offer(session: Session, request: SdpRequest, text: SdpText, remote: RemoteSdp): string {
    const { dataplane } = this.#options;
    const { flags } = request;
    const { dialogue, from } = dialogueOfOffer(session, request);
    const [offerer] = parties(dialogue, from);
    offerer.tag = request.fromTag;
    offerer.bundle = remote.bundle;
    const lines = remote.media.map((media, index): ComposedLine => {
      const line = (dialogue.lines[index] ??= newLine(index));
      const fromSide = line[from];
      const toSide = line[from === 'a' ? 'b' : 'a'];
      fromSide.remote = media;
      fromSide.flags = flags;
      fromSide.codecs = media.codecs;
      if (media.rejected || !carried(media)) {
        closeLines([line]);
        return { side: toSide, codecs: undefined, rejected: true, mid: media.mid, nullHold: false };
      }
      decideOffered(toSide, fromSide, flags);
      openSide(dataplane, toSide, this.#interface(flags, 1), session.callId);
      toSide.codecs = media.kind === 'audio' ? offeredCodecs(media.codecs, flags) : media.codecs;
      toSide.offered = toSide.codecs;
      // In a re-INVITE the offerer may have moved: it must be heard at once.
      fromSide.endpoint?.configure(remoteSpec(fromSide));
      const codecs = media.kind === 'audio' ? toSide.codecs : undefined;
      return { side: toSide, codecs, rejected: false, mid: media.mid ?? String(index), nullHold: media.nullHold };
    });
    if (lines.every(({ rejected, codecs }) => rejected || codecs?.length === 0) && remote.media.length > 0) {
      if (lines.some(({ rejected }) => !rejected)) throw new SessionError('bad-sdp', 'no codec is left to offer');
    }
    return compose(text, lines, { dataplane, flags, answer: false, bundle: remote.bundle });
  }

  #answer(session: Session, request: SdpRequest, text: SdpText, remote: RemoteSdp): string {
    const { dataplane } = this.#options;
    const { flags } = request;
    const { dialogue, from } = dialogueOfAnswer(session, request);
    const [offerer, answerer] = parties(dialogue, from);
    if (request.toTag !== undefined) answerer.tag = request.toTag;
    if (remote.media.length > dialogue.lines.length)
      throw new SessionError('bad-sdp', 'the answer has more media lines than the offer');
    const lines = remote.media.map((media, index): ComposedLine => {
      const line = dialogue.lines[index] as Line;
      const offerSide = line[from];
      const answerSide = line[from === 'a' ? 'b' : 'a'];
      const mid = offerSide.remote?.mid;
      answerSide.remote = media;
      answerSide.flags = flags;
      if (media.rejected || !answerSide.endpoint || !offerSide.remote || offerSide.remote.rejected) {
        closeLines([line]);
        return { side: offerSide, codecs: undefined, rejected: true, mid, nullHold: false };
      }
      decideAnswered(offerSide, flags);
      openSide(
        dataplane,
        offerSide,
        this.#interface(offerSide.flags?.direction.length ? offerSide.flags : flags, 0),
        session.callId,
      );
      if (answerSide.dtls) answerSide.role = media.setup === 'passive' ? 'client' : 'server';
      const agreed =
        media.kind === 'audio'
          ? agree(offerSide.remote.codecs, media.codecs, offerSide.flags?.codec.mask ?? [], flags)
          : { forOfferer: media.codecs, transcode: undefined };
      offerSide.codecs = agreed.forOfferer;
      answerSide.codecs = media.codecs;
      offerSide.endpoint?.configure(remoteSpec(offerSide));
      answerSide.endpoint.configure(remoteSpec(answerSide));
      this.#connect(offerSide, answerSide, agreed.transcode);
      const codecs = media.kind === 'audio' ? agreed.forOfferer : undefined;
      return { side: offerSide, codecs, rejected: false, mid, nullHold: media.nullHold };
    });
    return compose(text, lines, { dataplane, flags, answer: true, bundle: offerer.bundle });
  }

  #connect(offerSide: Side, answerSide: Side, transcode: { offerer: Codec; answerer: Codec } | undefined): void {
    const { dataplane } = this.#options;
    if (!offerSide.endpoint || !answerSide.endpoint) return;
    const end = (side: Side, chosen: Codec | undefined) => ({
      codecs: side.codecs,
      speech: chosen ?? side.codecs.find(isSpeech),
      ptimeMs: side.flags?.ptimeMs ?? side.remote?.ptimeMs,
    });
    const offerer = end(offerSide, transcode?.offerer);
    const answerer = end(answerSide, transcode?.answerer);
    dataplane.setPath(offerSide.endpoint, answerSide.endpoint, pathBetween(offerer, answerer, transcode !== undefined));
    const numbers = new Set(answerSide.codecs.map(({ pt }) => pt));
    const accepted = answerSide.offered.filter(
      (codec) => !numbers.has(codec.pt) && answerSide.codecs.some((other) => sameCodec(other, codec)),
    );
    const sender = { ...answerer, codecs: [...answerer.codecs, ...accepted] };
    dataplane.setPath(answerSide.endpoint, offerSide.endpoint, pathBetween(sender, offerer, transcode !== undefined));
  }

  /** `direction` names the interface towards the sender of the offer, then the one towards the other party. */
  #interface(flags: MediaFlags, which: 0 | 1): string {
    const [first = 'default'] = this.#options.interfaces;
    const wanted = flags.direction[which];
    if (wanted === undefined || !this.#options.interfaces.includes(wanted)) return first;
    return wanted;
  }
}

/** Media that the packet path can carry: RTP over UDP. */
function carried(media: RemoteMedia): boolean {
  return /^(UDP\/TLS\/)?RTP\/S?AVPF?$/.test(media.protocol);
}

function understand(sdp: string): { text: SdpText; remote: RemoteSdp } {
  const text = cutSdp(sdp);
  const remote = text && readSdp(sdp);
  if (!text || !remote || remote.media.length !== text.media.length)
    throw new SessionError('bad-sdp', 'Failed to parse SDP');
  if (text.media.length > 32) throw new SessionError('bad-sdp', 'more than 32 media lines');
  return { text, remote };
}

function parties(dialogue: Dialogue, from: 'a' | 'b') {
  return from === 'a' ? ([dialogue.a, dialogue.b] as const) : ([dialogue.b, dialogue.a] as const);
}

function dialogueOfOffer(session: Session, request: SdpRequest): { dialogue: Dialogue; from: 'a' | 'b' } {
  const { fromTag, toTag, viaBranch } = request;
  for (const dialogue of session.dialogues) {
    if (toTag !== undefined && dialogue.a.tag === fromTag && dialogue.b.tag === toTag) return { dialogue, from: 'a' };
    if (toTag !== undefined && dialogue.b.tag === fromTag && dialogue.a.tag === toTag) return { dialogue, from: 'b' };
    // The same offer again, before any answer.
    if (toTag === undefined && dialogue.a.tag === fromTag && dialogue.viaBranch === viaBranch)
      return { dialogue, from: 'a' };
  }
  if (session.dialogues.length >= 64) throw new SessionError('full', 'more than 64 branches in one call');
  const dialogue: Dialogue = {
    viaBranch,
    a: { tag: fromTag, bundle: [] },
    b: { tag: toTag, bundle: [] },
    lines: [],
  };
  session.dialogues.push(dialogue);
  return { dialogue, from: 'a' };
}

function dialogueOfAnswer(session: Session, request: SdpRequest): { dialogue: Dialogue; from: 'a' | 'b' } {
  const { fromTag, toTag, viaBranch } = request;
  const exact = session.dialogues.find(({ a, b }) => a.tag === fromTag && b.tag === toTag && toTag !== undefined);
  if (exact) return { dialogue: exact, from: 'a' };
  const turned = session.dialogues.find(({ a, b }) => b.tag === fromTag && a.tag === toTag && toTag !== undefined);
  if (turned) return { dialogue: turned, from: 'b' };
  const mine = session.dialogues.filter(({ a }) => a.tag === fromTag);
  const branch =
    mine.find((dialogue) => viaBranch !== undefined && dialogue.viaBranch === viaBranch) ??
    mine.find(({ b }) => b.tag === undefined) ??
    mine.at(-1);
  if (!branch) throw new SessionError('unknown-call', 'No offer with this from-tag');
  return { dialogue: branch, from: 'a' };
}

function closeLines(lines: readonly Line[]): void {
  for (const line of lines) {
    for (const side of [line.a, line.b]) {
      side.endpoint?.close();
      side.endpoint = undefined;
      side.socket = undefined;
    }
  }
}

function translate(error: unknown): unknown {
  if (!(error instanceof DataplaneError)) return error;
  const code = error.code === 'no-ports' ? 'no-ports' : 'bad-request';
  return new SessionError(code, error.code === 'no-ports' ? `Ran out of ports: ${error.message}` : error.message, {
    cause: error,
  });
}
