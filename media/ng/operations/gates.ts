import type { Gates, SessionManager } from '../../session/mod.ts';
import { NgError, REASONS } from '../errors.ts';
import { isForAll } from '../parties.ts';
import type { Operation, Operations } from '../media-commands.ts';

const CHANGES = {
  'block media': { blocked: true },
  'unblock media': { blocked: false },
  'silence media': { silenced: true },
  'unsilence media': { silenced: false },
  'block DTMF': { dtmfBlocked: true },
  'unblock DTMF': { dtmfBlocked: false },
} as const satisfies Readonly<Record<string, Partial<Gates>>>;

/**
 * What a party sends is held back: its RTP but not its telephone-events, its voice behind silence, or its
 * telephone-events. Without a party the whole call; a party that was named by itself stays held back when the call is
 * opened again, unless the flag `all` opens everybody.
 */
export function gateOperations(manager: Pick<SessionManager, 'gate'>): Operations {
  const operation =
    (change: Partial<Gates>): Operation =>
    ({ session, parties, message }) => {
      if (!session) throw new NgError(REASONS.unknownCallOfParty, 'unknown-call');
      const named = parties.map(({ dialogue, which }) => dialogue[which]);
      const opened = Object.values(change).every((held) => !held);
      // Of everybody, those to come too.
      if (isForAll(message)) manager.gate(session, opened ? [session, ...named] : [session], change);
      else manager.gate(session, named.length > 0 ? named : [session], change);
      return {};
    };
  return Object.fromEntries(Object.entries(CHANGES).map(([command, change]) => [command, operation(change)]));
}
