import { reply, type AppLink, type Command } from '../control/mod.ts';
import type { Flow } from '../io/mod.ts';
import { bareHost, Message, parseNameAddr, splitHeaderList, type SipHeader } from '../message/mod.ts';
import {
  forwardedRequest,
  loopHash,
  loops,
  maxBreadth,
  maxForwards,
  parsePlan,
  ResponseContext,
  type ProxyPlan,
} from '../proxy/mod.ts';
import type { Transaction } from '../transaction/mod.ts';
import { answer, finish } from './answer.ts';
import { copyAppHeaders, viaFor } from './build.ts';
import { cdrStop } from './cdr.ts';
import type { Core } from './context.ts';
import { endLeg } from './legs.ts';
import { perform, type ProxyRun } from './proxy-run.ts';
import { takeOwnRoutes } from './proxy-routes.ts';
import { outsideWay } from './ways.ts';

/** The application writes these for nobody: they are those of the request that it has. */
const NOT_EXTRA: ReadonlySet<string> = new Set(['max-forwards', 'contact', 'content-type']);

/** An application has a request proxied that it holds (control protocol §9). */
export function proxyRequest(core: Core, app: AppLink, command: Command, pseudo: Message | undefined): void {
  const nok = (text: string) => app.send(reply(core.ids.uuid(), command.id, 'NOK', text));
  const [transactionId = '', ...fields] = command.fields;
  const held = core.serverRequests.get(transactionId);
  if (!held) {
    nok(`Unknown transaction id: ${transactionId}`);
    return;
  }
  const plan = parsePlan(fields);
  if (typeof plan === 'string') {
    nok(`error proxying request: ${plan}`);
    return;
  }
  const { transaction } = held;
  const { request } = takeOwnRoutes(core, held.message);
  const now = core.now();
  finish(core, held);
  if (held.leg && !held.inDialog) endLeg(core, held.leg);
  const extra = extraHeaders(pseudo, transaction.flow);
  const context = new ResponseContext(plan, request.method, maxBreadth(request));
  const refused = refusal(core, request, context);
  if (refused) {
    answer(core, transaction, refused.status, refused.reason, now, refused.headers, held.localTag);
    nok(`Rejected with ${refused.status} ${refused.text}`);
    return;
  }
  begin(
    core,
    { transaction, request, plan, context, command: { app, id: command.id }, extra, inside: false, flow: undefined },
    now,
  );
}

/** The configuration has a request proxied; no application hears of it. */
export function proxyOutside(core: Core, transaction: Transaction, plan: ProxyPlan, now: number): void {
  const { request } = takeOwnRoutes(core, transaction.request);
  const context = new ResponseContext(plan, request.method, maxBreadth(request));
  const refused = refusal(core, request, context);
  if (refused) answer(core, transaction, refused.status, refused.reason, now, refused.headers);
  else begin(core, { ...QUIET, transaction, request, plan, context, inside: false, flow: undefined }, now);
}

const QUIET = { command: undefined, extra: [] } as const;

/** A later request of a call that was proxied here: on its way without asking anybody. @returns false when it is none. */
export function proxyInside(core: Core, transaction: Transaction, now: number): boolean {
  const { request, ours, flow } = takeOwnRoutes(core, transaction.request);
  if (!ours) return false;
  const plan: ProxyPlan = {
    remainInDialog: false,
    fullResponse: false,
    followRedirects: false,
    simultaneous: false,
    provisionalMs: undefined,
    finalMs: undefined,
    targets: [request.uri],
  };
  if (request.method === 'INVITE') answer(core, transaction, 100, undefined, now);
  const context = new ResponseContext(plan, request.method, maxBreadth(request));
  if (request.method === 'BYE') cdrStop(core, 'network', 'normal-release', request);
  const refused = refusal(core, request, context);
  if (refused) answer(core, transaction, refused.status, refused.reason, now, refused.headers);
  else begin(core, { ...QUIET, transaction, request, plan, context, inside: true, flow }, now);
  return true;
}

/** The ACK to a 2xx has no transaction: it is passed on as it is (RFC 3261 §16.11). @returns false when it is not ours. */
export function proxyAck(core: Core, ack: Message): boolean {
  const { request, ours, flow } = takeOwnRoutes(core, ack);
  if (!ours) return false;
  if (maxForwards(request) === 0) return true;
  const route = request.get('route');
  const hop = route === undefined ? undefined : parseNameAddr(splitHeaderList(route)[0] ?? '')?.uri;
  const send = (by: Flow) => {
    const via = viaFor(by, `${core.ids.branch()}-${loopHash(request)}`);
    const copy = forwardedRequest(request, {
      uri: undefined,
      via,
      recordRoutes: [],
      path: undefined,
      extra: [],
      breadth: undefined,
    });
    core.transmit(by, copy.toBytes());
  };
  if (flow && !flow.closed && hop === undefined) send(flow);
  else
    void outsideWay(core, hop ?? request.uri).then((way) => {
      if ('flow' in way) send(way.flow);
    });
  return true;
}

/** The caller's CANCEL of a request that is being proxied (§16.10). @returns false when it is not. */
export function proxyCancel(core: Core, cancel: Transaction, invite: Transaction | undefined, now: number): boolean {
  const run = invite && core.proxies.get(invite);
  if (!run) return false;
  answer(core, cancel, 200, undefined, now);
  cdrStop(core, 'network', 'call-canceled', cancel.request);
  run.cancelHeaders = cancel.request.getAll('reason').map((value) => ({ name: 'Reason', value }));
  perform(core, run, run.context.cancel(), now);
  return true;
}

function begin(
  core: Core,
  parts: Omit<ProxyRun, 'startedAt' | 'timers' | 'sent' | 'cancelHeaders' | 'recorded' | 'told'>,
  now: number,
): void {
  const run: ProxyRun = {
    ...parts,
    startedAt: now,
    timers: new Map(),
    sent: new Map(),
    cancelHeaders: [],
    recorded: false,
    told: false,
  };
  core.proxies.set(run.transaction, run);
  core.counters.proxied++;
  perform(core, run, run.context.start(), now);
}

interface Refusal {
  readonly status: number;
  readonly reason?: string;
  readonly text: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What must not be passed on (§16.3, RFC 5393). */
function refusal(core: Core, request: Message, context: ResponseContext): Refusal | undefined {
  if (maxForwards(request) === 0) return { status: 483, text: 'Too Many Hops due to Max-Forwards value of 0' };
  if (loops(request, loopHash(request), (host, port) => isOurs(core, host, port)))
    return { status: 482, text: 'Loop Detected' };
  if (context.tooBroad) return { status: 440, reason: 'Max-Breadth Exceeded', text: 'Max-Breadth Exceeded' };
  const required = request.getAll('proxy-require').join(',').trim();
  if (required === '') return undefined;
  return { status: 420, text: `Bad Extension: ${required}`, headers: { Unsupported: required } };
}

function isOurs(core: Core, host: string, port: number | undefined): boolean {
  return core.transports.listeners.some(
    ({ protocol, external }) =>
      external.address === bareHost(host) && external.port === (port ?? (protocol === 'tls' ? 5061 : 5060)),
  );
}

function extraHeaders(pseudo: Message | undefined, flow: Flow): readonly SipHeader[] {
  if (!pseudo) return [];
  const holder = Message.request(pseudo.method, pseudo.uri);
  copyAppHeaders(pseudo, holder, flow, NOT_EXTRA);
  return holder.headers;
}
