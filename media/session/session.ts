import type { Endpoint, SrtpKey } from '../dataplane/mod.ts';
import type { Codec } from '../../codecs/mod.ts';
import type { MediaFlags } from './flags.ts';
import type { CodingPolicy } from './formats.ts';
import { openGates, type Gates } from './gates.ts';
import type { RemoteIce } from './candidates.ts';
import type { RemoteMedia, SdesLine } from './remote-media.ts';

/** A call on this node: one ng call-id. */
export interface Session {
  readonly callId: string;
  /** Names of calls that have become a part of this one. */
  aliases: readonly string[];
  /** Epoch ms. */
  readonly createdAt: number;
  lastSignalAt: number;
  /** Of everybody, beside each party's own. */
  readonly gates: Gates;
  /** IP_TOS that offers and answers want, and whether endpoints have it. */
  tos: number | undefined;
  marked: boolean;
  /** RTCP of the parties ends here; reports are ours. */
  ownReports: boolean;
  readonly dialogues: Dialogue[];
  /** By their to-tags. */
  readonly subscriptions: Map<string, Subscription>;
  /** What others keep beside the call, and what goes with it. */
  readonly attached: Set<Attachment>;
}

export interface Attachment {
  /** A line for `explain`. */
  readonly about?: string;
  /** After an offer or answer: endpoints may be others now. */
  changed(): void;
  /** The call is over; its endpoints still stand. */
  ended(): void;
  /** The call has become a part of another one. */
  merged(into: Session): void;
}

/** Somebody who gets copies of what parties of the call send. */
export interface Subscription {
  readonly party: Party;
  /** What it was told is its own, not the text of the party it hears. */
  readonly heading: Heading;
  readonly lines: SubscribedLine[];
}

export interface SubscribedLine {
  /** Towards the subscriber. */
  readonly side: Side;
  /** Whose media: the party's tag, and which of its media lines, from 0. */
  tag: string;
  index: number;
  /** The subscriber wants it. */
  on: boolean;
  /** Something of it is coded for the subscriber. */
  coded: boolean;
}

/** o= and s= of a description, without their names. */
export interface Heading {
  readonly origin: string;
  readonly name: string;
}

/** Two parties of a call that hear each other. Forking makes several with the same first party. */
export interface Dialogue {
  /** Its number among those that the call has had, from 0. */
  serial: number;
  /** Who has left it for another party (ng's `connect`), on which side; who remains hears nobody. */
  left: { readonly which: 'a' | 'b'; readonly tag: string | undefined } | undefined;
  /** `a` is only heard (ng's `publish`); there is nobody else. */
  readonly published: boolean;
  readonly viaBranch: string | undefined;
  readonly a: Party;
  /** Its tag comes with the first answer. */
  readonly b: Party;
  readonly lines: Line[];
  /** Who gets back what it sends; who does not is not heard by anybody. Undefined: the two hear each other. */
  echo: { readonly a: boolean; readonly b: boolean } | undefined;
  /** Epoch ms: deleted, but media goes on until then (`delete-delay`). */
  deleteAt: number | undefined;
}

export interface Party {
  tag: string | undefined;
  label: string | undefined;
  /** The BUNDLE group of its last offer: a=mid of its lines; empty when it had none. */
  group: readonly string[];
  /** Whose transport several of its lines use; undefined: each has its own. */
  carrier: Carrier | undefined;
  readonly gates: Gates;
  /** What this party was last told, where ng's `replace` wants it steady. */
  told: Told | undefined;
  /** Of its last description, for whoever subscribes to it. */
  said: Heading | undefined;
}

/** An endpoint that others ride on. It may have outlived the line that it was opened for. */
export interface Carrier {
  readonly endpoint: Endpoint;
  /** What it was opened as. */
  readonly opened: string;
  /** Of the line that speaks for the group. */
  readonly lead: Side;
}

export interface Told {
  readonly username: string;
  readonly sessionName: string;
  readonly version: bigint;
  readonly body: string;
}

/** One media line of a dialogue. */
export interface Line {
  readonly index: number;
  readonly a: Side;
  readonly b: Side;
  /** By the last answer. */
  agreed: Agreed | undefined;
}

export interface Agreed {
  /** Who had offered; nobody where two parties were connected. */
  readonly from: 'a' | 'b' | undefined;
  /** Undefined: packets pass as they are. */
  readonly speech: { readonly a: Codec; readonly b: Codec } | undefined;
  /** SRTP goes through unopened. */
  readonly passing: boolean;
}

/** Our end towards one party for one media line. */
export interface Side {
  endpoint: Endpoint | undefined;
  /** What `endpoint` was opened as; a change of mind opens another. */
  opened: string | undefined;
  remote: RemoteMedia | undefined;
  /** Of the last offer or answer that concerned this side. */
  flags: MediaFlags | undefined;
  /** What we have told this party: its formats and how they are carried. */
  protocol: string;
  codecs: readonly Codec[];
  /** Of our last offer to this party: it sends by these numbers, whatever its answer calls them (RFC 3264 §6.1). */
  offered: readonly Codec[];
  /** What this party's last offer asked us to do when it is answered. */
  coding: CodingPolicy;
  /** Patterns of codecs, with what our encoder towards this party is to do. */
  tuning: readonly string[];
  /** Of our last SDP to this party. */
  ptimeMs: number | undefined;
  ice: { readonly ufrag: string; readonly pwd: string } | undefined;
  /** The peer's name in the ICE association that stands; another one restarts it. */
  iceOf: string | undefined;
  /** The peer's part of that association, with the candidates that have come since. */
  iceWith: RemoteIce | undefined;
  /** We are the ones who choose the pair: decided by the first offer, and kept (RFC 8445 §6.1.1). */
  iceControlling: boolean;
  /** What we have told this party last: `a=ice-lite`. */
  iceLite: boolean;
  /** The parties' own candidates pass, ours stand behind them (`ICE=optional`, `force-relay`). */
  icePassed: boolean;
  dtls: boolean;
  /** Ours of DTLS; decided by offer and answer. */
  role: 'client' | 'server' | undefined;
  sdes: readonly SdesLine[];
  /** Of `sdes`, keys that are the other party's own: its packets pass without being opened. */
  foreign: ReadonlySet<SrtpKey>;
  rtcpMux: boolean;
  /** RTCP has no port of its own. */
  onePort: boolean;
  /** Our last SDP to this party has it in a BUNDLE group. */
  grouped: boolean;
  /** Something is, or has been, put into what this party hears. */
  insertable: boolean;
  /** Names what is being played to it. */
  playing: number | undefined;
}

// One for all sides: a call that stands is to be small.
const NOTHING: readonly never[] = [];
const NOBODYS: ReadonlySet<SrtpKey> = new Set();
const NO_CODING: CodingPolicy = { accepted: [], engaged: false, repacked: false };

export function newSession(callId: string, now: number): Session {
  const times = { createdAt: now, lastSignalAt: now };
  const wishes = { tos: undefined, marked: false, ownReports: false, gates: openGates() };
  return {
    callId,
    aliases: NOTHING,
    ...times,
    ...wishes,
    subscriptions: new Map(),
    attached: new Set(),
    dialogues: [],
  };
}

export function newSide(): Side {
  return {
    endpoint: undefined,
    opened: undefined,
    remote: undefined,
    flags: undefined,
    protocol: 'RTP/AVP',
    codecs: NOTHING,
    offered: NOTHING,
    coding: NO_CODING,
    tuning: NOTHING,
    ptimeMs: undefined,
    ice: undefined,
    iceOf: undefined,
    iceWith: undefined,
    iceControlling: false,
    iceLite: false,
    icePassed: false,
    dtls: false,
    role: undefined,
    sdes: NOTHING,
    foreign: NOBODYS,
    rtcpMux: false,
    onePort: false,
    grouped: false,
    insertable: false,
    playing: undefined,
  };
}

export function newLine(index: number): Line {
  return { index, a: newSide(), b: newSide(), agreed: undefined };
}

export function newParty(tag: string | undefined): Party {
  const nothing = { label: undefined, carrier: undefined, told: undefined, said: undefined };
  return { tag, ...nothing, group: NOTHING, gates: openGates() };
}

/** What the caller of ng is told; `code` is for metrics. */
export class SessionError extends Error {
  readonly code: 'unknown-call' | 'bad-sdp' | 'bad-request' | 'no-ports' | 'full' | 'draining';

  constructor(code: SessionError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'SessionError';
    this.code = code;
  }
}
