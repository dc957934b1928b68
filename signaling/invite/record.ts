import type { LegKind, MediaHandle } from '../media-port.ts';

/**
 * The truth about one call, as plain data: what another process needs to go on with it. drachtio-srf's Dialog
 * objects are views that can be lost; every in-dialog request can be served from this alone.
 */
export interface CallRecord {
  /** Also the media node's call-id and the call id of the logs. */
  readonly id: string;
  readonly tenant: string;
  state: 'setup' | 'up' | 'ended';
  media: MediaHandle | undefined;
  a: LegRecord;
  /** The party that answered; absent during set-up. */
  b: LegRecord | undefined;
  readonly cdr: CallDetail;
}

export interface LegRecord {
  /** `uas`: the peer called us. */
  readonly role: 'uas' | 'uac';
  readonly kind: LegKind;
  readonly callId: string;
  localTag: string;
  readonly remoteTag: string;
  /** From and To of our requests, without tags. */
  readonly localUri: string;
  readonly remoteUri: string;
  /** The peer's Contact: R-URI of our requests. */
  remoteTarget: string;
  /** Route headers of our requests, in their order. */
  readonly routes: readonly string[];
  localCSeq: number;
  remoteCSeq: number;
  /** How often the peer's SDP has changed since the first. */
  sdpVersion: number;
  /** Where the peer's messages come from and ours go to. */
  readonly flow: { readonly protocol: string; readonly address: string; readonly port: number };
  /** Ours in ng requests about this leg of a forked call. */
  readonly viaBranch: string | undefined;
}

/** Times are epoch ms. */
export interface CallDetail {
  direction: 'agent-to-agent' | 'agent-to-pstn' | 'pstn-to-agent' | 'forwarded';
  readonly from: string;
  readonly to: string;
  readonly startedAt: number;
  ringingAt?: number;
  answeredAt?: number;
  endedAt?: number;
  /** Final SIP status of the set-up. */
  status?: number;
  /** Who ended it, and why. */
  endedBy?: 'caller' | 'callee' | 'system';
  cause?: string;
}

/** All calls of this node, by id and by the dialogs of their legs. */
export class CallTable {
  readonly #byId = new Map<string, CallRecord>();
  readonly #byLeg = new Map<string, { readonly call: CallRecord; readonly side: 'a' | 'b' }>();

  get size(): number {
    return this.#byId.size;
  }

  add(call: CallRecord): void {
    this.#byId.set(call.id, call);
    this.index(call);
  }

  /** To be called again when a leg has got its tags. */
  index(call: CallRecord): void {
    this.#byLeg.set(legKey(call.a.callId, call.a.localTag, call.a.remoteTag), { call, side: 'a' });
    if (call.b) this.#byLeg.set(legKey(call.b.callId, call.b.localTag, call.b.remoteTag), { call, side: 'b' });
  }

  get(id: string): CallRecord | undefined {
    return this.#byId.get(id);
  }

  /** Whose dialog a request belongs to, from its Call-ID and tags. */
  find(callId: string, localTag: string, remoteTag: string): { call: CallRecord; side: 'a' | 'b' } | undefined {
    return this.#byLeg.get(legKey(callId, localTag, remoteTag));
  }

  remove(call: CallRecord): void {
    this.#byId.delete(call.id);
    for (const leg of [call.a, call.b]) {
      if (leg) this.#byLeg.delete(legKey(leg.callId, leg.localTag, leg.remoteTag));
    }
    // The first index of the A leg was made before it had a tag of ours.
    this.#byLeg.delete(legKey(call.a.callId, '', call.a.remoteTag));
  }

  all(): CallRecord[] {
    return [...this.#byId.values()];
  }
}

function legKey(callId: string, localTag: string, remoteTag: string): string {
  return `${callId}\u0000${localTag}\u0000${remoteTag}`;
}
