import type { LegKind, MediaHandle } from '../media-port.ts';
import { sipStatus, type DialogView, type Req, type Res } from '../srf.ts';
import type { B2buaParts } from './parts.ts';
import type { Destination } from './route.ts';

export interface BranchContext {
  readonly media: MediaHandle;
  /** The caller's SDP, From tag and kind. */
  readonly sdp: string;
  readonly fromTag: string;
  readonly kind: LegKind;
  /** Made when the INVITE leaves: a device that was woken may be elsewhere, and what proves the caller is short-lived. */
  readonly headers: (destination: Destination) => Readonly<Record<string, string>>;
}

/** One ringing phone: an offer of media, an INVITE, and at most one answer. */
export class Branch {
  readonly id: string;
  readonly destination: Destination;
  readonly #parts: B2buaParts;
  readonly #context: BranchContext;
  readonly #stopped = Promise.withResolvers<undefined>();
  #where: Destination;
  #request: Req | undefined;
  #cancelled: string | undefined;
  #settled = false;

  constructor(parts: B2buaParts, context: BranchContext, destination: Destination, id: string) {
    this.#parts = parts;
    this.#context = context;
    this.destination = destination;
    this.#where = destination;
    this.id = id;
  }

  /** Of the device as it is awake. */
  get kind(): LegKind {
    return this.#where.kind;
  }

  /** Resolves with the answered dialog; rejects with what the peer or media said. */
  async ring(progress: (branch: Branch, response: Res) => void): Promise<DialogView> {
    const { media, sdp, fromTag, kind } = this.#context;
    const { wake } = this.destination;
    if (wake) {
      const awake = await Promise.race([wake(), this.#stopped.promise]);
      if (this.#cancelled !== undefined) throw new BranchCancelled();
      if (!awake) throw new NotWoken();
      this.#where = awake;
    }
    const offered = await this.#parts.media.offer(media, {
      sdp,
      fromTag,
      viaBranch: this.id,
      from: kind,
      to: this.kind,
    });
    if (this.#cancelled !== undefined) throw new BranchCancelled();
    try {
      return await this.#invite(offered, progress);
    } finally {
      this.#settled = true;
    }
  }

  /** By one flow of the device after another, while each of them proves dead before the phone could ring. */
  async #invite(offered: string, progress: (branch: Branch, response: Res) => void): Promise<DialogView> {
    for (const other of this.#where.others ?? []) {
      let rang = false;
      try {
        return await this.#send(offered, (response) => {
          rang = true;
          progress(this, response);
        });
      } catch (error) {
        if (rang || this.#cancelled !== undefined || !deadFlow(sipStatus(error)?.status)) throw error;
        this.#where = other;
      }
    }
    return this.#send(offered, (response) => progress(this, response));
  }

  #send(offered: string, progress: (response: Res) => void): Promise<DialogView> {
    const { uri, via, routes } = this.#where;
    const headers = this.#context.headers(this.#where);
    const route = routes === undefined ? {} : { Route: routes.join(', ') };
    return this.#parts.app.createUAC(
      uri,
      { localSdp: offered, headers: { ...headers, ...route }, ...(via === undefined ? {} : { proxy: via }) },
      {
        cbRequest: (error, request) => {
          if (error || !request) return;
          this.#request = request;
          if (this.#cancelled !== undefined) this.#sendCancel(this.#cancelled);
        },
        cbProvisional: (response) => {
          if (this.#cancelled === undefined) progress(response);
        },
      },
    );
  }

  cancel(reason: string): void {
    if (this.#cancelled !== undefined || this.#settled) return;
    this.#cancelled = reason;
    this.#stopped.resolve(undefined);
    if (this.#request) this.#sendCancel(reason);
  }

  #sendCancel(reason: string): void {
    this.#request?.cancel({ headers: { Reason: reason } }, () => undefined);
  }
}

/** RFC 5626 §5.3.1 and §6: what says that the flow has failed, not the phone. */
function deadFlow(status: number | undefined): boolean {
  return status === 430 || status === 408 || status === 503;
}

/** A push was sent, or could not be, and nobody came. */
export class NotWoken extends Error {
  readonly status = 480;
  readonly reason = 'Device Not Woken';

  constructor() {
    super('the device did not register after the push');
    this.name = 'NotWoken';
  }
}

export class BranchCancelled extends Error {
  constructor() {
    super('the branch was cancelled before its INVITE left');
    this.name = 'BranchCancelled';
  }
}
