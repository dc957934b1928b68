export type PathSpec = PathGate & PathMode;

/** What is held back on the way. A change of these alone touches nothing else of the path. */
export interface PathGate {
  /**
   * `blocked`: dropped. `silent`: the payload becomes the codec's silence (G.711, G.722 by their static types; of other
   * codecs dropped), sequence numbers and timestamps stay. Telephone-events pass both. Default: open.
   */
  readonly gate?: 'open' | 'blocked' | 'silent';
  readonly events?: {
    /** The sender's telephone-event payload types (RFC 4733). */
    readonly formats: readonly { readonly pt: number; readonly clockRate: number }[];
    /** Raises `dtmf`, on relay paths too. */
    readonly detect: boolean;
    /** Drops them. */
    readonly block: boolean;
  };
}

export type PathMode =
  | {
      /** Packets pass with header and payload untouched (but for SRTP). RTCP is relayed too. */
      readonly mode: 'relay';
      /** What something can be mixed into here, the best first. */
      readonly codable?: readonly PayloadFormat[];
      /** The parties' RTCP ends here and reports are ours; numbers of the stream too. It stays so. Default: false. */
      readonly ownReports?: boolean;
    }
  | Transcoding;

/** What a subscriber does not take is coded for it, in a stream of our own. */
export interface TapCoding extends Omit<Transcoding, 'mode'> {
  /** What it takes as it comes. */
  readonly untouched: readonly { readonly pt: number }[];
}

export interface Transcoding {
  readonly mode: 'transcode';
  /** What the sender may send, by payload type. */
  readonly in: readonly PayloadFormat[];
  /** What the receiver gets. */
  readonly out: PayloadFormat;
  /** telephone-event goes through with payload type and clock changed. */
  readonly dtmf: readonly {
    readonly inPt: number;
    readonly inClock: number;
    readonly outPt: number;
    readonly outClock: number;
  }[];
  /** Bounds of the jitter buffer's target delay. */
  readonly jitter: { readonly minMs: number; readonly maxMs: number };
}

export interface PayloadFormat {
  readonly pt: number;
  readonly codec: 'PCMU' | 'PCMA' | 'opus' | 'CN';
  readonly clockRate: number;
  readonly channels: number;
  readonly ptimeMs: number;
  /** Opus only: encoder settings (RFC 7587). `maxPlaybackRate` also bounds the rate we decode to. */
  readonly opus?: {
    readonly bitrate?: number;
    readonly fec: boolean;
    readonly dtx: boolean;
    readonly maxPlaybackRate?: number;
  };
}
