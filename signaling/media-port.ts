/**
 * What signaling asks of media, and all that it knows of it. Behind it stands an rtpengine "ng" client
 * (signaling/media-ng/), so that our own node and an rtpengine serve alike.
 */
export interface MediaPort {
  /** Places the call on a media node (asks the registry) and opens nothing yet. @throws MediaError `no-node` */
  place(request: PlaceRequest): Promise<MediaHandle>;
  /** @returns the SDP for the party that is to answer. @throws MediaError */
  offer(handle: MediaHandle, offer: OfferRequest): Promise<string>;
  /** @returns the SDP for the party that offered. @throws MediaError */
  answer(handle: MediaHandle, answer: AnswerRequest): Promise<string>;
  /** Ends the call's media, at once (`delete-delay` 0). Never throws: a node that is gone has nothing left to end. */
  release(handle: MediaHandle): Promise<void>;
  /** Ends one branch of a forked call. */
  releaseBranch(handle: MediaHandle, fromTag: string, viaBranch: string): Promise<void>;
  /** False only when the node answers and does not know the call: it has timed out there, or the node was started anew. */
  exists(handle: MediaHandle): Promise<boolean>;
  /** `lost`: three pings (1 s apart) went unanswered; every handle on that node is dead. */
  onNode(listener: (event: { readonly type: 'lost' | 'back'; readonly node: string }) => void): void;
}

/** Serialisable: it stands in the call record. */
export interface MediaHandle {
  readonly node: string;
  /** The ng endpoint, `udp:127.0.0.1:2223`. */
  readonly control: string;
  readonly callId: string;
}

export interface PlaceRequest {
  readonly callId: string;
  readonly tenant: string;
  /** Source addresses of the parties, for placement. */
  readonly clients: readonly string[];
  /** Nodes not to be chosen, because they just failed. */
  readonly avoid?: readonly string[];
}

/** What a party's transport can take; decides ICE, DTLS-SRTP, rtcp-mux and codec policy of its leg. */
export type LegKind = 'webrtc' | 'plain';

export interface OfferRequest {
  readonly sdp: string;
  readonly fromTag: string;
  /** Present in re-INVITEs. */
  readonly toTag?: string;
  readonly viaBranch?: string;
  readonly from: LegKind;
  readonly to: LegKind;
}

export interface AnswerRequest extends OfferRequest {
  readonly toTag: string;
}

export class MediaError extends Error {
  readonly code: 'no-node' | 'timeout' | 'refused' | 'unknown-call';

  constructor(code: MediaError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'MediaError';
    this.code = code;
  }
}
