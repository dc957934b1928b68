import { configure } from './bundle.ts';
import { readFragment, WaitingFragments, withFragment } from './fragments.ts';
import type { RemoteSdp } from './remote-media.ts';
import { SessionError, type Line, type Party, type Session, type Side } from './session.ts';
import { followCandidates, remoteSpec } from './transport.ts';

/** Candidates that come after the SDP, or before it (RFC 8840). */
export class Trickle {
  readonly #waiting: WaitingFragments;

  /** `knows`: calls that stand. */
  constructor(knows: (callId: string) => boolean) {
    this.#waiting = new WaitingFragments(knows);
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /**
   * Of a party that has spoken: its lines get them. Of another one they wait for it.
   * @throws SessionError when they are of an ICE generation that is not the party's, or too many wait.
   */
  fragment(callId: string, tag: string, body: string, session: Session | undefined, now: number): void {
    const fragment = readFragment(body);
    if (!fragment) throw new SessionError('bad-sdp', 'Failed to parse SDP');
    const spoken = session ? linesOf(session, tag).filter(({ side }) => side.remote !== undefined) : [];
    if (spoken.length === 0) {
      this.#waiting.add(callId, tag, fragment, now);
      return;
    }
    let taken = false;
    for (const { line, side, party } of spoken) {
      if (!side.remote) continue;
      const found = withFragment(side.remote, line.index, fragment);
      taken = taken || found.taken;
      if (found.media === side.remote) continue;
      side.remote = found.media;
      followCandidates(side);
      // Before an answer nothing is checked: it says who we are in ICE.
      if (side.iceWith && line.agreed)
        configure(party, side, side === party.carrier?.lead, remoteSpec(side, line.agreed.passing));
    }
    if (!taken) throw new SessionError('bad-request', 'Unknown ICE ufrag');
  }

  /** What a party says, with the candidates that were here before it. */
  spoken({ callId, createdAt }: Session, tag: string, remote: RemoteSdp): RemoteSdp {
    const fragments = this.#waiting.take(callId, tag, createdAt);
    if (fragments.length === 0) return remote;
    const media = remote.media.map((line, index) =>
      fragments.reduce((known, fragment) => withFragment(known, index, fragment).media, line),
    );
    return { ...remote, media };
  }

  /** The call is over. */
  forget(callId: string): void {
    this.#waiting.forget(callId);
  }

  sweep(now: number): void {
    this.#waiting.sweep(now);
  }
}

/** Of a party by its tag, in all its branches. */
function linesOf(
  session: Session,
  tag: string,
): readonly { readonly line: Line; readonly side: Side; readonly party: Party }[] {
  return session.dialogues.flatMap((dialogue) =>
    (['a', 'b'] as const)
      .filter((which) => dialogue[which].tag === tag)
      .flatMap((which) => dialogue.lines.map((line) => ({ line, side: line[which], party: dialogue[which] }))),
  );
}
