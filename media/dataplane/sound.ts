/** Belongs to the packet path; it is freed when nobody holds it. */
export interface Clip {
  readonly native: unknown;
  readonly durationMs: number;
  readonly bytes: number;
}

export interface Playback {
  /** Names it in `played`; from 1. */
  readonly id: number;
  /** Default: once. */
  readonly times?: number;
  /** Where the first time begins. Default: 0. */
  readonly startMs?: number;
  /** Of all times together. Default: none. */
  readonly limitMs?: number;
  /** Who speaks is not heard meanwhile. Default: false. */
  readonly mutePeer?: boolean;
  /** Behind what plays, up to 16, not in its place. Default: false. */
  readonly behind?: boolean;
}

export interface KeyPress {
  /** RFC 4733 §3.2. */
  readonly event: number;
  /** dBm0 without its sign, 0 to 63. */
  readonly volume: number;
  readonly durationMs: number;
  /** Before the next one. */
  readonly pauseMs: number;
  /** The listener's payload type, and its clock. */
  readonly pt: number;
  readonly clockRate: number;
}
