import type { DigestAlgorithm } from './digest.ts';

/** What a kind of softphone needs, beyond the RFCs or short of them. Every field is read somewhere; none is a hint. */
export interface Profile {
  readonly name: string;
  /** Digest algorithms in the order of the challenge lines; none: those of the configuration. */
  readonly algorithms: readonly DigestAlgorithm[] | undefined;
  /** Whether a Bearer line may stand before those of Digest: some read the first line that there is. */
  readonly tokens: boolean;
  /** `first`: it finds its own expiry by taking the first in the answer. `only`: the answer names no other device. */
  readonly contacts: 'first' | 'only';
  /** What it may be granted, in seconds; none: the limits of the configuration. */
  readonly maxSeconds: number | undefined;
  /** The first CSeq of our own requests to it; none: any. */
  readonly firstCSeq: number | undefined;
  /** `any`; `one`: exactly one 18x before the 200; `with-sdp`: only those that carry SDP. */
  readonly provisional: 'any' | 'one' | 'with-sdp';
  /** How its connection is kept open and known to live: RFC 5626 §4.4 CRLF or STUN by Flow-Timer, or WebSocket pings. */
  readonly keepAlive: 'flow-timer' | 'ws-ping';
  /** How it is moved, or refused in a storm: by the end of its connection, or by a 503 that it obeys. */
  readonly move: 'close' | 'refuse';
}

/** How a profile is recognised: by User-Agent, or by how its REGISTER looks when the name was changed. */
export interface Recognition {
  readonly profile: string;
  readonly userAgent: RegExp;
  readonly looks?: { readonly transport: string; readonly instance: boolean; readonly supported: boolean };
}

const STANDARD: Profile = {
  name: 'standard',
  algorithms: undefined,
  tokens: true,
  contacts: 'first',
  maxSeconds: undefined,
  firstCSeq: undefined,
  provisional: 'any',
  keepAlive: 'flow-timer',
  move: 'refuse',
};

/**
 * Measured with the real packages; each field stands for something that breaks or strands that client otherwise. JsSIP
 * and SIP.js know MD5 alone and take the last challenge line; a 503 to REGISTER leaves JsSIP unregistered for good.
 */
export const PROFILES: readonly Profile[] = [
  STANDARD,
  { ...STANDARD, name: 'jssip', algorithms: ['SHA-256', 'MD5'], keepAlive: 'ws-ping', move: 'close' },
  { ...STANDARD, name: 'sipjs', algorithms: ['SHA-256', 'MD5'], keepAlive: 'ws-ping', move: 'close' },
  {
    ...STANDARD,
    name: 'ringcentral-web-phone',
    algorithms: ['MD5'],
    tokens: false,
    contacts: 'only',
    maxSeconds: 60,
    // It takes a message for the answer to its own request by the number of the CSeq alone, and counts from 0 to 9999.
    firstCSeq: 1_000_000,
    // A second 18x is a failed call; a 200 without one is never acknowledged.
    provisional: 'one',
    keepAlive: 'ws-ping',
    move: 'close',
  },
  {
    ...STANDARD,
    name: 'ringcentral-softphone',
    algorithms: ['MD5'],
    tokens: false,
    contacts: 'only',
    firstCSeq: 1_000_000,
    // It reads its keys from the first answer that is not 100.
    provisional: 'with-sdp',
    move: 'close',
  },
  { ...STANDARD, name: 'baresip', algorithms: ['MD5'], tokens: false },
];

/** In this order; the first that fits. */
export const RECOGNITIONS: readonly Recognition[] = [
  { profile: 'jssip', userAgent: /^JsSIP\b/i },
  { profile: 'sipjs', userAgent: /\bSIP\.js\//i },
  {
    profile: 'ringcentral-web-phone',
    userAgent: /^ringcentral-web-phone/i,
    looks: { transport: 'wss', instance: true, supported: false },
  },
  { profile: 'ringcentral-softphone', userAgent: /^ringcentral-softphone/i },
  { profile: 'baresip', userAgent: /^baresip\b/i },
];
