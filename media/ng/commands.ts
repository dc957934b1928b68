import type { Bencode } from '../../vocabulary/mod.ts';
import {
  explain,
  SessionError,
  sharedFlags,
  text,
  type Ending,
  type Session,
  type SessionManager,
} from '../session/mod.ts';
import { CallTable } from './calls.ts';
import { describe, type Description } from './describe.ts';
import { LIMITS, NgError, REASONS } from './errors.ts';
import { isDictionary, type Dictionary } from './message.ts';
import { integer, needed, optional, wordsOf } from './request.ts';
import { canonicalKeys, commandOf, type CommandName } from './spelling.ts';

/** A day: longer than any call that is over needs its ports. */
const MAX_DELAY_SECONDS = 86_400;

export interface CommandResult {
  /** In its canonical spelling; `other` when there is no such command. */
  readonly command: CommandName | 'other';
  /** The call-id: joins this node's log with signaling's. */
  readonly callId: string | undefined;
  readonly reply: Dictionary;
  /** For metrics and the log. */
  readonly failed: NgError['code'] | undefined;
}

/** What the commands on calls need beside the sessions. */
export interface CommandContext {
  readonly manager: SessionManager;
  readonly calls: CallTable;
  statistics(): Dictionary;
  /** A call was refused by a limit. */
  rejected(): void;
  /** A call, or some of its branches, has ended; its endpoints still stand. The sessions do not know it any more. */
  ended(session: Session, why: Ending, about?: Description): void;
  /** How long a deletion waits that does not say it itself. */
  readonly deleteDelaySeconds: number;
}

/** One ng command on the sessions of this node. `now`: epoch ms. Never throws: what goes wrong is the reply. */
export function runCommand(
  manager: SessionManager,
  message: Bencode | undefined,
  now: number,
  context: CommandContext = bareContext(manager),
): CommandResult {
  if (!isDictionary(message)) return failure('other', undefined, new NgError('Could not decode bencode dictionary'));
  const request = canonicalKeys(message);
  const { command, callId, error } = whichCommand(request);
  if (command === undefined || !isCallCommand(command))
    return failure('other', callId, error ?? new NgError(REASONS.unknownCommand));
  return runCallCommand(context, command, request, now);
}

/** `message` with canonical keys, `command` one for which {@link isCallCommand} holds. Never throws. */
export function runCallCommand(
  context: CommandContext,
  command: CommandName,
  message: Dictionary,
  now: number,
): CommandResult {
  const callId = text(message['call-id']);
  try {
    const reply = CALL_COMMANDS[command]?.(context, message, now) ?? {};
    return { command, callId, reply, failed: undefined };
  } catch (thrown) {
    const refusal = refusalOf(thrown, message);
    if (refusal.limit) context.rejected();
    return { command, callId, reply: refusal.reply, failed: refusal.failed };
  }
}

export function isCallCommand(command: CommandName): boolean {
  return CALL_COMMANDS[command] !== undefined;
}

/** `message` with canonical keys. */
export function whichCommand(message: Dictionary): {
  readonly command: CommandName | undefined;
  readonly callId: string | undefined;
  readonly error: NgError | undefined;
} {
  const name = text(message['command']);
  const command = name === undefined ? undefined : commandOf(name);
  const reason = name === undefined ? REASONS.noCommand : command === undefined ? REASONS.unknownCommand : undefined;
  const error = reason === undefined ? undefined : new NgError(reason);
  return { command, callId: text(message['call-id']), error };
}

export function failure(
  command: CommandResult['command'],
  callId: string | undefined,
  thrown: unknown,
  request: Dictionary = {},
): CommandResult {
  const { reply, failed } = refusalOf(thrown, request);
  return { command, callId, failed, reply };
}

/** How an error is told. `load limit` makes a proxy that knows it try another node. */
function refusalOf(
  thrown: unknown,
  request: Dictionary,
): { readonly reply: Dictionary; readonly failed: NgError['code']; readonly limit: boolean } {
  const error =
    thrown instanceof NgError || thrown instanceof SessionError
      ? thrown
      : new NgError(`Internal error: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  const { code, message } = error;
  const limit = (code === 'full' && LIMITS.has(message)) || code === 'draining';
  const told = code === 'no-ports' ? REASONS.noPorts : message;
  if (limit && wordsOf(request['supports']).has('load-limit'))
    return { reply: { result: 'load limit', message: told }, failed: code, limit };
  const reason = LIMITS.has(told) ? REASONS.sessionLimit : told;
  return { reply: { result: 'error', 'error-reason': reason }, failed: code, limit };
}

type CallCommand = (context: CommandContext, message: Dictionary, now: number) => Dictionary;

/** `result` is the last key of a reply that is good. */
const CALL_COMMANDS: Readonly<Partial<Record<CommandName, CallCommand>>> = {
  ping: () => ({ result: 'pong' }),
  offer(context, message, now) {
    const request = sdpRequest(context, message, false);
    if (request.flags.flags.has('fragment')) {
      context.manager.fragment(request, now);
      return { result: 'ok' };
    }
    const sdp = context.manager.offer(request, now);
    follow(context, request.callId);
    return { sdp, result: 'ok' };
  },
  answer(context, message, now) {
    const request = sdpRequest(context, message, true);
    if (request.flags.flags.has('fragment')) {
      context.manager.fragment({ ...request, fromTag: request.toTag ?? request.fromTag }, now);
      return { result: 'ok' };
    }
    const sdp = context.manager.answer(request, now);
    follow(context, request.callId);
    return { sdp, result: 'ok' };
  },
  delete(context, message, now) {
    const callId = needed(message, 'call-id', REASONS.noCallId);
    const { manager, calls } = context;
    const asked = integer(message['delete-delay']) ?? -1;
    const delay = manager.draining ? 0 : asked >= 0 ? asked : context.deleteDelaySeconds;
    const at = delay === 0 ? undefined : now + Math.min(delay, MAX_DELAY_SECONDS) * 1000;
    const newer = manager.dialect === '26';
    const { flags } = sharedFlags(message, manager.dialect);
    const removed = manager.remove(callId, whichOf(message, !newer || flags.has('to-tag')), at);
    if (!removed) {
      // Whoever deletes twice has what it wants; `fatal` says that it wants to know.
      if (flags.has('fatal')) throw new NgError(REASONS.notDeleted, 'unknown-call');
      return { warning: REASONS.notDeleted, result: 'ok' };
    }
    try {
      const about = describe(removed, calls.find(removed.callId), now);
      if (at === undefined) context.ended(removed, 'deleted', about);
      return { ...(newer && flags.has('fast') ? {} : about.reply), result: 'ok' };
    } finally {
      if (at === undefined) manager.release(removed);
    }
  },
  query({ manager, calls }, message, now) {
    const callId = needed(message, 'call-id', REASONS.noCallId);
    const session = manager.get(callId);
    if (!session) throw new NgError(REASONS.unknownCall, 'unknown-call');
    const tags = [optional(message, 'from-tag'), optional(message, 'to-tag')].filter((tag) => tag !== undefined);
    const only = tags.length === 0 ? undefined : new Set(tags);
    return { ...describe(session, calls.find(session.callId), now, only).reply, result: 'ok' };
  },
  list({ manager }, message) {
    const limit = integer(message['limit']) ?? 32;
    if (limit < 0) throw new NgError(REASONS.badLimit);
    const calls = [...manager.callIds()].slice(0, limit);
    return { calls, result: 'ok' };
  },
  explain({ manager }, message, now) {
    const callId = needed(message, 'call-id', REASONS.noCallId);
    const session = manager.get(callId);
    if (!session) throw new NgError(REASONS.unknownCall, 'unknown-call');
    return { explanation: explain(session, now), result: 'ok' };
  },
  statistics: (context) => ({ statistics: context.statistics(), result: 'ok' }),
};

/** `both`: the to-tag counts too. */
function whichOf(message: Dictionary, both: boolean): Parameters<SessionManager['remove']>[1] {
  const fromTag = optional(message, 'from-tag');
  const toTag = both ? optional(message, 'to-tag') : undefined;
  const viaBranch = optional(message, 'via-branch');
  return {
    ...(fromTag === undefined ? {} : { fromTag }),
    ...(toTag === undefined ? {} : { toTag }),
    ...(viaBranch === undefined ? {} : { viaBranch }),
  };
}

/** The order of the checks is rtpengine's. @throws NgError */
function sdpRequest({ manager }: CommandContext, message: Dictionary, answer: boolean) {
  const sdp = needed(message, 'sdp', REASONS.noSdp);
  const callId = needed(message, 'call-id', REASONS.noCallId);
  const fromTag = needed(message, 'from-tag', REASONS.noFromTag);
  const toTag = answer ? needed(message, 'to-tag', REASONS.noToTag) : optional(message, 'to-tag');
  const viaBranch = optional(message, 'via-branch');
  return { callId, fromTag, toTag, viaBranch, sdp, flags: sharedFlags(message, manager.dialect) };
}

function follow({ manager, calls }: CommandContext, callId: string): void {
  const session = manager.get(callId);
  if (session) calls.follow(session);
}

/** Commands without a node around them. */
function bareContext(manager: SessionManager): CommandContext {
  return {
    manager,
    calls: new CallTable(),
    statistics: () => ({ currentstatistics: { sessionstotal: manager.size } }),
    rejected: () => undefined,
    ended: () => undefined,
    deleteDelaySeconds: 0,
  };
}
