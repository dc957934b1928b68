import { MIN_SE, refreshTarget, tooOften, type Dialog } from '../dialog/mod.ts';
import type { Flow } from '../io/mod.ts';
import { ALLOW, Message, parseContacts, parseCSeq, refusalOf, tagOf, type ParseFailure } from '../message/mod.ts';
import type { Transaction } from '../transaction/mod.ts';
import { answer, answerStateless, finish } from './answer.ts';
import { markVia } from './build.ts';
import { cdrAttempt, cdrStop } from './cdr.ts';
import { deliver, type Core } from './context.ts';
import { hand, handOutside } from './hand.ts';
import { endLeg, stopRepeating } from './legs.ts';
import { endWithBye } from './outbound.ts';
import { proxyAck, proxyCancel, proxyInside } from './proxying.ts';
import type { Leg } from './records.ts';

/** NOTIFYs that wait for one answer. */
const MAX_EARLY = 4;
/** What an application needs to listen to a dialog that it has just got. */
const TELL_MS = 50;
/** These only make sense inside of a dialog. */
const NEEDS_DIALOG = new Set(['BYE', 'UPDATE', 'PRACK']);

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
  if (decision.close === true) core.transports.closeFlow(flow, 'refused');
  return true;
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
  if (proxyInside(core, transaction, now)) return;
  if (message.method === 'NOTIFY' && holdNotify(core, transaction, toTag)) return;
  if (message.method === 'INVITE') answer(core, transaction, 100, undefined, now);
  if (core.policy.orphanRequests === 'deliver') hand(core, transaction, undefined, '', now);
  else answer(core, transaction, 481, undefined, now);
}

/** It waits for the dialog that the answer to our SUBSCRIBE makes: the application knows of it only then. */
function holdNotify(core: Core, transaction: Transaction, toTag: string): boolean {
  const leg = core.legs.get(`${transaction.request.get('call-id')};from-tag=${toTag}`);
  if (leg?.method !== 'SUBSCRIBE' || leg.role !== 'uac' || core.dialogs.byId(leg.id)) return false;
  if (leg.earlyNotifies.length >= MAX_EARLY) return false;
  leg.earlyNotifies.push(transaction);
  return true;
}

/** There is a dialog now, of which the application has just been told; or there never will be one: then they get 481. */
export function releaseNotifies(core: Core, leg: Leg, now: number): void {
  core.layer.timers.set(now + TELL_MS, (at) => {
    for (const transaction of leg.earlyNotifies.splice(0)) receiveRequest(core, transaction, at);
  });
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
  if (method === 'INVITE') {
    cdrAttempt(core, 'network', message);
    answer(core, transaction, 100, undefined, now);
  }
  handOutside(core, transaction, now);
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
  // One at a time (RFC 3311 §5.2).
  if (method === 'UPDATE' && leg.serverUpdate) {
    answer(core, transaction, 500, undefined, now, { 'Retry-After': '2' });
    return;
  }
  if ((method === 'INVITE' || method === 'UPDATE') && tooOften(message)) {
    answer(core, transaction, 422, undefined, now, { 'Min-SE': String(MIN_SE) });
    return;
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
  if (method === 'UPDATE') leg.serverUpdate = request;
  const terminated =
    method === 'NOTIFY' &&
    leg.method === 'SUBSCRIBE' &&
    /^\s*terminated/i.test(message.get('subscription-state') ?? '');
  if (method === 'BYE') {
    if (leg.method === 'INVITE') cdrStop(core, 'network', 'normal-release', message);
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

/** An ACK to a 2xx: ends its repetition and goes to the application (RFC 3261 §13.3.1.4). */
export function receiveAck(core: Core, message: Message, flow: Flow): void {
  const toTag = tagOf(message.get('to'));
  const fromTag = tagOf(message.get('from'));
  if (toTag === undefined || fromTag === undefined) return;
  const dialog = core.dialogs.find(message.get('call-id') ?? '', toTag, fromTag);
  const leg = dialog && core.legs.get(dialog.id);
  const accepted = leg?.accepted;
  if (!dialog && proxyAck(core, message)) return;
  if (!leg || !accepted || parseCSeq(message.get('cseq') ?? '')?.number !== accepted.cseq) return;
  stopRepeating(core, accepted);
  leg.accepted = undefined;
  markVia(message, flow);
  deliver(core, leg.app, message, flow, accepted.transactionId ?? core.ids.uuid(), leg.id, false);
}

/** CANCEL: 200 to it, 487 to the INVITE, and the application is told (§9.2). */
export function receiveCancel(core: Core, cancel: Transaction, invite: Transaction | undefined, now: number): void {
  if (proxyCancel(core, cancel, invite, now)) return;
  if (invite && core.routing.delete(invite)) {
    answer(core, cancel, 200, undefined, now);
    cdrStop(core, 'network', 'call-canceled', cancel.request);
    answer(core, invite, 487, undefined, now);
    return;
  }
  const request = invite && core.byServerTransaction.get(invite);
  if (!request || !invite) {
    const accepted = invite?.state === 'accepted';
    answer(core, cancel, accepted ? 200 : 481, undefined, now);
    return;
  }
  const { leg } = request;
  answer(core, cancel, 200, undefined, now, {}, request.localTag);
  if (!request.inDialog) cdrStop(core, 'network', 'call-canceled', cancel.request);
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
    if (leg.app === app) endWithBye(core, leg, 'SIP;cause=503;text="application gone"', false);
  }
}
