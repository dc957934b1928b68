import { parseAddressList, type Message } from '../message/mod.ts';
import { chooseBest } from './best.ts';
import type { ProxyPlan } from './plan.ts';

/** Milliseconds that a proxied INVITE may ring: more than three minutes (RFC 3261 §16.6 step 11). */
const TIMER_C = 185_000;
const MAX_BRANCHES = 128;

export type BranchTimer = 'provisional' | 'final' | 'C';

/** One target that the request was sent to, or will be. */
export interface Branch {
  readonly index: number;
  readonly target: string;
  /** It comes from a 3xx: the R-URI is replaced whatever it was (§16.5). */
  readonly redirected: boolean;
  /** What it may spend of Max-Breadth. */
  breadth: number;
  state: 'trying' | 'proceeding' | 'done';
  /** CANCEL is wanted; it is sent when there was a provisional answer (§9.1). */
  cancel: 'no' | 'held' | 'sent';
  /** It was silent for too long: the search goes on without it. */
  passedOver: boolean;
}

/** What is to be done, in this order. */
export type ProxyAction =
  | { readonly type: 'launch'; readonly branch: Branch }
  | { readonly type: 'cancel'; readonly branch: Branch }
  /** To the caller. */
  | { readonly type: 'send'; readonly response: Message }
  /** To the caller, by the proxy itself: nobody has answered. */
  | { readonly type: 'give-up' }
  /** To the application. */
  | { readonly type: 'report'; readonly branch: Branch; readonly response: Message }
  | { readonly type: 'done' }
  /** Sets the branch's timer of this kind anew. */
  | { readonly type: 'timer'; readonly branch: Branch; readonly timer: BranchTimer; readonly ms: number }
  | { readonly type: 'stop-timers'; readonly branch: Branch; readonly timers: readonly BranchTimer[] };

interface Waiting {
  readonly target: string;
  readonly redirected: boolean;
}

/**
 * The response context of a stateful proxy (RFC 3261 §16.7): which targets are asked when, and what the caller is told.
 * It is pure: every call returns what is to be done. Responses come without the proxy's own Via.
 */
export class ResponseContext {
  readonly branches: Branch[] = [];
  readonly #plan: ProxyPlan;
  readonly #invite: boolean;
  readonly #breadth: number;
  readonly #tried: Set<string>;
  #queue: Waiting[];
  #finals: Message[] = [];
  /** The caller has a final answer. */
  #answered = false;
  #cancelled = false;

  constructor(plan: ProxyPlan, method: string, breadth: number) {
    this.#plan = plan;
    this.#invite = method === 'INVITE';
    this.#breadth = breadth;
    this.#queue = plan.targets.map((target) => ({ target, redirected: false }));
    this.#tried = new Set(plan.targets);
  }

  /** Nothing can come any more. */
  get ended(): boolean {
    return this.#answered && this.branches.every(({ state }) => state === 'done');
  }

  /** All targets at once need more copies than the request may have (RFC 5393 §5.3.3.2): 440. */
  get tooBroad(): boolean {
    return this.#breadth < 1 || (this.#plan.simultaneous && this.#queue.length > this.#breadth);
  }

  start(): ProxyAction[] {
    return this.#advance();
  }

  /** A provisional answer (§16.7 steps 2 and 5). */
  provisional(branch: Branch, response: Message): ProxyAction[] {
    if (branch.state === 'done') return [];
    branch.state = 'proceeding';
    const actions: ProxyAction[] = [{ type: 'stop-timers', branch, timers: ['provisional'] }];
    if (this.#invite && response.status > 100) actions.push({ type: 'timer', branch, timer: 'C', ms: TIMER_C });
    if (branch.cancel === 'held') {
      branch.cancel = 'sent';
      actions.push({ type: 'cancel', branch });
    }
    if (response.status > 100 && !this.#answered && !this.#cancelled && !branch.passedOver)
      actions.push({ type: 'send', response });
    return actions;
  }

  /** A final answer, or the 408 and 503 that stand for a target without one (§16.8, §16.9). */
  final(branch: Branch, response: Message): ProxyAction[] {
    const { status } = response;
    const again = branch.state === 'done';
    // A 2xx to an INVITE always goes back, repeated ones too (§16.7 step 5).
    if (again && !(this.#invite && status >= 200 && status < 300)) return [];
    branch.state = 'done';
    const actions: ProxyAction[] = [];
    if (!again) actions.push({ type: 'stop-timers', branch, timers: ['provisional', 'final', 'C'] });
    if (status >= 200 && status < 300) {
      const first = !this.#answered;
      this.#answered = true;
      this.#queue = [];
      if (first || this.#invite) actions.push({ type: 'send', response });
      if (first) actions.push({ type: 'report', branch, response }, { type: 'done' });
      actions.push(...this.#cancelOthers(branch));
      return actions;
    }
    if (!this.#answered) actions.push({ type: 'report', branch, response });
    if (!this.#redirect(response)) this.#finals.push(response);
    if (status >= 600) {
      this.#queue = [];
      actions.push(...this.#cancelOthers(branch));
    }
    // Whoever is asked for credentials comes again with them: the next target would take the call away from this one.
    if ((status === 401 || status === 407) && !this.#plan.simultaneous) this.#queue = [];
    actions.push(...this.#advance());
    return actions;
  }

  fired(branch: Branch, timer: BranchTimer): ProxyAction[] {
    if (branch.state === 'done') return [];
    const actions: ProxyAction[] = [];
    // The last one keeps what SIP's own timers leave it, unless it was to answer finally.
    const last = this.#queue.length === 0 && timer === 'provisional' && !this.#plan.simultaneous;
    if (!last) {
      branch.passedOver = true;
      actions.push(...this.#cancel(branch));
    }
    actions.push(...this.#advance());
    return actions;
  }

  /** The caller has cancelled (§16.10): what the targets say to it ends the search. */
  cancel(): ProxyAction[] {
    if (this.#answered) return [];
    this.#cancelled = true;
    this.#queue = [];
    return this.branches.flatMap((branch) => this.#cancel(branch));
  }

  #cancelOthers(but: Branch): ProxyAction[] {
    return this.branches.flatMap((branch) => (branch === but ? [] : this.#cancel(branch)));
  }

  #cancel(branch: Branch): ProxyAction[] {
    // Only an INVITE can be cancelled (§9.1).
    if (branch.state === 'done' || branch.cancel !== 'no' || !this.#invite) return [];
    branch.cancel = branch.state === 'proceeding' ? 'sent' : 'held';
    return branch.cancel === 'sent' ? [{ type: 'cancel', branch }] : [];
  }

  /** The contacts of a 3xx become targets, best first (§16.5, §20.10). @returns whether there was a new one. */
  #redirect(response: Message): boolean {
    if (!this.#plan.followRedirects || response.status >= 400 || this.#cancelled || this.#answered) return false;
    const contacts = parseAddressList(response.getAll('contact')) ?? [];
    const ranked = contacts
      .map(({ uri, params }) => ({ uri, q: Number(params.get('q') ?? '1') || 0 }))
      .filter(({ uri }) => /^sips?:/i.test(uri) && !this.#tried.has(uri))
      .sort((a, b) => b.q - a.q);
    for (const { uri } of ranked) {
      this.#tried.add(uri);
      this.#queue.push({ target: uri, redirected: true });
    }
    return ranked.length > 0;
  }

  /** Asks the next targets, or answers when there is none left and none to wait for. */
  #advance(): ProxyAction[] {
    const actions: ProxyAction[] = [];
    if (this.#answered) return actions;
    for (;;) {
      const live = this.branches.filter(({ state, passedOver }) => state !== 'done' && !passedOver);
      if (this.#queue.length === 0 || (live.length > 0 && !this.#plan.simultaneous)) break;
      const left = this.#breadth - live.reduce((sum, { breadth }) => sum + breadth, 0);
      const share = this.#plan.simultaneous ? Math.max(1, Math.floor(left / this.#queue.length)) : left;
      if (left < 1) break;
      if (this.branches.length >= MAX_BRANCHES) {
        this.#queue = [];
        break;
      }
      const { target, redirected } = this.#queue.shift() as Waiting;
      actions.push(...this.#launch(target, redirected, share));
    }
    const waits = this.branches.some(({ state, passedOver }) => state !== 'done' && !passedOver);
    if (waits || this.#queue.length > 0) return actions;
    this.#answered = true;
    const best = chooseBest(this.#finals);
    this.#finals = [];
    actions.push(best ? { type: 'send', response: best } : { type: 'give-up' }, { type: 'done' });
    return actions;
  }

  #launch(target: string, redirected: boolean, breadth: number): ProxyAction[] {
    const branch: Branch = {
      index: this.branches.length,
      target,
      redirected,
      breadth,
      state: 'trying',
      cancel: 'no',
      passedOver: false,
    };
    this.branches.push(branch);
    const { provisionalMs, finalMs } = this.#plan;
    const actions: ProxyAction[] = [{ type: 'launch', branch }];
    if (provisionalMs !== undefined) actions.push({ type: 'timer', branch, timer: 'provisional', ms: provisionalMs });
    if (finalMs !== undefined) actions.push({ type: 'timer', branch, timer: 'final', ms: finalMs });
    if (this.#invite) actions.push({ type: 'timer', branch, timer: 'C', ms: TIMER_C });
    return actions;
  }
}
