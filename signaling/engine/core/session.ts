import { agree, dialogRequest, giveUpAfterMs, lists, MIN_SE, sessionExpires } from '../dialog/mod.ts';
import type { Message } from '../message/mod.ts';
import { contactUri, viaFor } from './build.ts';
import type { Core } from './context.ts';
import { stopSession } from './legs.ts';
import { endWithBye, launch, newClient, sendByRoute } from './outbound.ts';
import type { ClientRequest, Leg } from './records.ts';

/** A refresh comes this much sooner or later than at half the interval, so that those of many calls do not meet. */
const SPREAD_MS = 5000;
/** After 491 the owner of the Call-ID waits 2.1 to 4 s (RFC 3261 §14.1); the other side may be quicker, and need not. */
const GLARE_MS = 3000;

/** Writes into our 2xx what the session timer is; the timer itself starts when it has gone out (RFC 4028 §9). */
export function answerSession(core: Core, request: Message, response: Message): Message {
  const agreed = agree(request, response, core.policy.defaultRefresher ?? 'none');
  if (!agreed) return response;
  response.set('Session-Expires', `${agreed.seconds};refresher=${agreed.refresher}`);
  if (agreed.refresher === 'uac' && lists(request, 'supported', 'timer') && !lists(response, 'require', 'timer'))
    response.append('Require', 'timer');
  return response;
}

/** A 2xx to INVITE or UPDATE, ours or the peer's, says anew whether there is a timer and who refreshes. */
export function sessionAgreed(core: Core, leg: Leg, response: Message, weAnswered: boolean, now: number): void {
  stopSession(core, leg);
  const agreed = sessionExpires(response);
  if (!agreed) return;
  const weRefresh = (agreed.refresher ?? 'uac') === (weAnswered ? 'uas' : 'uac');
  arm(core, leg, Math.max(agreed.seconds, MIN_SE), weRefresh, now);
}

function arm(core: Core, leg: Leg, seconds: number, weRefresh: boolean, now: number): void {
  const { timers } = core.layer;
  const timer = weRefresh
    ? timers.set(now + seconds * 500 + (Math.random() * 2 - 1) * SPREAD_MS, (at) => refresh(core, leg, seconds, at))
    : timers.set(now + giveUpAfterMs(seconds), () => expire(core, leg));
  leg.session = { seconds, timer };
}

function expire(core: Core, leg: Leg): void {
  leg.session = undefined;
  endWithBye(core, leg, 'SIP;cause=200;text="Session timer expired"', true, 'session-expired');
}

/** Our re-INVITE with what we said last, or an UPDATE where nothing is known to say again (§7.4, §10). */
function refresh(core: Core, leg: Leg, seconds: number, now: number): void {
  const dialog = core.dialogs.byId(leg.id);
  if (!dialog) return;
  if (leg.clientInvite || leg.serverInvite || leg.accepted) {
    // Another INVITE is at it: it may bring the refresh, and must not be met by ours.
    leg.session = { seconds, timer: core.layer.timers.set(now + GLARE_MS, (at) => refresh(core, leg, seconds, at)) };
    return;
  }
  const { localSdp } = leg;
  const method = localSdp ? 'INVITE' : 'UPDATE';
  dialog.localCSeq++;
  const request = dialogRequest(dialog, method, dialog.localCSeq);
  request.append('Contact', dialog.localContact || `<${contactUri(dialog.flow)}>`);
  request.append('Supported', 'timer');
  request.append('Session-Expires', `${seconds};refresher=uac`);
  request.append('Min-SE', String(MIN_SE));
  if (localSdp) {
    request.append('Content-Type', 'application/sdp');
    request.body = localSdp;
  }
  const { flow } = dialog;
  const branch = core.ids.branch();
  request.prepend('Via', viaFor(flow, branch));
  const client: ClientRequest = newClient(core.ids.uuid(), request, undefined, leg, true, []);
  client.onFinal = (response, at) => refreshed(core, leg, client, response, seconds, at);
  core.clientRequests.set(client.id, client);
  if (method === 'INVITE') {
    leg.clientInvite = client;
    dialog.inviteCSeq = dialog.localCSeq;
  }
  // Should nobody answer in time, the call ends with its session.
  leg.session = { seconds, timer: core.layer.timers.set(now + seconds * 500, () => expire(core, leg)) };
  sendByRoute(core, dialog, request, branch, (by) => launch(core, client, by, branch));
}

function refreshed(core: Core, leg: Leg, client: ClientRequest, response: Message, seconds: number, now: number): void {
  const { status } = response;
  if (!core.legs.has(leg.id)) return;
  if (status < 300) {
    const { answered } = leg;
    if (client.request.method === 'INVITE' && answered) {
      const ack = dialogRequest(answered.dialog, 'ACK', answered.cseq);
      const branch = core.ids.branch();
      ack.prepend('Via', viaFor(answered.dialog.flow, branch));
      sendByRoute(core, answered.dialog, ack, branch, (flow) => {
        answered.ack = { bytes: ack.toBytes(), flow };
        core.transmit(flow, answered.ack.bytes);
      });
    }
    // A peer that answers without the header has no timer of its own: we go on alone (§7.2).
    if (!sessionExpires(response)) arm(core, leg, seconds, true, now);
    return;
  }
  const again = (inMs: number, interval: number) => {
    stopSession(core, leg);
    leg.session = {
      seconds: interval,
      timer: core.layer.timers.set(now + inMs, (at) => refresh(core, leg, interval, at)),
    };
  };
  const wanted = Math.min(Number(/^\s*(\d{1,6})/.exec(response.get('min-se') ?? '')?.[1] ?? 0), 86_400);
  if (status === 491) again(GLARE_MS, seconds);
  else if (status === 422 && wanted > seconds) again(0, wanted);
  else if (status === 408 || status === 481) expire(core, leg);
  // Anything else leaves the session until its end, which the timer above watches (§10).
}
