import { createHash } from 'node:crypto';
import type { Flow } from '../io/mod.ts';
import { tagOf, type Message } from '../message/mod.ts';
import type { Transaction } from '../transaction/mod.ts';
import { buildResponse } from './build.ts';
import { cdrStop } from './cdr.ts';
import type { Core } from './context.ts';
import type { ServerRequest } from './records.ts';

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
  const refused = status >= 300 && status !== 487 && request.method === 'INVITE';
  if (refused && tagOf(request.get('to')) === undefined) cdrStop(core, 'application', 'call-rejected', response);
}

/** Forgets a request that has its final answer. */
export function finish(core: Core, request: ServerRequest): void {
  core.layer.timers.cancel(request.timer);
  core.serverRequests.delete(request.id);
  core.byServerTransaction.delete(request.transaction);
  if (request.leg?.serverInvite === request) request.leg.serverInvite = undefined;
  if (request.leg?.serverUpdate === request) request.leg.serverUpdate = undefined;
}

/** Costs no state. */
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
