import type { SessionManager } from '../session/mod.ts';
import { NgError, REASONS } from './errors.ts';
import type { OperationRequest, Operations } from './media-commands.ts';
import { selectParties } from './parties.ts';
import { needed, optional, wordsOf } from './request.ts';

/** `connect`: two parties, of one call or of two, hear each other without another offer. */
export function connectOperations(manager: Pick<SessionManager, 'get' | 'connect'>): Operations {
  return {
    connect({ message, now }: OperationRequest) {
      const callId = needed(message, 'call-id', REASONS.noCallId);
      const session = manager.get(callId);
      if (!session) throw new NgError(REASONS.unknownCallOfParty, 'unknown-call');
      const flags = wordsOf(message['flags']);
      // A second stream beside the one that a party hears is noise to it.
      if (flags.has('directional')) throw new NgError(REASONS.notDirectional, 'unsupported');
      const tags = new Set((selectParties(session, message) ?? []).flatMap(({ tag }) => tag ?? []));
      const [fromTag, ...more] = tags;
      if (fromTag === undefined || more.length > 0) throw new NgError(REASONS.noParty);
      const toTag = needed(message, 'to-tag', REASONS.noToTag);
      const toCallId = optional(message, 'to-call-id');
      const other = toCallId === undefined ? session : manager.get(toCallId);
      if (!other) throw new NgError(REASONS.unknownOtherCall, 'unknown-call');
      manager.connect(session, other, [fromTag, toTag], now);
      return {};
    },
  };
}
