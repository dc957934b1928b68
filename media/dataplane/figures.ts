import type { HostPort } from '../../vocabulary/mod.ts';
import type { IceReport } from './port.ts';

// What the packet path counts and remembers, as it is read.

export interface StreamStats {
  readonly packets: number;
  readonly bytes: number;
  /** Lost by sequence number, from the receiver's view (RFC 3550 §A.3). */
  readonly lost: number;
  readonly jitterMs: number;
}

export interface EndpointStats {
  readonly received: StreamStats;
  readonly sent: { readonly packets: number; readonly bytes: number };
  readonly rtcp?: {
    readonly received: { readonly packets: number; readonly bytes: number };
    readonly sent: { readonly packets: number; readonly bytes: number };
    /** Since the last accepted one; absent before the first. */
    readonly lastPacketMs?: number;
  };
  /** Of the SRTP that arrives, once there are keys; what passes unopened has none. */
  readonly suite?: string;
  /** By reason; only reasons that happened. */
  readonly dropped: Readonly<Record<string, number>>;
  readonly ssrc: number | undefined;
  readonly remoteRtp: HostPort | undefined;
  readonly remoteRtcp: HostPort | undefined;
  /** Since the last accepted RTP packet; `undefined` before the first. */
  readonly lastPacketMs: number | undefined;
  readonly dtls: 'none' | 'new' | 'connecting' | 'connected' | 'failed';
  readonly iceConnected: boolean;
  /** Where we are a full agent and know the peer. */
  readonly ice?: IceReport;
  readonly roundTripMs: number | undefined;
  /** What `explain` tells of this endpoint. */
  readonly source?: SourceRecord;
  /** The far end's last VoIP metrics report (RFC 3611 §4.7) on what it received. */
  readonly voipMetrics?: VoipMetrics;
  /** The same of what this endpoint receives, as we measure it; of a relay path without the delay of a jitter buffer. */
  readonly quality?: VoipMetrics;
  /** Of the decoder fed by this endpoint, when its path transcodes. */
  readonly playout?: {
    readonly concealedMs: number;
    readonly playedMs: number;
    /** By leaving out periods of the signal, and by repeating them, so that the delay follows its target. */
    readonly shortenedMs: number;
    readonly lengthenedMs: number;
    readonly bufferedMs: number;
    readonly targetDelayMs: number;
    readonly late: number;
  };
}

/** Why a source was taken to: the first, one liker to SDP, the same stream elsewhere, another by handover, a checked pair. */
export type LearnedHow = 'first' | 'better' | 'moved' | 'handover' | 'ice';

/** Learnt when and from where, refused what and why, the last packet each way. Times are ages in ms. */
export interface SourceRecord {
  readonly openedMs: number;
  /** Since the last `configure`. */
  readonly signalledMs?: number;
  readonly lastReceivedMs?: number;
  readonly lastSentMs?: number;
  /** The source will not be left but as the rules of moving say. */
  readonly frozen: boolean;
  /** The last eight, oldest first. */
  readonly learned: readonly {
    readonly component: 'rtp' | 'rtcp';
    readonly from: HostPort;
    readonly how: LearnedHow;
    readonly ageMs: number;
  }[];
  /** The first eight; the packets of others are in `refusedElsewhere`. */
  readonly refused: readonly {
    readonly component: 'rtp' | 'rtcp';
    readonly from: HostPort;
    /** A drop reason: unknown-source, authentication, ice. */
    readonly reason: string;
    readonly packets: number;
    readonly firstAgeMs: number;
    readonly lastAgeMs: number;
  }[];
  readonly refusedElsewhere: number;
}

/** Rates and densities are fractions of 1; MOS from 1 to 5; what the far end does not know is absent. */
export interface VoipMetrics {
  readonly ssrc: number;
  readonly lossRate: number;
  readonly discardRate: number;
  readonly burstDensity: number;
  readonly gapDensity: number;
  readonly burstMs: number;
  readonly gapMs: number;
  readonly roundTripMs: number;
  readonly endSystemMs: number;
  readonly rFactor?: number;
  readonly mosLq?: number;
  readonly mosCq?: number;
  readonly jitterBufferMs: number;
}

export interface DataplaneTotals {
  readonly endpoints: number;
  readonly paths: number;
  readonly transcoders: number;
  readonly portsInUse: number;
  readonly portsTotal: number;
  /** In use, by the names of the interfaces. */
  readonly portsByInterface?: Readonly<Record<string, number>>;
  /** Bytes that native objects hold now. */
  readonly nativeBytes: number;
  readonly threads: number;
  readonly packetsReceived: number;
  readonly packetsSent: number;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  readonly dropped: Readonly<Record<string, number>>;
  /** CPU time of the worker threads since start. */
  readonly cpuMs: number;
  /** The same of each; nothing when the path is closed. */
  readonly threadCpuMs: readonly number[];
  readonly dtlsHandshakes: { readonly connected: number; readonly failed: number };
  /** Events that were never told: 10,000 others waited. */
  readonly eventsLost: number;
  /** Of full ICE; consent is among the checks. */
  readonly ice: {
    readonly checksSent: number;
    readonly checksAnswered: number;
    readonly checksHeld: number;
    readonly candidatesRefused: number;
    readonly failed: number;
    readonly consentLost: number;
  };
  /** Copies that stand, and packets that they have carried. */
  readonly taps: number;
  readonly tappedPackets: number;
  /** `lost`: packets for which there was no room, or no disk. */
  readonly recordings: {
    readonly open: number;
    readonly packets: number;
    readonly bytes: number;
    readonly lost: number;
  };
}
