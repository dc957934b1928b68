import type { AppLink } from '../control/mod.ts';
import type { Dialog } from '../dialog/mod.ts';
import type { Flow } from '../io/mod.ts';
import type { Message } from '../message/mod.ts';
import type { Timer, Transaction } from '../transaction/mod.ts';

/** A request from the network that an application holds and has not finally answered. */
export interface ServerRequest {
  /** The control protocol's transaction id: the application's handle for its answers. */
  readonly id: string;
  readonly transaction: Transaction;
  readonly message: Message;
  readonly app: AppLink;
  /** In-dialog requests: from the start. INVITE and SUBSCRIBE outside of one: from the first answer on. */
  leg: Leg | undefined;
  readonly inDialog: boolean;
  /** The To tag of our answers, once there was one. */
  localTag: string | undefined;
  /** Gives up on an application that never answers. */
  timer: Timer | undefined;
  /** Reliable provisional answers that wait for their PRACK (RFC 3262 §3), by RSeq. */
  readonly reliable: Map<number, ReliableAnswer>;
  lastRSeq: number;
  /** Set while the request is being proxied. */
  proxy: { cancel(now: number): void } | undefined;
}

export interface ReliableAnswer {
  readonly bytes: Uint8Array;
  intervalMs: number;
  readonly giveUpAt: number;
  timer: Timer | undefined;
}

/** A request of ours that has no final answer yet. */
export interface ClientRequest {
  readonly id: string;
  readonly request: Message;
  transaction: Transaction | undefined;
  /** Absent when the engine itself sent it. */
  readonly app: AppLink | undefined;
  readonly leg: Leg | undefined;
  provisional: boolean;
  done: boolean;
  cancel: 'no' | 'held' | 'sent';
  cancelHeaders: readonly { readonly name: string; readonly value: string }[];
  /** After CANCEL: the peer that does not even say 487 (§9.1). */
  timer: Timer | undefined;
  /** Engine's own requests and proxied ones: instead of a frame to an application. */
  readonly onResponse: ((response: Message, now: number) => void) | undefined;
}

/** Our 2xx to an INVITE, repeated until its ACK comes (RFC 3261 §13.3.1.4). */
export interface Accepted {
  /** What the ACK is delivered with: the INVITE's transaction id, or a fresh one for a re-INVITE. */
  readonly transactionId: string | undefined;
  readonly cseq: number;
  readonly bytes: Uint8Array;
  readonly flow: Flow;
  intervalMs: number;
  readonly giveUpAt: number;
  timer: Timer | undefined;
}

/** The peer's 2xx to our INVITE: what its ACK is made from, and the ACK, to repeat it. */
export interface Answered {
  readonly cseq: number;
  readonly dialog: Dialog;
  readonly invite: Message;
  ack: { readonly bytes: Uint8Array; readonly flow: Flow } | undefined;
}

/**
 * What the control protocol calls a dialog: one INVITE or SUBSCRIBE of one application and everything after it.
 * A forked INVITE has several dialogs on the wire; `dialog` is the confirmed one, else the latest.
 */
export interface Leg {
  readonly id: string;
  readonly role: 'uac' | 'uas';
  readonly method: string;
  readonly callId: string;
  readonly localTag: string;
  app: AppLink;
  dialog: Dialog | undefined;
  /** The peer's (re-)INVITE that the application has not answered. */
  serverInvite: ServerRequest | undefined;
  /** Our (re-)INVITE without a final answer. */
  clientInvite: ClientRequest | undefined;
  accepted: Accepted | undefined;
  answered: Answered | undefined;
  /** The latest reliable provisional answer of each fork: what PRACK acknowledges. */
  lastReliable: { readonly dialog: Dialog; readonly rseq: number; readonly cseq: number } | undefined;
  /** The way to the next hop, as long as the next hop is the same. */
  hop: { readonly uri: string; readonly flow: Flow } | undefined;
  /** The last SDP we sent, for the refreshes of the session timer. */
  localSdp: Uint8Array | undefined;
  /** The application cancelled and a 200 crossed the CANCEL: BYE follows the ACK. */
  cancelled: boolean;
  byeSent: boolean;
  session: { readonly seconds: number; readonly refresher: 'us' | 'them'; timer: Timer | undefined } | undefined;
  /** Set when the owner is gone. */
  orphanTimer: Timer | undefined;
  ended: boolean;
}
