import { responseEcho, reply, type Command } from '../control/mod.ts';
import { refreshTarget, uasDialog } from '../dialog/mod.ts';
import { parseCSeq, parseNameAddr, tagOf, type Message } from '../message/mod.ts';
import { TIMERS } from '../transaction/mod.ts';
import { buildResponse, contactUri } from './build.ts';
import { about, type Core } from './context.ts';
import { finish } from './answer.ts';
import { cdrStart, cdrStop } from './cdr.ts';
import { endLeg, GIVE_UP_MS, keepSdp, openLeg, repeat, stopRepeating } from './legs.ts';
import { answerSession, sessionAgreed } from './session.ts';
import { endWithBye } from './outbound.ts';
import type { Repeated, ServerRequest } from './records.ts';
import { answerTarget } from './ways.ts';

/** An application's answer to a request (control protocol §6.3). @returns the refusal's frame, or nothing when the answer went out and was echoed. */
export function sendResponse(
  core: Core,
  command: Command,
  transactionId: string,
  app: Message,
  now: number,
): string | undefined {
  const nok = (text: string) => reply(core.ids.uuid(), command.id, 'NOK', text);
  const request = core.serverRequests.get(transactionId);
  if (!request) return nok('Response not sent due to unknown transaction');
  const { transaction, message } = request;
  const { flow } = transaction;
  if (flow.closed && !answerTarget(transaction)) {
    finish(core, request);
    if (request.leg && !request.inDialog) endLeg(core, request.leg);
    transaction.abandon();
    return nok('transport for response has been shutdown or closed');
  }
  const { status } = app;
  if (!request.inDialog) request.localTag ??= tagOf(app.get('to')) ?? core.ids.tag();
  const response = buildResponse(message, status, app.reason || undefined, request.localTag, flow, app);
  const reliable = status > 100 && status < 200 && names100rel(app.getAll('require'));
  if (reliable) {
    if (!names100rel([...message.getAll('require'), ...message.getAll('supported')]))
      return nok('Remote endpoint does not support 100rel');
    if (response.get('contact') === undefined) response.append('Contact', `<${contactUri(flow)}>`);
  }
  const session = (message.method === 'INVITE' || message.method === 'UPDATE') && status >= 200 && status < 300;
  if (session) answerSession(core, message, response);
  openDialog(core, request, response);
  const { leg } = request;
  if (reliable && leg) {
    leg.lastRSeq = leg.lastRSeq === 0 ? 1 + (now & 0xffff) : leg.lastRSeq + 1;
    response.set('RSeq', String(leg.lastRSeq));
  }
  if (status >= 200) finish(core, request);
  // The echo makes drachtio-srf's Dialog: it goes before anything that the peer may say to this answer.
  const text = response.toString();
  const dialogId = leg !== undefined && core.legs.has(leg.id) ? leg.id : '';
  const meta = about(core, flow, 'remote', 'application', text);
  request.app.send(responseEcho(core.ids.uuid(), command.id, meta, request.id, dialogId, text));
  core.layer.respond(transaction, response, now);
  if (message.method === 'INVITE' && !request.inDialog) record(core, response);
  if (leg && session) sessionAgreed(core, leg, response, true, now);
  if (leg && status > 100 && status < 300 && (message.method === 'INVITE' || session)) keepSdp(leg, response);
  if (message.method === 'INVITE') afterInviteAnswer(core, request, response, reliable, now);
  else if (message.method === 'SUBSCRIBE' && status >= 300 && leg && !request.inDialog) endLeg(core, leg);
  if ((message.method === 'REGISTER' || message.method === 'SUBSCRIBE') && status >= 200 && status < 300) {
    if (flow.reliable && !flow.closed) core.registeredFlows.learn(message, response, flow, now);
  }
  return undefined;
}

function record(core: Core, response: Message): void {
  if (response.status >= 300) cdrStop(core, 'application', 'call-rejected', response);
  else if (response.status >= 200) cdrStart(core, 'application', 'uas', response);
}

/** INVITE and SUBSCRIBE: the first answer with a tag makes the leg and its dialog (§12.1.1). */
function openDialog(core: Core, request: ServerRequest, response: Message): void {
  const { message, transaction } = request;
  // A request of a dialog that only the application knows is adopted by its 2xx.
  if (request.leg || response.status <= 100 || response.status >= 300) return;
  if (message.method !== 'INVITE' && message.method !== 'SUBSCRIBE') return;
  const contact = parseNameAddr(response.get('contact') ?? '')?.uri ?? contactUri(transaction.flow);
  const dialog = uasDialog(
    message,
    request.localTag ?? tagOf(message.get('to')) ?? '',
    `<${contact}>`,
    transaction.flow,
  );
  if (!dialog) return;
  dialog.localCSeq = Math.max(dialog.localCSeq, core.policy.firstCSeq ?? 0);
  request.leg = openLeg(core, dialog.id, 'uas', message.method, request.app);
  if (message.method === 'INVITE') request.leg.serverInvite = request;
  core.dialogs.add(dialog);
}

function afterInviteAnswer(core: Core, request: ServerRequest, response: Message, reliable: boolean, now: number) {
  const { leg, transaction, message } = request;
  if (!leg) return;
  const { status } = response;
  if (status >= 300) {
    if (!request.inDialog) endLeg(core, leg);
    return;
  }
  const cseq = parseCSeq(message.get('cseq') ?? '')?.number ?? 0;
  const repeated: Repeated = {
    transactionId: request.inDialog ? undefined : request.id,
    cseq,
    rseq: leg.lastRSeq,
    bytes: transaction.last ?? response.toBytes(),
    flow: transaction.flow,
    intervalMs: TIMERS.T1,
    giveUpAt: now + GIVE_UP_MS,
    timer: undefined,
  };
  if (reliable) {
    stopRepeating(core, leg.reliable);
    leg.reliable = repeated;
    repeat(core, repeated, Infinity, (at) => {
      leg.reliable = undefined;
      // RFC 3262 §3: the INVITE is refused.
      finish(core, request);
      const refusal = buildResponse(message, 504, 'No PRACK', request.localTag, transaction.flow);
      core.layer.respond(transaction, refusal, at);
      if (!request.inDialog) endLeg(core, leg);
    });
  }
  if (status < 200) return;
  stopRepeating(core, leg.reliable);
  leg.reliable = undefined;
  const dialog = core.dialogs.byId(leg.id);
  if (dialog) {
    dialog.state = 'confirmed';
    const contact = response.get('contact');
    if (contact !== undefined) dialog.localContact = contact;
    if (request.inDialog) refreshTarget(dialog, message);
  }
  leg.accepted = repeated;
  repeat(core, repeated, TIMERS.T2, () => {
    leg.accepted = undefined;
    endWithBye(core, leg, 'SIP;cause=200;text="ACK timeout"', true, 'system-error-initiated-termination');
  });
}

function names100rel(values: readonly string[]): boolean {
  return values.some((value) => /\b100rel\b/i.test(value));
}
