import { reply, type AppLink } from '../control/mod.ts';
import type { Flow, Target, TargetFailure } from '../io/mod.ts';
import { parseNameAddr, splitHeaderList, type Message, type SipHeader } from '../message/mod.ts';
import {
  forwardedRequest,
  forwardedResponse,
  loopHash,
  MAX_BREADTH,
  type Branch,
  type ProxyAction,
  type ProxyPlan,
  type ResponseContext,
} from '../proxy/mod.ts';
import type { Timer, Transaction } from '../transaction/mod.ts';
import { answer } from './answer.ts';
import { buildCancel, buildResponse, viaFor } from './build.ts';
import { cdrAttempt, cdrStart, cdrStop } from './cdr.ts';
import { about, type Core } from './context.ts';
import { GIVE_UP_MS } from './legs.ts';
import { pathFor, recordRoutes } from './proxy-routes.ts';
import { noteFailure, retryAfter } from './failover.ts';
import { firstReachable, fitSize, isOwnUri, outsideWay, setTopVia, type Way } from './ways.ts';

/** A request that is being proxied: between its server transaction and those of its branches. */
export interface ProxyRun {
  readonly transaction: Transaction;
  /** As it came, without the Routes that named us. */
  readonly request: Message;
  readonly plan: ProxyPlan;
  readonly context: ResponseContext;
  /** Whom the answers are told, and by which command; absent for later requests of a call. */
  readonly command: { readonly app: AppLink; readonly id: string } | undefined;
  readonly extra: readonly SipHeader[];
  /** A later request of a call: its Routes and its R-URI say where it goes. */
  readonly inside: boolean;
  /** Where a later request of a call goes by its Route's token. */
  readonly flow: Flow | undefined;
  readonly startedAt: number;
  readonly timers: Map<string, Timer>;
  readonly sent: Map<Branch, BranchState>;
  /** Of the caller's CANCEL: Reason goes on (RFC 3326). */
  cancelHeaders: readonly SipHeader[];
  /** The end of the set-up is in the call's records. */
  recorded: boolean;
  /** The command has had its last answer. */
  told: boolean;
}

/** The present client transaction of a branch. */
export interface BranchState {
  readonly run: ProxyRun;
  readonly branch: Branch;
  request: Message;
  transaction: Transaction;
  alternatives: readonly Target[];
}

export function perform(core: Core, run: ProxyRun, actions: readonly ProxyAction[], now: number): void {
  for (const action of actions) {
    switch (action.type) {
      case 'launch':
        void launch(core, run, action.branch);
        break;
      case 'cancel':
        cancelBranch(core, run, action.branch, now);
        break;
      case 'send':
        core.layer.respond(run.transaction, action.response, now);
        recordSent(core, run, action.response);
        break;
      case 'give-up':
        giveUp(core, run, now);
        break;
      case 'report':
        report(core, run, action.branch, action.response);
        break;
      case 'done':
        done(core, run);
        break;
      case 'timer':
        setTimer(core, run, action.branch, action.timer, now + action.ms);
        break;
      case 'stop-timers':
        for (const timer of action.timers) stopTimer(core, run, `${action.branch.index} ${timer}`);
        break;
      default:
        action satisfies never;
    }
  }
  if (run.context.ended) {
    for (const timer of run.timers.values()) core.layer.timers.cancel(timer);
    run.timers.clear();
  }
}

function setTimer(core: Core, run: ProxyRun, branch: Branch, kind: 'provisional' | 'final' | 'C', at: number): void {
  const key = `${branch.index} ${kind}`;
  stopTimer(core, run, key);
  const fire = (now: number) => {
    run.timers.delete(key);
    perform(core, run, run.context.fired(branch, kind), now);
  };
  run.timers.set(key, core.layer.timers.set(at, fire));
}

function stopTimer(core: Core, run: ProxyRun, key: string): void {
  core.layer.timers.cancel(run.timers.get(key));
  run.timers.delete(key);
}

/** Sends the request to one target, by the first of its addresses that can be reached. */
async function launch(core: Core, run: ProxyRun, branch: Branch): Promise<void> {
  const { request, plan } = run;
  const replaces = branch.redirected || isOwnUri(core, request.uri);
  const route = request.get('route');
  const loose = route === undefined ? undefined : parseNameAddr(splitHeaderList(route)[0] ?? '')?.uri;
  // What the application names is the next hop; Routes that the caller has written come before a new R-URI (§16.6).
  const hop = loose !== undefined && (replaces || run.inside) ? loose : branch.target;
  const way: Way =
    run.flow !== undefined && loose === undefined && !run.flow.closed
      ? { flow: run.flow, rest: [] }
      : await outsideWay(core, hop);
  if (refused(core, run, branch)) return;
  if ('error' in way) {
    failBranch(core, run, branch, way.gone ? 430 : 503, way.error);
    return;
  }
  const incoming = run.transaction.flow;
  const copy = forwardedRequest(request, {
    uri: replaces ? branch.target : undefined,
    via: viaFor(way.flow, `${core.ids.branch()}-${loopHash(request)}`),
    recordRoutes:
      plan.remainInDialog && request.method !== 'REGISTER' ? recordRoutes(core, request, incoming, way.flow) : [],
    path: plan.remainInDialog && request.method === 'REGISTER' ? pathFor(incoming) : undefined,
    extra: run.extra,
    breadth: Math.min(branch.breadth, MAX_BREADTH),
  });
  if (isCall(run)) cdrAttempt(core, 'application', copy);
  const sized = await fitSize(core, way, copy, branchOf(copy));
  if (refused(core, run, branch)) return;
  sendBranch(core, run, branch, copy, 'flow' in sized ? sized : way);
  if (!plan.fullResponse) done(core, run);
}

/** Nobody wants it any more: what was being prepared is not sent. */
function refused(core: Core, run: ProxyRun, branch: Branch): boolean {
  if (branch.state !== 'done' && branch.cancel !== 'no') failBranch(core, run, branch, 487);
  return branch.state === 'done' || branch.cancel !== 'no';
}

function sendBranch(core: Core, run: ProxyRun, branch: Branch, request: Message, way: Exclude<Way, { error: string }>) {
  const transaction = core.layer.send(request, way.flow, branchOf(request), core.now());
  const state: BranchState = { run, branch, request, transaction, alternatives: way.rest };
  run.sent.set(branch, state);
  core.proxyBranches.set(transaction, state);
}

function branchOf(request: Message): string {
  return /;branch=([^;,\s]+)/.exec(request.get('via') ?? '')?.[1] ?? '';
}

function cancelBranch(core: Core, run: ProxyRun, branch: Branch, now: number): void {
  const state = run.sent.get(branch);
  if (!state) return;
  const cancel = buildCancel(state.request, run.cancelHeaders);
  core.layer.send(cancel, state.transaction.flow, branchOf(state.request), now);
  // §9.1: a target that answers the CANCEL and never the INVITE is given up.
  const key = `${branch.index} cancel`;
  run.timers.set(
    key,
    core.layer.timers.set(now + GIVE_UP_MS, () => {
      run.timers.delete(key);
      state.transaction.abandon();
      failBranch(core, run, branch, 487);
    }),
  );
}

/** A response of a target (RFC 3261 §16.7). */
export function proxyResponse(core: Core, state: BranchState, message: Message, now: number): void {
  const { run, branch } = state;
  const response = forwardedResponse(message);
  if (!response) return;
  const { flow } = state.transaction;
  if (message.status === 503 && elsewhere(core, state, retryAfter(message))) return;
  if (message.status !== 503) core.resolver.answered({ protocol: flow.protocol, ...flow.remote });
  if (message.status < 200) perform(core, run, run.context.provisional(branch, response), now);
  else {
    stopTimer(core, run, `${branch.index} cancel`);
    if (isCall(run) && branch.state !== 'done') recordReceived(core, message);
    perform(core, run, run.context.final(branch, response), now);
  }
}

/** The target did not answer (408), or the request could not be sent (503, or 430): its next address, if any (§16.8, §16.9). */
export function proxyBranchFailed(core: Core, state: BranchState, why: 'timeout' | 'transport'): void {
  const { run, branch } = state;
  if (branch.state === 'done' || elsewhere(core, state, why)) return;
  const { flow } = state.transaction;
  const gone = flow.reliable && flow.closed && flow.outgoing !== true;
  failBranch(core, run, branch, branch.cancel !== 'no' ? 487 : why === 'timeout' ? 408 : gone ? 430 : 503);
}

/** The same request to the branch's next address (RFC 3263 §4.3); false when there is none. */
function elsewhere(core: Core, state: BranchState, why: TargetFailure): boolean {
  const { branch } = state;
  const left = noteFailure(core, state.transaction.flow, why, state.alternatives);
  if (left.length === 0 || branch.cancel !== 'no' || branch.state === 'done') return false;
  void relaunch(core, state, left);
  return true;
}

async function relaunch(core: Core, { run, branch, request: before }: BranchState, left: readonly Target[]) {
  const request = before.clone();
  const name = `${core.ids.branch()}-${loopHash(run.request)}`;
  let way = await firstReachable(core, left);
  if ('flow' in way) {
    setTopVia(request, way.flow, name);
    way = await fitSize(core, way, request, name);
  }
  if (refused(core, run, branch)) return;
  if ('error' in way) failBranch(core, run, branch, 503, way.error);
  else sendBranch(core, run, branch, request, way);
}

function failBranch(core: Core, run: ProxyRun, branch: Branch, status: number, reason?: string): void {
  const response = buildResponse(run.request, status, reason, core.ids.tag(), run.transaction.flow);
  response.remove('contact');
  perform(core, run, run.context.final(branch, response), core.now());
}

/** No target has said anything: 408, which a request other than INVITE must not get (RFC 4320 §4.2). */
function giveUp(core: Core, run: ProxyRun, now: number): void {
  if (run.request.method === 'INVITE') answer(core, run.transaction, 408, undefined, now);
  else if (now - run.startedAt < GIVE_UP_MS) answer(core, run.transaction, 504, undefined, now);
  else run.transaction.abandon();
}

/** It is the INVITE that begins a call. */
function isCall({ request, inside }: ProxyRun): boolean {
  return request.method === 'INVITE' && !inside;
}

function recordReceived(core: Core, response: Message): void {
  if (response.status < 300) cdrStart(core, 'network', 'proxy-uac', response);
  else cdrStop(core, 'network', 'call-rejected', response);
}

function recordSent(core: Core, run: ProxyRun, response: Message): void {
  if (!isCall(run) || response.status < 200 || run.recorded) return;
  run.recorded = true;
  if (response.status < 300) cdrStart(core, 'application', 'proxy-uas', response);
  else if (response.status !== 487) cdrStop(core, 'application', 'call-rejected', response);
}

function report(core: Core, run: ProxyRun, branch: Branch, response: Message): void {
  const { command, plan } = run;
  if (!command || !plan.fullResponse) return;
  const text = response.toString();
  const meta = about(core, run.sent.get(branch)?.transaction.flow, 'remote', 'network', text);
  const { source, bytes, protocol, address, port, time } = meta;
  const fields = ['OK', source, String(bytes), protocol, address, String(port), time, '', '', 'continue'];
  command.app.send(`${reply(core.ids.uuid(), command.id, ...fields)}\r\n${text}`);
}

/** Once: at the end, or when the first request has left where that is all the application wants to know. */
function done(core: Core, run: ProxyRun): void {
  if (run.told) return;
  run.told = true;
  run.command?.app.send(reply(core.ids.uuid(), run.command.id, 'OK', 'done'));
}
