import type { AppLink } from '../control/mod.ts';
import type { Dialog } from '../dialog/mod.ts';
import type { Flow, Target } from '../io/mod.ts';
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
}

/** A request of ours that has no final answer yet. */
export interface ClientRequest {
  readonly id: string;
  readonly request: Message;
  transaction: Transaction | undefined;
  /** Absent when the engine itself sent it: its answer interests nobody. */
  readonly app: AppLink | undefined;
  leg: Leg | undefined;
  /** It went out in a dialog that was there before. */
  readonly inDialog: boolean;
  provisional: boolean;
  done: boolean;
  cancel: 'no' | 'held' | 'sent';
  cancelHeaders: readonly { readonly name: string; readonly value: string }[];
  /** After CANCEL: the peer that does not even say 487 (§9.1). */
  timer: Timer | undefined;
  /** The engine's own request: what becomes of its answer. */
  onFinal: ((response: Message, now: number) => void) | undefined;
  /** What is left to try when this target cannot be reached (RFC 3263 §4.3). */
  alternatives: readonly Target[];
}

/** A message that is repeated until it is acknowledged: a 2xx to INVITE (§13.3.1.4) or a reliable 1xx (RFC 3262 §3). */
export interface Repeated {
  /** What the ACK is delivered with: the INVITE's transaction id, or a fresh one for a re-INVITE. */
  readonly transactionId: string | undefined;
  /** CSeq number of the INVITE. */
  readonly cseq: number;
  readonly rseq: number;
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
 * A forked INVITE has several dialogs on the wire; the table of dialogs knows them by the leg's id.
 */
export interface Leg {
  /** `<Call-ID>;from-tag=<tag>`. */
  readonly id: string;
  readonly role: 'uac' | 'uas';
  readonly method: string;
  readonly app: AppLink;
  /** The peer's (re-)INVITE that the application has not answered. */
  serverInvite: ServerRequest | undefined;
  /** Our (re-)INVITE without a final answer. */
  clientInvite: ClientRequest | undefined;
  accepted: Repeated | undefined;
  reliable: Repeated | undefined;
  lastRSeq: number;
  answered: Answered | undefined;
  /** The peer's UPDATE that the application has not answered (RFC 3311 §5.2). */
  serverUpdate: ServerRequest | undefined;
  /** NOTIFYs that were quicker than the answer to our SUBSCRIBE (RFC 6665 §4.1.2.4). */
  earlyNotifies: Transaction[];
  /** What the next refresh says again. */
  localSdp: Uint8Array | undefined;
  /** Of the session timer (RFC 4028): when to refresh, or when to give up. */
  session: { readonly seconds: number; readonly timer: Timer } | undefined;
  /** A BYE of the application is in the call's records; a second one repeats it with credentials. */
  byeRecorded: boolean;
  /** The application cancelled and a 200 crossed the CANCEL: BYE follows the ACK. */
  cancelled: boolean;
}
