import type { HostPort } from '../../vocabulary/mod.ts';
import type { DataplaneTotals, EndpointStats, LearnedHow } from './figures.ts';
import type { PathSpec, TapCoding } from './path.ts';
import type { Clip, KeyPress, Playback } from './sound.ts';

/**
 * The verbs that media/session asks of the packet path. Packets of an established flow never cross this
 * interface: only decisions, counters and rare events do. Every call is synchronous and cheap; sockets are
 * bound on the calling thread, packets are handled on native worker threads.
 */
export interface Dataplane {
  /** The certificate that all DTLS legs of this process present. `fingerprint` is upper-case hex with colons. */
  readonly dtls: {
    readonly algorithm: 'sha-256';
    readonly fingerprint: string;
    /** DER, for other hashes. */
    readonly certificate: Uint8Array;
  };
  /**
   * Reserves the local end of one media line towards one party, with its sockets.
   * @throws DataplaneError `no-ports` when the range is used up, `no-interface` when the name is unknown.
   */
  openEndpoint(spec: EndpointSpec): Endpoint;
  /** What arrives at `from` leaves by `to`; `undefined` stops it. One path per direction; a new spec replaces the old one without losing packets. */
  setPath(from: Endpoint, to: Endpoint, path: PathSpec | undefined): void;
  /**
   * Which lines use the transport of `carrier`, itself among them or not; none: it is its own alone. Packets are given to
   * lines by MID, by SSRC, by a payload type that one of them alone has (RFC 9143 §9.2); others are dropped (`no-line`).
   * At most 64 SSRCs are learnt at a time (`ssrc-limit`). @throws DataplaneError `bad-argument` for endpoints of others.
   */
  setBundle(carrier: Endpoint, bundle: BundleSpec): void;
  /** Sound for {@link play}: mono, 16 bit. Shared by all who play it. @throws DataplaneError `bad-argument` */
  clip(samples: Int16Array, rate: number): Clip;
  /**
   * Mixed into the one stream that leaves by `to`: one SSRC, sequence numbers and timestamps that go on, before, meanwhile
   * and afterwards. Where packets are relayed they are decoded and encoded meanwhile (`codable` of its path). When it
   * has ended: `played`. It replaces what plays there, without a word about that.
   * @throws DataplaneError `bad-argument` when no path leads to `to`, when nothing of it can be coded, or when too much is
   * waiting behind.
   */
  play(to: Endpoint, clip: Clip, playback: Playback): void;
  /** @returns what was stopped and where in its clip, `undefined` when nothing played. */
  stopPlaying(to: Endpoint): { readonly playback: number; readonly positionMs: number } | undefined;
  /**
   * A telephone-event of ours (RFC 4733) into what leaves by `to`, behind those that wait; who speaks is not heard
   * meanwhile. @throws DataplaneError `bad-argument` when 32 are waiting.
   */
  press(to: Endpoint, key: KeyPress): void;
  /**
   * Starts or ends copies: what arrives at `from`, decrypted and of a source that may be heard, is also sent by `to` as it
   * came, with its SSRC, before any gate; with `coding` what the receiver does not take is coded. Both need the same
   * affinity. At most 8 of one endpoint; closing either ends it.
   * @throws DataplaneError `bad-argument` when there are as many, or when it cannot be coded.
   */
  tap(from: Endpoint, to: Endpoint, on: boolean, coding?: TapCoding): void;
  /**
   * Makes a pcap file (raw IP packets) that must not be there yet. Written by a thread of its own, flushed every second; of
   * what a disk cannot take in time packets are lost, never delayed. At most 2000 at once.
   * @throws DataplaneError `bad-argument` with the reason when it cannot be written.
   */
  openRecording(file: string): Recording;
  /** Endpoints on which no RTP has been accepted for `olderThanMs` (counted from their opening when there never was any). */
  idleEndpoints(olderThanMs: number): readonly number[];
  /** Process-wide counters and gauges, for /metrics. Every gauge is zero when nothing is open. */
  totals(): DataplaneTotals;
  onEvent(listener: (event: DataplaneEvent) => void): void;
  /** Ends the worker threads and frees everything. Resolves when the last thread has been joined. */
  close(): Promise<void>;
}

export interface DataplaneOptions {
  /** Logical interfaces; the first is the default. `advertised` is what SDP carries, `address` what is bound. */
  readonly interfaces: readonly { readonly name: string; readonly address: string; readonly advertised: string }[];
  /** Inclusive range for RTP/RTCP pairs; RTP ports are even. */
  readonly portMin: number;
  readonly portMax: number;
  /** The one UDP port of all ICE legs, on every interface. */
  readonly webrtcPort: number;
  /** Worker threads; a call stays on one. */
  readonly threads: number;
  /** IP_TOS of what is sent, and the traffic class of IPv6, 0 to 255. Default: 184, expedited forwarding (RFC 4594). */
  readonly tos?: number;
}

export interface EndpointSpec {
  /**
   * `pair`: RTP on an even port and RTCP on the next. `single`: one port of the range (rtcp-mux). `shared`: the ICE port of
   * the node. `carried`: none; sockets, source and keys are those of `carrier`, which is configured for both.
   */
  readonly socket: 'pair' | 'single' | 'shared' | 'carried';
  /** Id of an endpoint with the same affinity. When it closes, this one is heard and sends no more. */
  readonly carrier?: number;
  readonly interface: string;
  /** Endpoints with the same key are served by the same worker thread: the call-id. */
  readonly affinity: string;
  /** Our ICE credentials; required when `socket` is `shared` (RFC 8445 §5.3: ≥ 4 and ≥ 22 characters). */
  readonly ice?: { readonly ufrag: string; readonly pwd: string };
  /** Until {@link RemoteSpec} says it. Default: lite. */
  readonly iceRole?: IceRole;
  /** Datagrams of which nothing is known but their source: T.38 over UDPTL. They pass as they are. */
  readonly raw?: boolean;
}

/** Lines of one party on one transport. */
export interface BundleSpec {
  /** At most 32. */
  readonly lines: readonly {
    /** Its id. */
    readonly endpoint: number;
    readonly mid?: string;
    /** 1 to 14, of `urn:ietf:params:rtp-hdrext:sdes:mid` where it was agreed; packets without header extensions get it. */
    readonly midExtension?: number;
    /** That the party may send. */
    readonly payloadTypes: readonly number[];
    /** That it has told (a=ssrc). */
    readonly ssrcs: readonly number[];
  }[];
}

export interface Endpoint {
  /** Unique within the process, never reused. */
  readonly id: number;
  /** Advertised address with the bound port. */
  readonly rtp: HostPort;
  /** Absent with one port for both. */
  readonly rtcp: HostPort | undefined;
  configure(remote: RemoteSpec): void;
  /** Another affinity. Ports, keys and sources stay; its paths, copies and recordings end when that is another thread's. */
  move(affinity: string): void;
  /** IP_TOS of what leaves by it, 0 to 255; `undefined`: the node's own. The port of all ICE legs keeps that. */
  mark(tos: number | undefined): void;
  stats(): EndpointStats;
  /** Idempotent; ends the paths from and to this endpoint and gives the ports back. */
  close(): void;
}

/** A pcap file of what arrives at some endpoints, RTP and RTCP in the clear. */
export interface Recording {
  /** Starts or ends with this endpoint. @throws DataplaneError `closed` when either is. */
  record(endpoint: Endpoint, on: boolean): void;
  /** Ends with all of them. Resolves when the file is whole; always the same result. */
  close(): Promise<RecordingResult>;
}

export interface RecordingResult {
  readonly packets: number;
  /** Of the file, without its header. */
  readonly bytes: number;
  /** Why the file ends too early. */
  readonly error: string | undefined;
}

/** What is known of the far side; each call replaces the whole. */
export interface RemoteSpec {
  /** From SDP; the first guess until a source has proven itself. Absent: wait for the first packet (ICE, or an offer not yet answered). */
  readonly rtp?: HostPort;
  readonly rtcp?: HostPort;
  /** Where its signaling comes from, an IP literal: of sources that are not SDP's the likeliest. */
  readonly signaling?: string;
  /** How a source proves itself (rtpengine `endpoint-learning`). `off`: the SDP address only. ICE endpoints take checked pairs only. */
  readonly learning: Learning;
  /**
   * A source that has proven itself is never left. Otherwise its stream may move with its NAT: by its SRTP keys, or without
   * them by its SSRC, after a second of silence. Packets of strangers are dropped either way.
   */
  readonly strictSource: boolean;
  /** Leaves a source at once for the same stream elsewhere, and after a second of silence for any other. Default: false. */
  readonly mediaHandover?: boolean;
  /** Another party has answered the same offer: the source of the one before is not to be taken for it. Default: false. */
  readonly newParty?: boolean;
  readonly rtcpMux: boolean;
  readonly crypto: CryptoSpec;
  /** The peer's key where its SRTP passes unopened (`crypto` is none): copies are opened with it. */
  readonly copyKey?: SrtpKey;
  /** The peer's ICE credentials: its checks carry `<ours>:<theirs>`. */
  readonly ice?: { readonly ufrag: string; readonly pwd: string };
  /**
   * Ours from now on. Others than before restart ICE (RFC 8445 §9): media goes on over the pair that stands until one of
   * the new credentials is nominated.
   */
  readonly localIce?: { readonly ufrag: string; readonly pwd: string };
  /** What we are in ICE. A role conflict may turn it; it stays over restarts. Default: lite. */
  readonly iceRole?: IceRole;
  /** The peer is lite: it answers, and we are controlling. Default: false. */
  readonly litePeer?: boolean;
  /** Of the peer, all that are known by now; the first 20 of our address family are checked. */
  readonly candidates?: readonly IceCandidate[];
}

/**
 * Lite: the peer's checks are answered, none are sent. Unchecked: both are lite, and media goes to the address of SDP (RFC
 * 8445 §8.2). The others check, and send media only where a check has been answered.
 */
export type IceRole = 'lite' | 'unchecked' | 'controlling' | 'controlled';

export interface IceCandidate {
  readonly component: 1 | 2;
  readonly type: 'host' | 'srflx' | 'prflx' | 'relay';
  readonly priority: number;
  /** An IP literal. */
  readonly at: HostPort;
}

/** What became of the peer's candidates, where we check them. */
export interface IceReport {
  readonly role: 'controlling' | 'controlled';
  /** `lost`: the peer has not answered for 30 s (RFC 7675). `restarting`: media goes over the pair of before. */
  readonly state: 'checking' | 'connected' | 'completed' | 'restarting' | 'failed' | 'lost';
  /** Sent and answered, but for consent. */
  readonly checks: number;
  readonly answers: number;
  /** Put off, because their host has answered none of many. */
  readonly held: number;
  /** Candidates above the bound. */
  readonly refused: number;
  /** Since the peer has last answered on the chosen pair. */
  readonly consentMs?: number;
  readonly candidates: readonly (Omit<IceCandidate, 'priority'> & {
    /** `left`: another was nominated before. */
    readonly state: 'waiting' | 'checked' | 'answered' | 'failed' | 'left';
    readonly chosen: boolean;
  })[];
}

/**
 * How a source proves itself where there is no ICE. Each call of `configure` is a word of signaling.
 * - `off`: the address of SDP, both ways.
 * - `asymmetric`: sent to the address of SDP; received from whom speaks first.
 * - `immediate`: who speaks first.
 * - `delayed`: who speaks first, at once; frozen by the first packet 3 s after the last word of signaling, or by one from
 *   the address of SDP. Within that time another source may take over when this one has been silent for half a second, or at
 *   once when it is at the host that signaling comes from, or at that of SDP, and this one is not.
 * - `heuristic`: within 3 s of the first packet who is likest to SDP: address and port, address, the host that signaling
 *   comes from, port, anybody.
 */
export type Learning = 'off' | 'asymmetric' | 'immediate' | 'delayed' | 'heuristic';

export type CryptoSpec =
  | { readonly type: 'none' }
  | { readonly type: 'sdes'; readonly receive: SrtpKey; readonly send: SrtpKey }
  | {
      readonly type: 'dtls';
      /** Our role: `server` waits (a=setup:passive), `client` starts (a=setup:active). */
      readonly role: 'client' | 'server';
      readonly fingerprints: readonly { readonly algorithm: string; readonly value: string }[];
    };

/** In the order in which we offer them: octets of the master key and of the salt (RFC 3711 §8.2, RFC 6188 §4, RFC 7714 §12). */
export const SRTP_SUITES = {
  AEAD_AES_256_GCM: { key: 32, salt: 12 },
  AEAD_AES_128_GCM: { key: 16, salt: 12 },
  AES_256_CM_HMAC_SHA1_80: { key: 32, salt: 14 },
  AES_256_CM_HMAC_SHA1_32: { key: 32, salt: 14 },
  AES_192_CM_HMAC_SHA1_80: { key: 24, salt: 14 },
  AES_192_CM_HMAC_SHA1_32: { key: 24, salt: 14 },
  AES_CM_128_HMAC_SHA1_80: { key: 16, salt: 14 },
  AES_CM_128_HMAC_SHA1_32: { key: 16, salt: 14 },
  F8_128_HMAC_SHA1_80: { key: 16, salt: 14 },
  F8_128_HMAC_SHA1_32: { key: 16, salt: 14 },
  NULL_HMAC_SHA1_80: { key: 16, salt: 14 },
  NULL_HMAC_SHA1_32: { key: 16, salt: 14 },
} as const;

export type SrtpSuite = keyof typeof SRTP_SUITES;

export interface SrtpKey {
  readonly suite: SrtpSuite;
  /** Master key and salt, concatenated (RFC 4568 §6.1). */
  readonly keySalt: Uint8Array;
  /** UNENCRYPTED_SRTP, UNENCRYPTED_SRTCP and UNAUTHENTICATED_SRTP of SDES (RFC 4568 §6.3); GCM has none of them. Default: false. */
  readonly unencryptedRtp?: boolean;
  readonly unencryptedRtcp?: boolean;
  readonly unauthenticatedRtp?: boolean;
}

export type DataplaneEvent =
  | {
      readonly type: 'learned';
      readonly endpoint: number;
      readonly component: 'rtp' | 'rtcp';
      readonly remote: HostPort;
      readonly how: Exclude<LearnedHow, 'ice'>;
    }
  | {
      /** A source that is not heard; of one source at most every 5 s, of one thread at most 100 a second. */
      readonly type: 'refused';
      readonly endpoint: number;
      readonly component: 'rtp' | 'rtcp';
      readonly remote: HostPort;
      /** A drop reason: unknown-source, authentication, ice. */
      readonly reason: string;
      /** From there, so far. */
      readonly packets: number;
    }
  | {
      /** A telephone-event has ended; once for each. `event`: RFC 4733 §3.2. */
      readonly type: 'dtmf';
      readonly endpoint: number;
      readonly event: number;
      readonly durationMs: number;
      /** dBm0 without its sign. */
      readonly volume: number;
    }
  | {
      readonly type: 'dtls';
      readonly endpoint: number;
      readonly state: 'connected' | 'failed';
      readonly reason?: string;
    }
  /** A playback has come to its end by itself. */
  | { readonly type: 'played'; readonly endpoint: number; readonly playback: number }
  | { readonly type: 'ice'; readonly endpoint: number; readonly remote: HostPort }
  | {
      /** `checks`: no candidate has answered; `consent`: the pair in use has not for 30 s. */
      readonly type: 'ice-failed';
      readonly endpoint: number;
      readonly reason: 'checks' | 'consent';
      readonly remote?: HostPort;
    }
  | { readonly type: 'first-packet'; readonly endpoint: number };

export class DataplaneError extends Error {
  readonly code: 'no-ports' | 'no-interface' | 'bad-argument' | 'closed';

  constructor(code: DataplaneError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'DataplaneError';
    this.code = code;
  }
}
