import { parseNameAddr } from '../engine/mod.ts';
import type { LegKind, MediaHandle } from '../media-port.ts';
import type { Profile } from '../register/mod.ts';
import type { DialogView, Req, Res } from '../srf.ts';
import { Branch, BranchCancelled } from './branch.ts';
import { bestFailure, failureOf, tryNext, type Failure } from './failure.ts';
import { calleeLeg } from './legs.ts';
import type { B2buaParts } from './parts.ts';
import { provisional } from './provisional.ts';
import type { CallRecord } from './record.ts';
import type { Destination } from './route.ts';

/** RFC 3261 §16.6 step 11: a phone that rings longer than this is given up. */
const RING_MS = 180_000;

const CANCELLED = 'SIP;cause=487;text="caller hung up"';
const ELSEWHERE = 'SIP;cause=200;text="Call completed elsewhere"';

export interface Established {
  readonly a: DialogView;
  readonly b: DialogView;
}

/** The set-up of one call: groups of branches, one of which may answer. It ends in a dialog on both sides, or in a status to the caller. */
export class Attempt {
  readonly record: CallRecord;
  readonly #parts: B2buaParts;
  readonly #req: Req;
  readonly #res: Res;
  readonly #media: MediaHandle;
  readonly #kind: LegKind;
  readonly #profile: Profile;
  readonly #headers: (destination: Destination) => Record<string, string>;
  #branches: Branch[] = [];
  #over = false;
  #rang = false;
  #early = false;
  #nextBranch = 1;

  constructor(
    parts: B2buaParts,
    call: { record: CallRecord; req: Req; res: Res; media: MediaHandle; kind: LegKind; profile: Profile },
    headers: (destination: Destination) => Record<string, string>,
  ) {
    this.#parts = parts;
    this.record = call.record;
    this.#req = call.req;
    this.#res = call.res;
    this.#media = call.media;
    this.#kind = call.kind;
    this.#profile = call.profile;
    this.#headers = headers;
  }

  /** @returns both dialogs, or why there are none; the caller then still waits for its answer unless it cancelled. */
  async run(groups: readonly (readonly Destination[])[]): Promise<Established | Failure | 'cancelled'> {
    this.#req.on('cancel', () => this.stop(CANCELLED));
    let last: Failure = { status: 480 };
    for (const group of groups) {
      const outcome = await this.#ringGroup(group);
      if (this.#over && !('a' in outcome)) return 'cancelled';
      if ('a' in outcome) return outcome;
      last = outcome;
      if (
        !tryNext(
          last,
          group.some(({ what }) => what !== 'trunk'),
        )
      )
        break;
    }
    return last;
  }

  /** Ends the set-up: every phone stops ringing. */
  stop(reason: string): void {
    this.#over = true;
    for (const branch of this.#branches) branch.cancel(reason);
  }

  async #ringGroup(group: readonly Destination[]): Promise<Established | Failure> {
    const context = {
      media: this.#media,
      sdp: this.#req.body,
      fromTag: this.record.a.remoteTag,
      kind: this.#kind,
      headers: this.#headers,
    };
    this.#branches = group.map(
      (destination) => new Branch(this.#parts, context, destination, `b${this.#nextBranch++}`),
    );
    const branches = this.#branches;
    const takeBack = this.#parts.later(RING_MS, () => {
      for (const branch of branches) branch.cancel('SIP;cause=408;text="no answer"');
    });
    const outcome = await this.#firstAnswer(branches);
    takeBack();
    if ('status' in outcome) return outcome;
    return this.#connect(outcome.branch, outcome.dialog);
  }

  /** Nobody waits for the phones that lost: this resolves with the first answer, or when all have refused. */
  #firstAnswer(branches: readonly Branch[]): Promise<{ branch: Branch; dialog: DialogView } | Failure> {
    return new Promise((resolve) => {
      const failures: Failure[] = [];
      let answered = false;
      const failed = (branch: Branch, failure: Failure): void => {
        void this.#parts.media.releaseBranch(this.#media, this.record.a.remoteTag, branch.id);
        failures.push(failure);
        if (failures.length === branches.length) resolve(bestFailure(failures));
      };
      for (const branch of branches) {
        branch
          .ring((ringing, response) => void this.#progress(ringing, response))
          .then(
            async (dialog) => {
              if (answered || this.#over) {
                // It answered while its CANCEL was on the way.
                await hangUp(dialog, this.#over ? CANCELLED : ELSEWHERE);
                failed(branch, { status: 487 });
                return;
              }
              answered = true;
              for (const other of branches) if (other !== branch) other.cancel(ELSEWHERE);
              resolve({ branch, dialog });
            },
            (error: unknown) => {
              const refused =
                error instanceof BranchCancelled ? { status: 487 } : failureOf(error, branch.destination.what);
              failed(branch, refused);
            },
          );
      }
    });
  }

  async #connect(branch: Branch, b: DialogView): Promise<Established | Failure> {
    try {
      const answer = await this.#parts.media.answer(this.#media, {
        sdp: b.remote.sdp,
        fromTag: this.record.a.remoteTag,
        toTag: b.sip.remoteTag,
        viaBranch: branch.id,
        from: branch.kind,
        to: this.#kind,
      });
      if (this.#over) {
        await hangUp(b, CANCELLED);
        return { status: 487 };
      }
      if (this.#profile.provisional === 'one' && !this.#rang) this.#res.send(180);
      const a = await this.#parts.app.createUAS(this.#req, this.#res, { localSdp: answer });
      this.record.a.localTag = a.sip.localTag;
      this.record.b = calleeLeg(b, branch.kind, branch.id);
      return { a, b };
    } catch (error) {
      await hangUp(b, 'SIP;cause=500;text="the caller could not be connected"');
      return failureOf(error, branch.destination.what);
    }
  }

  /** Ringing goes to the caller once; early media once, and only when a single phone rings. */
  async #progress(branch: Branch, response: Res): Promise<void> {
    if (this.#over || response.status <= 100) return;
    this.record.cdr.ringingAt ??= this.#parts.now();
    const sdp = response.body;
    const state = { rang: this.#rang, early: this.#early, alone: this.#branches.length === 1 };
    const next = provisional(this.#profile.provisional, state, Boolean(sdp));
    if (next === 'early') {
      // Before the wait: ringing that comes meanwhile is not told beside it.
      this.#early = true;
      const rang = this.#rang;
      this.#rang = true;
      const toTag = parseNameAddr(response.get('to') ?? '')?.params.get('tag') ?? branch.id;
      try {
        const body = await this.#parts.media.answer(this.#media, {
          sdp,
          fromTag: this.record.a.remoteTag,
          toTag,
          viaBranch: branch.id,
          from: branch.kind,
          to: this.#kind,
        });
        if (!this.#over) this.#res.send(183, { body });
        return;
      } catch {
        this.#rang = rang;
        // Early media is a kindness; the call goes on without it.
      }
    }
    if (next === 'none' || this.#rang || this.#profile.provisional === 'with-sdp') return;
    this.#rang = true;
    this.#res.send(180);
  }
}

async function hangUp(dialog: DialogView, reason: string): Promise<void> {
  await dialog.destroy({ headers: { Reason: reason } }).catch(() => undefined);
}
