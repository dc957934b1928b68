import type { AppLink } from '../control/mod.ts';
import { tagOf } from '../message/mod.ts';
import type { Transaction } from '../transaction/mod.ts';
import { answer, finish } from './answer.ts';
import { deliver, type Core } from './context.ts';
import { proxyOutside } from './proxying.ts';
import type { Leg, ServerRequest } from './records.ts';

/** An application that has said nothing at all for this long has forgotten the request. */
const SILENCE_MS = 30_000;

/** A request that begins something: to whoever the configuration names, or to an application that asked for its method. */
export function handOutside(core: Core, transaction: Transaction, now: number): void {
  const routed = core.policy.route?.(transaction.request, transaction.flow);
  if (!routed) {
    hand(core, transaction, undefined, '', now);
    return;
  }
  core.routing.add(transaction);
  void routed.then((decision) => {
    const over = !core.routing.delete(transaction);
    const at = core.now();
    switch (decision.type) {
      case 'app':
        // Nobody else would ever end a connection that was opened for a request that is over.
        if (over) decision.link.close();
        else hand(core, transaction, undefined, '', at, decision.link);
        return;
      case 'tag':
        if (over) return;
        hand(core, transaction, undefined, '', at, core.apps.pickTagged(decision.tag) ?? 480);
        return;
      case 'reject':
        if (!over) answer(core, transaction, decision.status, decision.reason, at);
        return;
      case 'redirect': {
        const contacts = decision.contacts.map((uri) => (uri.includes('<') ? uri : `<${uri}>`)).join(', ');
        if (!over) answer(core, transaction, 302, undefined, at, { Contact: contacts });
        return;
      }
      case 'proxy':
        if (!over) proxyOutside(core, transaction, decision.plan, at);
        return;
      default:
        decision satisfies never;
    }
  });
}

/** Gives a request to an application. */
export function hand(
  core: Core,
  transaction: Transaction,
  leg: Leg | undefined,
  dialogId: string,
  now: number,
  to?: AppLink | number,
) {
  const message = transaction.request;
  const app = leg ? leg.app : (to ?? core.apps.pick(message.method));
  if (app === undefined || typeof app === 'number' || app.closed) {
    answer(core, transaction, leg ? 481 : typeof app === 'number' ? app : 503, undefined, now);
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
