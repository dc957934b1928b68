import { parseParams } from '../list.ts';
import { headOf, parseSeconds } from './seconds.ts';

/** RFC 4028 §5: no session interval may be shorter. */
export const LEAST_SESSION_SECONDS = 90;

/** Session-Expires (RFC 4028 §4). */
export interface SessionExpires {
  readonly seconds: number;
  /** Who refreshes; in requests it may be left open. */
  readonly refresher: 'uac' | 'uas' | undefined;
}

/** `undefined` when it is malformed. An unknown refresher counts as none. */
export function parseSessionExpires(value: string): SessionExpires | undefined {
  const { head, rest } = headOf(value);
  const seconds = parseSeconds(head);
  if (seconds === undefined) return undefined;
  const refresher = parseParams(value, rest).get('refresher')?.toLowerCase();
  return { seconds, refresher: refresher === 'uac' || refresher === 'uas' ? refresher : undefined };
}

export function formatSessionExpires({ seconds, refresher }: SessionExpires): string {
  return refresher === undefined ? String(seconds) : `${seconds};refresher=${refresher}`;
}

/** Min-SE (RFC 4028 §5): {@link LEAST_SESSION_SECONDS} without one; `undefined` when it is malformed. */
export function parseMinSe(value: string | undefined): number | undefined {
  if (value === undefined) return LEAST_SESSION_SECONDS;
  return parseSeconds(headOf(value).head);
}
