import { sipFrame } from '../control/mod.ts';
import { dialogRequest, refreshTarget, uacDialog, type Dialog } from '../dialog/mod.ts';
import type { Flow, TargetFailure } from '../io/mod.ts';
import { parseCSeq, tagOf, type Message } from '../message/mod.ts';
import type { Transaction } from '../transaction/mod.ts';
import { buildResponse, viaFor } from './build.ts';
import { cdrStart, cdrStop } from './cdr.ts';
import { releaseNotifies } from './inbound.ts';
import { sessionAgreed } from './session.ts';
import { deliver, frameTime, type Core } from './context.ts';
import { endLeg } from './legs.ts';
import { byeFor, launch, releaseCancel } from './outbound.ts';
import type { ClientRequest } from './records.ts';
import { noteFailure, retryAfter } from './failover.ts';
import { firstReachable, fitSize, setTopVia } from './ways.ts';

/** A response that belongs to a client transaction. */
export function receiveResponse(core: Core, transaction: Transaction, message: Message, now: number): void {
  const client = core.byClientTransaction.get(transaction);
  // The engine's own CANCELs and BYEs: their answers end the transaction, nobody else waits.
  if (!client) return;
  const { status } = message;
  const first = !client.provisional;
  client.provisional = true;
  if (first && client.cancel === 'held' && status < 200) releaseCancel(core, client);
  if (status === 100) return;
  if (client.done) {
    if (status >= 200 && status < 300 && client.request.method === 'INVITE')
      repeated2xx(core, client, message, transaction.flow, now);
    return;
  }
  if (status === 503 && tryElsewhere(core, client, transaction, retryAfter(message))) return;
  if (status !== 503) core.resolver.answered({ protocol: transaction.flow.protocol, ...transaction.flow.remote });
  const { leg } = client;
  const dialog = leg && dialogOf(core, client, message, transaction.flow);
  if (status >= 200) complete(core, client, message, dialog);
  if (
    leg &&
    status >= 200 &&
    status < 300 &&
    (client.request.method === 'INVITE' || client.request.method === 'UPDATE')
  )
    sessionAgreed(core, leg, message, false, now);
  if (status >= 200) {
    record(core, client, message);
    client.onFinal?.(message, now);
  }
  const dialogId = leg?.id ?? '';
  if (client.app) deliver(core, client.app, message, transaction.flow, client.id, dialogId, false);
  if (status >= 200) afterFinal(core, client, status);
  if (leg && status >= 200 && leg.earlyNotifies.length > 0) releaseNotifies(core, leg, now);
}

function record(core: Core, client: ClientRequest, response: Message): void {
  if (client.request.method !== 'INVITE' || client.inDialog) return;
  if (response.status >= 300) cdrStop(core, 'network', 'call-rejected', response);
  else cdrStart(core, 'network', 'uac', response);
}

/** The dialog that a response makes, confirms or refreshes. */
function dialogOf(core: Core, client: ClientRequest, message: Message, flow: Flow): Dialog | undefined {
  const { leg, request } = client;
  const { status } = message;
  if (!leg || status >= 300) return undefined;
  if (client.inDialog) {
    const dialog = core.dialogs.byId(leg.id);
    const refreshes = request.method === 'INVITE' || request.method === 'UPDATE' || request.method === 'SUBSCRIBE';
    if (dialog && refreshes && status >= 200) refreshTarget(dialog, message);
    return dialog;
  }
  const toTag = tagOf(message.get('to'));
  const fromTag = tagOf(request.get('from'));
  if (toTag === undefined || fromTag === undefined) return undefined;
  let dialog = core.dialogs.find(request.get('call-id') ?? '', fromTag, toTag);
  if (!dialog) {
    dialog = uacDialog(request, message, flow);
    if (!dialog) return undefined;
    core.dialogs.add(dialog);
  } else if (message.get('contact') !== undefined) {
    refreshTarget(dialog, message);
    // The route set may differ between the early and the confirmed dialog (§13.2.2.4).
    if (status >= 200) dialog.routeSet = uacDialog(request, message, flow)?.routeSet ?? dialog.routeSet;
  }
  if (status >= 200) dialog.state = 'confirmed';
  return dialog;
}

function complete(core: Core, client: ClientRequest, message: Message, dialog: Dialog | undefined): void {
  const { leg, request } = client;
  client.done = true;
  core.layer.timers.cancel(client.timer);
  core.clientRequests.delete(client.id);
  if (!leg) return;
  if (leg.clientInvite === client) leg.clientInvite = undefined;
  if (request.method === 'INVITE' && message.status < 300 && dialog) {
    leg.answered = {
      cseq: parseCSeq(request.get('cseq') ?? '')?.number ?? 0,
      dialog,
      invite: request,
      ack: undefined,
    };
    if (client.cancel === 'no') leg.cancelled = false;
    // The other forks will get their own answers, or none (§13.2.2.4).
    if (!client.inDialog) for (const fork of core.dialogs.forks(leg.id)) if (fork !== dialog) core.dialogs.remove(fork);
  }
}

/** What is over with a final answer: after the application has been told. */
function afterFinal(core: Core, client: ClientRequest, status: number): void {
  const { leg, request } = client;
  if (!leg) return;
  const challenged = status === 401 || status === 407;
  if (client.inDialog) {
    if (request.method === 'BYE' && !challenged) endLeg(core, leg);
    const terminated =
      request.method === 'NOTIFY' &&
      leg.method === 'SUBSCRIBE' &&
      /^\s*terminated/i.test(request.get('subscription-state') ?? '');
    if (terminated && !challenged) endLeg(core, leg);
    return;
  }
  if (status >= 300) endLeg(core, leg);
}

/** A 2xx again: the same ACK again. Another fork's 2xx: ACK and BYE, the call is elsewhere (§13.2.2.4). */
function repeated2xx(core: Core, client: ClientRequest, message: Message, flow: Flow, now: number): void {
  const { leg, request } = client;
  if (!leg) return;
  const { answered } = leg;
  if (answered && tagOf(message.get('to')) === answered.dialog.remoteTag) {
    if (answered.ack) core.transmit(answered.ack.flow, answered.ack.bytes);
    return;
  }
  const fork = uacDialog(request, message, flow);
  if (!fork || client.inDialog) return;
  const ack = dialogRequest(fork, 'ACK', fork.inviteCSeq);
  ack.prepend('Via', viaFor(flow, core.ids.branch()));
  core.transmit(flow, ack.toBytes());
  const bye = byeFor(core, fork, 'SIP;cause=200;text="call completed elsewhere"');
  core.layer.send(bye.request, bye.flow, bye.branch, now);
}

/** A 2xx whose transaction is gone: only its ACK can still be missing. */
export function receiveStray(core: Core, message: Message): void {
  if (message.status < 200 || message.status >= 300) return;
  const cseq = parseCSeq(message.get('cseq') ?? '');
  if (cseq?.method !== 'INVITE') return;
  const localTag = tagOf(message.get('from')) ?? '';
  const dialog = core.dialogs.find(message.get('call-id') ?? '', localTag, tagOf(message.get('to')) ?? '');
  const answered = dialog && core.legs.get(dialog.id)?.answered;
  if (answered?.ack && answered.cseq === cseq.number) core.transmit(answered.ack.flow, answered.ack.bytes);
}

/** Nobody answered (408), or the request could not be sent: the next target, or 503, or 430 (§8.1.3.1, RFC 5626 §5.3). */
export function clientFailed(core: Core, transaction: Transaction, why: 'timeout' | 'transport'): void {
  const client = core.byClientTransaction.get(transaction);
  if (!client || client.done || tryElsewhere(core, client, transaction, why)) return;
  const { flow } = transaction;
  const gone = flow.reliable && flow.closed && flow.outgoing !== true;
  failLocally(core, client, why === 'timeout' ? 408 : gone ? 430 : 503);
}

/** The same request to the next target, with a new branch (RFC 3263 §4.3); false when there is none. */
function tryElsewhere(core: Core, client: ClientRequest, transaction: Transaction, why: TargetFailure): boolean {
  const left = noteFailure(core, transaction.flow, why, client.alternatives);
  if (left.length === 0 || client.cancel !== 'no') return false;
  core.byClientTransaction.delete(transaction);
  client.alternatives = [];
  client.provisional = false;
  const branch = core.ids.branch();
  const relaunch = async (): Promise<void> => {
    let way = await firstReachable(core, left);
    if ('flow' in way) {
      setTopVia(client.request, way.flow, branch);
      way = await fitSize(core, way, client.request, branch);
    }
    if (client.done) return;
    if ('error' in way) failLocally(core, client, 503, way.error);
    else if (client.cancel !== 'no') failLocally(core, client, 487);
    else {
      client.alternatives = way.rest;
      launch(core, client, way.flow, branch);
    }
  };
  void relaunch();
  return true;
}

/** A final answer that the engine makes up for a peer that gave none. */
export function failLocally(core: Core, client: ClientRequest, status: number, reason?: string): void {
  if (client.done) return;
  const flow = client.transaction?.flow ?? core.anyFlow();
  const response = buildResponse(client.request, status, reason, core.ids.tag(), flow);
  response.remove('contact');
  complete(core, client, response, undefined);
  record(core, client, response);
  client.onFinal?.(response, core.now());
  if (client.app) {
    const text = response.toString();
    const meta = {
      source: 'network',
      bytes: 0,
      protocol: flow.protocol,
      address: '',
      port: 0,
      time: frameTime(core),
    } as const;
    client.app.send(sipFrame(core.ids.uuid(), meta, client.id, client.leg?.id ?? '', text));
  }
  afterFinal(core, client, status);
  if (client.leg && client.leg.earlyNotifies.length > 0) releaseNotifies(core, client.leg, core.now());
}
