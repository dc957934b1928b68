import type { Endpoint, SrtpKey } from '../dataplane/mod.ts';
import type { Codec } from '../../codecs/mod.ts';
import type { MediaFlags } from './flags.ts';
import type { RemoteMedia } from './remote-media.ts';

/** A call on this node: one ng call-id. */
export interface Session {
  readonly callId: string;
  /** Epoch ms. */
  readonly createdAt: number;
  lastSignalAt: number;
  readonly dialogues: Dialogue[];
}

/** Two parties of a call that hear each other. Forking makes several with the same first party. */
export interface Dialogue {
  readonly viaBranch: string | undefined;
  readonly a: Party;
  /** Its tag comes with the first answer. */
  readonly b: Party;
  readonly lines: Line[];
}

export interface Party {
  tag: string | undefined;
  bundle: readonly string[];
}

/** One media line of a dialogue. */
export interface Line {
  readonly index: number;
  readonly a: Side;
  readonly b: Side;
}

/** Our end towards one party for one media line. */
export interface Side {
  endpoint: Endpoint | undefined;
  /** The port kind of `endpoint`; a change of mind opens another. */
  socket: 'pair' | 'single' | 'shared' | undefined;
  remote: RemoteMedia | undefined;
  /** Of the last offer or answer that concerned this side. */
  flags: MediaFlags | undefined;
  /** What we have told this party: its formats and how they are carried. */
  protocol: string;
  codecs: readonly Codec[];
  /** Of our last offer to this party: it sends by these numbers, whatever its answer calls them (RFC 3264 §6.1). */
  offered: readonly Codec[];
  ice: { readonly ufrag: string; readonly pwd: string } | undefined;
  dtls: boolean;
  /** Ours of DTLS; decided by offer and answer. */
  role: 'client' | 'server' | undefined;
  sdes: { readonly tag: number; readonly key: SrtpKey }[];
  rtcpMux: boolean;
}

export function newSide(): Side {
  return {
    endpoint: undefined,
    socket: undefined,
    remote: undefined,
    flags: undefined,
    protocol: 'RTP/AVP',
    codecs: [],
    offered: [],
    ice: undefined,
    dtls: false,
    role: undefined,
    sdes: [],
    rtcpMux: false,
  };
}

export function newLine(index: number): Line {
  return { index, a: newSide(), b: newSide() };
}

/** What the caller of ng is told; `status` is for metrics. */
export class SessionError extends Error {
  readonly code: 'unknown-call' | 'bad-sdp' | 'bad-request' | 'no-ports' | 'full' | 'draining';

  constructor(code: SessionError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'SessionError';
    this.code = code;
  }
}
