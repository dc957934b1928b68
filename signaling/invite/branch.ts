import type { LegKind, MediaHandle } from '../media-port.ts';
import type { DialogView, Req, Res } from '../srf.ts';
import type { B2buaParts } from './parts.ts';
import type { Destination } from './route.ts';

export interface BranchContext {
  readonly media: MediaHandle;
  /** The caller's SDP, From tag and kind. */
  readonly sdp: string;
  readonly fromTag: string;
  readonly kind: LegKind;
  readonly headers: Readonly<Record<string, string>>;
}

/** One ringing phone: an offer of media, an INVITE, and at most one answer. */
export class Branch {
  readonly id: string;
  readonly destination: Destination;
  readonly kind: LegKind;
  readonly #parts: B2buaParts;
  readonly #context: BranchContext;
  #request: Req | undefined;
  #cancelled: string | undefined;
  #settled = false;

  constructor(parts: B2buaParts, context: BranchContext, destination: Destination, id: string) {
    this.#parts = parts;
    this.#context = context;
    this.destination = destination;
    this.kind = destination.kind;
    this.id = id;
  }

  /** Resolves with the answered dialog; rejects with what the peer or media said. */
  async ring(progress: (branch: Branch, response: Res) => void): Promise<DialogView> {
    const { media, sdp, fromTag, kind, headers } = this.#context;
    const offered = await this.#parts.media.offer(media, {
      sdp,
      fromTag,
      viaBranch: this.id,
      from: kind,
      to: this.kind,
    });
    if (this.#cancelled !== undefined) throw new BranchCancelled();
    const { uri, via } = this.destination;
    try {
      return await this.#parts.app.createUAC(
        uri,
        { localSdp: offered, headers: { ...headers }, ...(via === undefined ? {} : { proxy: via }) },
        {
          cbRequest: (error, request) => {
            if (error || !request) return;
            this.#request = request;
            if (this.#cancelled !== undefined) this.#sendCancel(this.#cancelled);
          },
          cbProvisional: (response) => {
            if (this.#cancelled === undefined) progress(this, response);
          },
        },
      );
    } finally {
      this.#settled = true;
    }
  }

  cancel(reason: string): void {
    if (this.#cancelled !== undefined || this.#settled) return;
    this.#cancelled = reason;
    if (this.#request) this.#sendCancel(reason);
  }

  #sendCancel(reason: string): void {
    this.#request?.cancel({ headers: { Reason: reason } }, () => undefined);
  }
}

export class BranchCancelled extends Error {
  constructor() {
    super('the branch was cancelled before its INVITE left');
    this.name = 'BranchCancelled';
  }
}
