import type { Flow } from '../io/mod.ts';
import { Message } from '../message/mod.ts';
import {
  CLIENT,
  INVITE_CLIENT,
  INVITE_SERVER,
  SERVER,
  TIMERS,
  type Action,
  type Input,
  type State,
  type Table,
} from './machines.ts';
import type { Timer, TimerQueue } from './timer-queue.ts';

/** What a transaction asks of the layer that holds it. */
export interface TransactionHost {
  readonly timers: TimerQueue;
  transmit(transaction: Transaction, bytes: Uint8Array): void;
  /** A response for the user of a client transaction. */
  response(transaction: Transaction, message: Message, now: number): void;
  failed(transaction: Transaction, why: 'timeout' | 'transport', now: number): void;
  terminated(transaction: Transaction): void;
}

/** A deadline of a transaction: no closure for each, of which there would be one for every message of the last 32 s. */
class StepTimer implements Timer {
  readonly at: number;
  cancelled = false;
  readonly #transaction: Transaction;
  readonly #input: Input;

  constructor(at: number, transaction: Transaction, input: Input) {
    this.at = at;
    this.#transaction = transaction;
    this.#input = input;
  }

  fire(now: number): void {
    this.#transaction.step(this.#input, now);
  }
}

/** Stands for the request of a transaction that needs it no longer. */
const RELEASED = Message.request('', '');

/**
 * One transaction: a state of one of the four tables, the last message sent, and at most three timers.
 * It ends by its own timers; `terminated` is called exactly once.
 */
export class Transaction {
  readonly key: string;
  readonly role: 'client' | 'server';
  readonly method: string;
  readonly invite: boolean;
  /** Server, over UDP: empty once a request other than INVITE and CANCEL has its final answer, which is all that is needed then. */
  request: Message;
  /** Server: by which merged requests are known. */
  mergeKey: string | undefined;
  flow: Flow;
  state: State;
  /** Server: the last response sent. Client: the request's bytes. */
  last: Uint8Array | undefined;
  /** Client: the bytes of the ACK to a non-2xx. */
  ackBytes: Uint8Array | undefined;
  readonly #host: TransactionHost;
  readonly #table: Table;
  readonly #releases: boolean;
  #interval: number = TIMERS.T1;
  #retransmit: Timer | undefined;
  #timeout: Timer | undefined;
  #linger: Timer | undefined;

  constructor(host: TransactionHost, role: 'client' | 'server', key: string, request: Message, flow: Flow) {
    this.#host = host;
    this.role = role;
    this.key = key;
    this.request = request;
    this.flow = flow;
    this.method = request.method;
    this.invite = request.method === 'INVITE';
    this.#releases = role === 'server' && !this.invite && request.method !== 'CANCEL';
    if (role === 'client') {
      this.#table = this.invite ? INVITE_CLIENT : CLIENT;
      this.state = this.invite ? 'calling' : 'trying';
    } else {
      this.#table = this.invite ? INVITE_SERVER : SERVER;
      this.state = this.invite ? 'proceeding' : 'trying';
    }
  }

  /** Client: sends the request and starts timers A/E and B/F (§17.1.1.2, §17.1.2.2). */
  start(bytes: Uint8Array, now: number): void {
    this.last = bytes;
    this.#host.transmit(this, bytes);
    if (!this.flow.reliable) this.#setRetransmit(now);
    this.#timeout = this.#timer(now + 64 * TIMERS.T1, 'timeout');
  }

  /** Gives one input to the table. `message` is what is to be passed up (client) or sent (server). */
  step(input: Input, now: number, message?: Message): void {
    const row = this.#table[this.state]?.[input];
    if (!row) return;
    this.state = row.next;
    for (const action of row.actions) this.#do(action, now, message);
    if (row.next === 'terminated') this.#end();
    // It would be held for 32 s more, and there are many of them; over connections it ends at once, or is sent anew by its Via.
    else if (row.next === 'completed' && this.#releases && input !== 'request' && !this.flow.reliable)
      this.request = RELEASED;
  }

  /** Ends at once, without a word to the user. */
  abandon(): void {
    if (this.state === 'terminated') return;
    this.state = 'terminated';
    this.#end();
  }

  #do(action: Action, now: number, message: Message | undefined): void {
    const { timers } = this.#host;
    switch (action) {
      case 'pass':
        if (!message) return;
        if (this.role === 'client') this.#host.response(this, message, now);
        else {
          this.last = message.toBytes();
          this.#host.transmit(this, this.last);
        }
        return;
      case 'repeat':
        if (this.last) this.#host.transmit(this, this.last);
        return;
      case 'send-ack':
        if (this.ackBytes) this.#host.transmit(this, this.ackBytes);
        return;
      case 'again':
        this.#interval *= 2;
        this.#setRetransmit(now);
        return;
      case 'again-capped':
        // §17.1.2.2: in Proceeding the interval is T2 at once.
        this.#interval =
          this.role === 'client' && this.state === 'proceeding' ? TIMERS.T2 : Math.min(this.#interval * 2, TIMERS.T2);
        this.#setRetransmit(now);
        return;
      case 'start-retransmit':
        this.#interval = TIMERS.T1;
        if (!this.flow.reliable) this.#setRetransmit(now);
        return;
      case 'stop-retransmit':
        timers.cancel(this.#retransmit);
        return;
      case 'start-timeout':
        this.#timeout = this.#timer(now + 64 * TIMERS.T1, 'timeout');
        return;
      case 'stop-timeout':
        timers.cancel(this.#timeout);
        return;
      case 'start-linger':
        this.#linger = this.#timer(now + this.#lingerMs(), 'linger');
        return;
      case 'report-timeout':
        this.#host.failed(this, 'timeout', now);
        return;
      case 'report-transport-error':
        this.#host.failed(this, 'transport', now);
        return;
      default:
        action satisfies never;
    }
  }

  #timer(at: number, input: Input): Timer {
    return this.#host.timers.add(new StepTimer(at, this, input));
  }

  #setRetransmit(now: number): void {
    this.#host.timers.cancel(this.#retransmit);
    this.#retransmit = this.#timer(now + this.#interval, 'retransmit');
  }

  /** How long stragglers are waited for: timers D, I, J, K, and L and M (RFC 6026), which do not depend on the transport. */
  #lingerMs(): number {
    if (this.state === 'accepted') return 64 * TIMERS.T1;
    if (this.flow.reliable) return 0;
    if (this.invite) return this.role === 'client' ? TIMERS.D : TIMERS.T4;
    return this.role === 'client' ? TIMERS.T4 : 64 * TIMERS.T1;
  }

  #end(): void {
    this.#host.timers.cancel(this.#retransmit);
    this.#host.timers.cancel(this.#timeout);
    this.#host.timers.cancel(this.#linger);
    this.#host.terminated(this);
  }
}
