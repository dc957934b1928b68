import type { Flow } from '../io/mod.ts';
import { Message, parseCSeq, parseVia, splitHeaderList, type Via } from '../message/mod.ts';
import { responseKey, clientKey, mergeKey, serverKey } from './keys.ts';
import type { Input } from './machines.ts';
import { TimerQueue } from './timer-queue.ts';
import { Transaction, type TransactionHost } from './transaction.ts';

/** The transaction user: the engine's dialog and control layer. Every call carries `now`, monotonic ms. */
export interface TransactionUser {
  transmit(flow: Flow, bytes: Uint8Array, transaction: Transaction | undefined): void;
  /** A request that begins a transaction. ACK and CANCEL come by calls of their own. */
  request(transaction: Transaction, now: number): void;
  /** An ACK that belongs to no transaction: to a 2xx, or a stray. */
  ack(message: Message, flow: Flow, now: number): void;
  /** `invite` is what the CANCEL is for, when it is known and not yet finally answered. */
  cancel(cancel: Transaction, invite: Transaction | undefined, now: number): void;
  response(transaction: Transaction, message: Message, now: number): void;
  /** A response that no transaction waits for: a 2xx repeated after its transaction has gone. */
  strayResponse(message: Message, flow: Flow, now: number): void;
  failed(transaction: Transaction, why: 'timeout' | 'transport', now: number): void;
  /** The table is full: the request is answered statelessly. */
  overloaded(message: Message, flow: Flow): void;
  /** The peer of a server transaction cannot be answered any more. */
  orphaned(transaction: Transaction): void;
  ended(transaction: Transaction): void;
}

/** All transactions of an engine; pure but for what it calls on its user. */
export class TransactionLayer implements TransactionHost {
  readonly timers = new TimerQueue();
  readonly #user: TransactionUser;
  readonly #limit: number;
  readonly #servers = new Map<string, Transaction>();
  readonly #clients = new Map<string, Transaction>();
  /** Server transactions outside of a dialog that were not refused, by {@link mergeKey}. */
  readonly #merging = new Map<string, Transaction>();
  #identified: { readonly request: Message; readonly key: string | undefined; merge: string | undefined } | undefined;
  /** Responses that no transaction waited for. */
  strays = 0;

  constructor(user: TransactionUser, limit: number) {
    this.#user = user;
    this.#limit = limit;
  }

  get size(): number {
    return this.#servers.size + this.#clients.size;
  }

  /** True when the request belongs to a transaction that is already there. */
  knows(request: Message): boolean {
    const { key } = this.#identify(request);
    return key !== undefined && this.#servers.has(key);
  }

  /**
   * True when the request has come before by another way (RFC 3261 §8.2.2.2): same Call-ID, From tag and CSeq, no To
   * tag, another branch. One that has been through us is a spiral, and none. After a refusal a client that does not
   * count its CSeq on may try again.
   */
  merges(request: Message): boolean {
    const key = this.#identify(request).merge;
    if (key === undefined || !this.#merging.has(key)) return false;
    return !viasOf(request).some((via) => this.#clients.has(clientKey(via.params.get('branch') ?? '', request.method)));
  }

  receive(message: Message, flow: Flow, now: number): void {
    if (message.type === 'response') this.#receiveResponse(message, flow, now);
    else this.#receiveRequest(message, flow, now);
  }

  /** Starts a client transaction; the request's top Via must carry `branch`. */
  send(request: Message, flow: Flow, branch: string, now: number): Transaction {
    const key = clientKey(branch, request.method);
    const transaction = new Transaction(this, 'client', key, request, flow);
    this.#clients.set(key, transaction);
    transaction.start(request.toBytes(), now);
    return transaction;
  }

  /** Sends a response by its server transaction; false when that one already has its final answer. */
  respond(transaction: Transaction, response: Message, now: number): boolean {
    const open = transaction.state === 'trying' || transaction.state === 'proceeding';
    if (!open && !(transaction.state === 'accepted' && statusClass(response.status) === '2xx')) return false;
    if (response.status >= 300) this.#noLongerMerging(transaction);
    transaction.step(statusClass(response.status), now, response);
    return true;
  }

  transmit(transaction: Transaction, bytes: Uint8Array): void {
    this.#user.transmit(transaction.flow, bytes, transaction);
  }

  response(transaction: Transaction, message: Message, now: number): void {
    this.#user.response(transaction, message, now);
  }

  failed(transaction: Transaction, why: 'timeout' | 'transport', now: number): void {
    this.#user.failed(transaction, why, now);
  }

  terminated(transaction: Transaction): void {
    const table = transaction.role === 'client' ? this.#clients : this.#servers;
    if (table.get(transaction.key) === transaction) table.delete(transaction.key);
    this.#noLongerMerging(transaction);
    this.#user.ended(transaction);
  }

  /** The flow is gone: what waited for an answer on it fails now; what is to be answered on it is forgotten. */
  flowClosed(flow: Flow, now: number): void {
    for (const transaction of this.#clients.values()) {
      if (transaction.flow === flow) transaction.step('transport-error', now);
    }
    for (const transaction of this.#servers.values()) if (transaction.flow === flow) this.#user.orphaned(transaction);
  }

  close(): void {
    for (const transaction of [...this.#clients.values(), ...this.#servers.values()]) transaction.abandon();
  }

  #noLongerMerging(transaction: Transaction): void {
    const key = transaction.mergeKey;
    if (key !== undefined && this.#merging.get(key) === transaction) this.#merging.delete(key);
  }

  /** A request is asked for several times in a row: whether it is known, whether it merges, and then to be received. */
  #identify(request: Message) {
    if (this.#identified?.request !== request)
      this.#identified = { request, key: serverKey(request), merge: mergeKey(request) };
    return this.#identified;
  }

  #receiveRequest(message: Message, flow: Flow, now: number): void {
    const { key, merge } = this.#identify(message);
    this.#identified = undefined;
    if (key === undefined) return;
    const known = this.#servers.get(key);
    if (message.method === 'ACK') {
      if (known && known.state !== 'accepted' && known.state !== 'terminated') known.step('ack', now);
      else this.#user.ack(message, flow, now);
      return;
    }
    if (known) {
      // A retransmission may come over another flow than the first (§18.2.1): the answer follows it.
      known.flow = flow;
      known.step('request', now);
      return;
    }
    if (this.size >= this.#limit) {
      this.#user.overloaded(message, flow);
      return;
    }
    const transaction = new Transaction(this, 'server', key, message, flow);
    this.#servers.set(key, transaction);
    if (message.method !== 'CANCEL') {
      if (merge !== undefined) {
        transaction.mergeKey = merge;
        this.#merging.set(merge, transaction);
      }
      this.#user.request(transaction, now);
      return;
    }
    const inviteKey = serverKey(message, 'INVITE');
    const invite = inviteKey === undefined ? undefined : this.#servers.get(inviteKey);
    this.#user.cancel(transaction, invite, now);
  }

  #receiveResponse(message: Message, flow: Flow, now: number): void {
    const key = responseKey(message);
    const transaction = key === undefined ? undefined : this.#clients.get(key);
    if (!transaction) {
      this.strays++;
      this.#user.strayResponse(message, flow, now);
      return;
    }
    if (transaction.invite && message.status >= 300) transaction.ackBytes = ackFor(transaction.request, message);
    transaction.step(statusClass(message.status), now, message);
  }
}

function viasOf(message: Message): Via[] {
  return message.getAll('via').flatMap((value) => splitHeaderList(value).flatMap((part) => parseVia(part) ?? []));
}

/** The ACK to a non-2xx final response (§17.1.1.3): same R-URI, top Via and route as the INVITE, To of the response. */
function ackFor(invite: Message, response: Message): Uint8Array {
  const ack = Message.request('ACK', invite.uri);
  ack.append('Via', invite.get('via') ?? '');
  for (const route of invite.getAll('route')) ack.append('Route', route);
  ack.append('Max-Forwards', '70');
  ack.append('From', invite.get('from') ?? '');
  ack.append('To', response.get('to') ?? '');
  ack.append('Call-ID', invite.get('call-id') ?? '');
  ack.append('CSeq', `${parseCSeq(invite.get('cseq') ?? '')?.number ?? 1} ACK`);
  return ack.toBytes();
}

export function statusClass(status: number): Input & ('1xx' | '2xx' | '3xx-6xx') {
  return status < 200 ? '1xx' : status < 300 ? '2xx' : '3xx-6xx';
}
