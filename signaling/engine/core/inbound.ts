import { createHash } from 'node:crypto';
import { refreshTarget, type Dialog } from '../dialog/mod.ts';
import type { Flow } from '../io/mod.ts';
import { ALLOW, Message, parseContacts, parseCSeq, refusalOf, tagOf, type ParseFailure } from '../message/mod.ts';
import type { Transaction } from '../transaction/mod.ts';
import { buildResponse, markVia } from './build.ts';
import { deliver, type Core } from './context.ts';
import { endLeg, stopRepeating } from './legs.ts';
import { endWithBye } from './outbound.ts';
import type { Leg, ServerRequest } from './records.ts';

/** These begin outside of a dialog. */
const NEEDS_DIALOG = new Set(['BYE', 'UPDATE', 'PRACK']);
/** An application that has said nothing at all for this long has forgotten the request. */
const SILENCE_MS = 30_000;

/** A message from the transports. */
export function receive(core: Core, message: Message, flow: Flow, now: number): void {
  if (message.type === 'request') {
    markVia(message, flow);
    if (message.method !== 'ACK' && message.method !== 'CANCEL' && !core.layer.knows(message)) {
      const refusal = refusalOf(message);
      if (refusal) {
        answerStateless(core, message, flow, refusal.status, refusal.reason, refusal.headers);
        return;
      }
      if (tagOf(message.get('to')) === undefined && refuse(core, message, flow)) return;
    }
  }
  core.layer.receive(message, flow, now);
}

/** What is refused before it costs any state. */
function refuse(core: Core, request: Message, flow: Flow): boolean {
  if (core.layer.merges(request)) {
    answerStateless(core, request, flow, 482, 'Merged Request');
    return true;
  }
  if (core.draining && request.method === 'INVITE') {
    core.counters.refused++;
    answerStateless(core, request, flow, 503, 'Draining', [{ name: 'Retry-After', value: '5' }]);
    return true;
  }
  const { protocol, remote } = flow;
  const decision = core.policy.challenge?.(request, { protocol, ...remote }, core.wall());
  if (!decision) return false;
  core.counters.challenged++;
  answerStateless(core, request, flow, decision.status, decision.reason, decision.headers);
  return true;
}

export function answerStateless(
  core: Core,
  request: Message,
  flow: Flow,
  status: number,
  reason?: string,
  headers: readonly { readonly name: string; readonly value: string }[] = [],
): void {
  if (request.method === 'ACK') return;
  // The same request again gets the same tag (§8.2.7).
  const seed = `${request.get('call-id')} ${request.get('via')} ${request.get('cseq')}`;
  const tag = createHash('sha1').update(seed).digest('hex').slice(0, 16);
  const response = buildResponse(request, status, reason, tag, flow);
  for (const { name, value } of headers) response.append(name, value);
  core.transmit(flow, response.toBytes());
}

/** Bytes that were no SIP message: answered when there is enough of it to answer (RFC 3261 §8.2, §18.3). */
export function receiveMalformed(core: Core, failure: ParseFailure, flow: Flow): void {
  const { partial } = failure;
  if (!(partial instanceof Message) || partial.method === 'ACK') return;
  markVia(partial, flow);
  const headers = failure.status === 501 ? [{ name: 'Allow', value: ALLOW }] : [];
  answerStateless(core, partial, flow, failure.status, failure.reason, headers);
}

/** A request that begins a server transaction. */
export function receiveRequest(core: Core, transaction: Transaction, now: number): void {
  const message = transaction.request;
  const toTag = tagOf(message.get('to'));
  const fromTag = tagOf(message.get('from'));
  if (toTag === undefined) {
    receiveOutside(core, transaction, now);
    return;
  }
  const dialog = core.dialogs.find(message.get('call-id') ?? '', toTag, fromTag ?? '');
  const leg = dialog && core.legs.get(dialog.id);
  if (dialog && leg) {
    receiveInside(core, transaction, dialog, leg, now);
    return;
  }
  if (message.method === 'INVITE') answer(core, transaction, 100, undefined, now);
  if (core.policy.orphanRequests === 'deliver') hand(core, transaction, undefined, '', now);
  else answer(core, transaction, 481, undefined, now);
}

function receiveOutside(core: Core, transaction: Transaction, now: number): void {
  const message = transaction.request;
  const { method } = message;
  if (NEEDS_DIALOG.has(method)) {
    answer(core, transaction, 481, undefined, now);
    return;
  }
  if (method === 'REGISTER') {
    const contacts = parseContacts(message.getAll('contact'));
    const wildcard = contacts?.type === 'all' && message.get('expires')?.trim() !== '0';
    if (!contacts || wildcard) {
      answer(core, transaction, 400, wildcard ? 'Contact * Needs Expires 0' : 'Malformed Contact', now);
      return;
    }
  }
  if (method === 'INVITE') answer(core, transaction, 100, undefined, now);
  hand(core, transaction, undefined, '', now);
}

function receiveInside(core: Core, transaction: Transaction, dialog: Dialog, leg: Leg, now: number): void {
  const message = transaction.request;
  const { method } = message;
  const cseq = parseCSeq(message.get('cseq') ?? '')?.number ?? 0;
  if (dialog.remoteCSeq !== undefined && cseq < dialog.remoteCSeq) {
    answer(core, transaction, 500, 'CSeq Out of Order', now);
    return;
  }
  if (method === 'INVITE') {
    if (leg.clientInvite) {
      answer(core, transaction, 491, undefined, now);
      return;
    }
    if (leg.serverInvite || leg.accepted) {
      answer(core, transaction, 500, undefined, now, { 'Retry-After': '2' });
      return;
    }
  }
  if (method === 'PRACK' && !acknowledgeProvisional(core, leg, message)) {
    answer(core, transaction, 481, undefined, now);
    return;
  }
  dialog.remoteCSeq = cseq;
  // The peer may have moved to another connection.
  if (transaction.flow !== dialog.flow) dialog.flow = transaction.flow;
  if (method === 'INVITE' || method === 'UPDATE' || method === 'SUBSCRIBE') refreshTarget(dialog, message);
  if (method === 'INVITE') answer(core, transaction, 100, undefined, now);
  const request = hand(core, transaction, leg, leg.id, now);
  if (method === 'INVITE') leg.serverInvite = request;
  const terminated =
    method === 'NOTIFY' &&
    leg.method === 'SUBSCRIBE' &&
    /^\s*terminated/i.test(message.get('subscription-state') ?? '');
  if (method === 'BYE') {
    // What the application still holds of this dialog can no longer be answered in a useful way.
    for (const open of [...core.serverRequests.values()]) {
      if (open.leg === leg && open !== request) {
        const final = open.transaction.invite ? 487 : 500;
        finish(core, open);
        answer(core, open.transaction, final, undefined, now, {}, open.localTag);
      }
    }
  }
  if (method === 'BYE' || terminated) endLeg(core, leg);
}

/** Gives a request to an application. */
function hand(core: Core, transaction: Transaction, leg: Leg | undefined, dialogId: string, now: number) {
  const message = transaction.request;
  const app = leg ? leg.app : core.apps.pick(message.method);
  if (!app || app.closed) {
    answer(core, transaction, leg ? 481 : 503, undefined, now);
    return undefined;
  }
  const request: ServerRequest = {
    id: core.ids.uuid(),
    transaction,
    message,
    app,
    leg,
    inDialog: tagOf(message.get('to')) !== undefined,
    localTag: undefined,
    timer: undefined,
  };
  request.timer = core.layer.timers.set(now + SILENCE_MS, (at) => {
    if (transaction.invite && transaction.last !== undefined && request.localTag !== undefined) return;
    finish(core, request);
    answer(core, transaction, 504, 'Application Did Not Answer', at, {}, request.localTag);
  });
  core.serverRequests.set(request.id, request);
  core.byServerTransaction.set(transaction, request);
  deliver(core, app, message, transaction.flow, request.id, dialogId, leg === undefined);
  return request;
}

/** Forgets a request that has its final answer. */
export function finish(core: Core, request: ServerRequest): void {
  core.layer.timers.cancel(request.timer);
  core.serverRequests.delete(request.id);
  core.byServerTransaction.delete(request.transaction);
  if (request.leg?.serverInvite === request) request.leg.serverInvite = undefined;
}

/** An answer by the engine itself. */
export function answer(
  core: Core,
  transaction: Transaction,
  status: number,
  reason: string | undefined,
  now: number,
  headers: Readonly<Record<string, string>> = {},
  tag?: string,
): void {
  const { request, flow } = transaction;
  const response = buildResponse(request, status, reason, status === 100 ? undefined : (tag ?? core.ids.tag()), flow);
  response.remove('contact');
  for (const [name, value] of Object.entries(headers)) response.append(name, value);
  core.layer.respond(transaction, response, now);
}

/** An ACK to a 2xx: ends its repetition and goes to the application (RFC 3261 §13.3.1.4). */
export function receiveAck(core: Core, message: Message, flow: Flow): void {
  const toTag = tagOf(message.get('to'));
  const fromTag = tagOf(message.get('from'));
  if (toTag === undefined || fromTag === undefined) return;
  const dialog = core.dialogs.find(message.get('call-id') ?? '', toTag, fromTag);
  const leg = dialog && core.legs.get(dialog.id);
  const accepted = leg?.accepted;
  if (!leg || !accepted || parseCSeq(message.get('cseq') ?? '')?.number !== accepted.cseq) return;
  stopRepeating(core, accepted);
  leg.accepted = undefined;
  markVia(message, flow);
  deliver(core, leg.app, message, flow, accepted.transactionId ?? core.ids.uuid(), leg.id, false);
}

/** CANCEL: 200 to it, 487 to the INVITE, and the application is told (§9.2). */
export function receiveCancel(core: Core, cancel: Transaction, invite: Transaction | undefined, now: number): void {
  const request = invite && core.byServerTransaction.get(invite);
  if (!request || !invite) {
    const accepted = invite?.state === 'accepted';
    answer(core, cancel, accepted ? 200 : 481, undefined, now);
    return;
  }
  const { leg } = request;
  answer(core, cancel, 200, undefined, now, {}, request.localTag);
  deliver(core, request.app, cancel.request, cancel.flow, request.id, leg?.id ?? '', false);
  finish(core, request);
  answer(core, invite, 487, undefined, now, {}, request.localTag);
  if (leg && !request.inDialog) endLeg(core, leg);
}

/** RAck names the provisional answer that a PRACK is for (RFC 3262 §7.2). */
function acknowledgeProvisional(core: Core, leg: Leg, prack: Message): boolean {
  const [rseq, cseq] = (prack.get('rack') ?? '').trim().split(/\s+/);
  const { reliable } = leg;
  if (!reliable || Number(rseq) !== reliable.rseq || Number(cseq) !== reliable.cseq) return false;
  stopRepeating(core, reliable);
  leg.reliable = undefined;
  return true;
}

/** The owner is gone: what it held is answered, its dialogs end (RFC 3261 §13.3.1.4 and §15 for calls nobody serves). */
export function appGone(core: Core, app: Leg['app'], now: number): void {
  for (const request of [...core.serverRequests.values()]) {
    if (request.app !== app) continue;
    finish(core, request);
    answer(core, request.transaction, 503, 'Application Gone', now, {}, request.localTag);
  }
  for (const leg of [...core.legs.values()]) {
    if (leg.app === app) endWithBye(core, leg, 'SIP;cause=503;text="application gone"', now, false);
  }
}
