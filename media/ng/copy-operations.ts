import type { Bencode } from '../../vocabulary/mod.ts';
import { answerSubscription, readFlags, subscribe, unsubscribe, type SessionManager } from '../session/mod.ts';
import type { Session } from '../session/mod.ts';
import { NgError, REASONS } from './errors.ts';
import type { OperationRequest, Operations } from './media-commands.ts';
import type { Dictionary } from './message.ts';
import { needed, optional } from './request.ts';

/** `publish`, `subscribe request`, `subscribe answer` and `unsubscribe`. */
export function copyOperations(manager: SessionManager): Operations {
  return {
    publish({ message, callId, now }) {
      const sdp = needed(message, 'sdp', REASONS.noSdp);
      const fromTag = needed(message, 'from-tag', REASONS.noFromTag);
      const names = { callId, fromTag, toTag: undefined, viaBranch: undefined };
      const answer = manager.publish({ ...names, sdp, flags: readFlags(message, manager.dialect) }, now);
      return manager.dialect === '26' ? { sdp: answer, 'call-id': callId, 'from-tag': fromTag } : { sdp: answer };
    },
    'subscribe request': (request) => requestSubscription(manager, request),
    'subscribe answer'({ message, session }) {
      const toTag = needed(message, 'to-tag', REASONS.noToTag);
      const sdp = needed(message, 'sdp', REASONS.noSdp);
      answerSubscription(manager.copying, known(session), toTag, {
        sdp,
        flags: readFlags(message, manager.dialect),
      });
      return {};
    },
    unsubscribe({ message, session }) {
      unsubscribe(known(session), needed(message, 'to-tag', REASONS.noToTag));
      return {};
    },
  };
}

function known(session: Session | undefined): Session {
  if (!session) throw new NgError(REASONS.unknownCallOfParty, 'unknown-call');
  return session;
}

function requestSubscription(manager: SessionManager, { message, session, parties }: OperationRequest): Dictionary {
  const tags = [...new Set(parties.flatMap(({ tag }) => tag ?? []))];
  if (tags.length === 0) throw new NgError(REASONS.noneMatched);
  const flags = readFlags(message, manager.dialect);
  const { sdp, toTag, copies } = subscribe(manager.copying, known(session), {
    ...{ tags, toTag: optional(message, 'to-tag'), label: optional(message, 'set-label') },
    ...{ interfaceName: optional(message, 'interface'), flags },
  });
  const [only, ...others] = tags;
  return {
    sdp,
    ...(only !== undefined && others.length === 0 ? { 'from-tag': only } : {}),
    ...(flags.flags.has('SIPREC') ? labelled(tags, copies) : {}),
    'from-tags': tags,
    'to-tag': toTag,
  };
}

type Copies = ReturnType<typeof subscribe>['copies'];

/** What a recording client says of its streams (RFC 7865): by party, and by the labels of the lines. */
function labelled(tags: readonly string[], copies: Copies): Dictionary {
  const named = (partyLabel: string | undefined): Dictionary => (partyLabel === undefined ? {} : { label: partyLabel });
  return {
    'tag-medias': tags.map((tag): Bencode => {
      const own = copies.filter((copy) => copy.tag === tag);
      const medias = own.map(({ index, kind, label, direction }): Bencode => ({
        index: index + 1,
        type: kind,
        label,
        mode: direction,
      }));
      return { tag, ...named(own[0]?.partyLabel), medias };
    }),
    'media-labels': Object.fromEntries(
      copies.map(({ tag, index, kind, label, partyLabel, direction }) => [
        label,
        { tag, index: index + 1, type: kind, ...named(partyLabel), mode: direction },
      ]),
    ),
  };
}
