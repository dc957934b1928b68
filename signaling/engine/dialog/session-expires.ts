import { parseParams, type SipMessage } from '../message/mod.ts';

/** Seconds; nobody may be asked to refresh more often (RFC 4028 §4). */
export const MIN_SE = 90;
const MAX_SE = 86_400;

/** Who sends the next refresh, seen from the request that agreed on it (§4). */
export type Refresher = 'uac' | 'uas';

export interface SessionExpires {
  readonly seconds: number;
  readonly refresher: Refresher | undefined;
}

/** Session-Expires or `x` (§4); undefined when there is none that can be read. */
export function sessionExpires(message: SipMessage): SessionExpires | undefined {
  const match = /^\s*(\d{1,10})\s*(;.*)?$/.exec(message.get('session-expires') ?? '');
  if (!match) return undefined;
  const refresher = parseParams(match[2] ?? '')
    .get('refresher')
    ?.toLowerCase();
  return {
    seconds: Math.min(Number(match[1]), MAX_SE),
    refresher: refresher === 'uac' || refresher === 'uas' ? refresher : undefined,
  };
}

/** An interval that would make both sides busy: 422 (§5, §9). */
export function tooOften(request: SipMessage): boolean {
  const asked = sessionExpires(request);
  return asked !== undefined && asked.seconds < MIN_SE;
}

/**
 * What a 2xx to INVITE or UPDATE agrees on (§9 table 2). `answer` is what the application wants, `request` what the peer
 * asked for. Where neither names who refreshes, `fallback` does; `none`: there is no timer then.
 */
export function agree(
  request: SipMessage,
  answer: SipMessage,
  fallback: Refresher | 'none',
): { readonly seconds: number; readonly refresher: Refresher } | undefined {
  const wanted = sessionExpires(answer);
  if (wanted) return { seconds: Math.max(wanted.seconds, MIN_SE), refresher: wanted.refresher ?? 'uac' };
  const asked = sessionExpires(request);
  if (!asked || asked.seconds < MIN_SE) return undefined;
  // A peer that does not know timers cannot refresh: some proxy has asked (§9).
  const knows = lists(request, 'supported', 'timer') || lists(request, 'require', 'timer');
  const named = asked.refresher ?? (fallback === 'none' ? undefined : fallback);
  if (named === undefined) return undefined;
  return { seconds: asked.seconds, refresher: knows ? named : 'uas' };
}

export function lists(message: SipMessage, header: string, option: string): boolean {
  return message.getAll(header).some((value) => value.split(',').some((part) => part.trim().toLowerCase() === option));
}

/** When a party that waits for refreshes gives the call up: a bit before its end (§10). */
export function giveUpAfterMs(seconds: number): number {
  return (seconds - Math.min(32, seconds / 3)) * 1000;
}
