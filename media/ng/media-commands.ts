import { randomBytes } from 'node:crypto';
import type { Bencode } from '../../vocabulary/mod.ts';
import type { Session, SessionManager } from '../session/mod.ts';
import { NgError, REASONS } from './errors.ts';
import type { Dictionary } from './message.ts';
import { selectParties, type SelectedParty } from './parties.ts';
import { integer, needed, optional, wordsOf } from './request.ts';
import type { CommandName } from './spelling.ts';

/** What an operation gets: everything that its command names is there. */
export interface OperationRequest {
  readonly command: CommandName;
  readonly message: Dictionary;
  readonly callId: string;
  /** Absent for what makes its own: `publish`. */
  readonly session: Session | undefined;
  /** Empty when the command means the whole call. */
  readonly parties: readonly SelectedParty[];
  /** Of `play DTMF`: the event of RFC 4733, 0 to 15. */
  readonly code?: number;
  /** Epoch ms. */
  readonly now: number;
}

/**
 * Does what a command says and returns what its reply holds beside `result`. It may take its time: a request that comes
 * again meanwhile waits for the same reply. What it throws as NgError or SessionError is the reply's `error-reason`.
 */
export type Operation = (request: OperationRequest) => Dictionary | Promise<Dictionary>;

/** Commands on the media of a call that this node can do; the others are refused. */
export type Operations = Readonly<Partial<Record<CommandName, Operation>>>;

type Kind = 'recording' | 'party' | 'optional-party' | 'publish' | 'subscribe' | 'subscription';

const KINDS: Readonly<Partial<Record<CommandName, Kind>>> = {
  'start recording': 'recording',
  'stop recording': 'recording',
  'pause recording': 'recording',
  'start forwarding': 'optional-party',
  'stop forwarding': 'optional-party',
  'block DTMF': 'optional-party',
  'unblock DTMF': 'optional-party',
  'block media': 'optional-party',
  'unblock media': 'optional-party',
  'silence media': 'optional-party',
  'unsilence media': 'optional-party',
  'play media': 'party',
  'stop media': 'party',
  'play DTMF': 'party',
  publish: 'publish',
  'subscribe request': 'subscribe',
  'subscribe answer': 'subscription',
  unsubscribe: 'subscription',
};

/** Commands that older nodes do not know are unknown here too until there is an operation for them. */
const LATER: ReadonlySet<CommandName> = new Set(['pause recording', 'connect', 'transform'] as const);

export function isMediaCommand(command: CommandName, operations: Operations): boolean {
  return operations[command] !== undefined || (KINDS[command] !== undefined && !LATER.has(command));
}

/** Checks in the order of rtpengine, then the operation. @throws NgError */
export function runMediaCommand(
  operations: Operations,
  manager: Pick<SessionManager, 'get' | 'dialect'>,
  command: CommandName,
  message: Dictionary,
  now: number,
): Dictionary | Promise<Dictionary> {
  const request = understand(manager, command, message, now);
  const operation = operations[command];
  if (!operation) throw new NgError(REASONS.notHere, 'unsupported');
  return operation(request);
}

function understand(
  manager: Pick<SessionManager, 'get' | 'dialect'>,
  command: CommandName,
  given: Dictionary,
  now: number,
): OperationRequest {
  const message = manager.dialect === '26' ? asNewer(command, given) : given;
  const kind = KINDS[command];
  const base = { command, message, now };
  if (kind === 'publish') {
    needed(message, 'sdp', REASONS.noSdp);
    const callId = needed(message, 'call-id', REASONS.noCallId);
    needed(message, 'from-tag', REASONS.noFromTag);
    return { ...base, callId, session: manager.get(callId), parties: [] };
  }
  if (kind === undefined) {
    // `connect`, `transform`: the operation itself knows what it needs.
    const callId = optional(message, 'call-id') ?? '';
    return { ...base, callId, session: manager.get(callId), parties: [] };
  }
  const callId = needed(message, 'call-id', REASONS.noCallId);
  if (kind === 'subscription') {
    needed(message, 'to-tag', REASONS.noToTag);
    if (command === 'subscribe answer') needed(message, 'sdp', REASONS.noSdp);
  }
  const session = manager.get(callId);
  if (!session)
    throw new NgError(kind === 'recording' ? REASONS.unknownCall : REASONS.unknownCallOfParty, 'unknown-call');
  if (kind === 'recording' || kind === 'subscription') return { ...base, callId, session, parties: [] };
  const parties = selectParties(session, message);
  if (kind === 'subscribe') {
    if (parties) return { ...base, callId, session, parties };
    const tags = fromTagsOf(message);
    if (tags.length === 0) throw new NgError(REASONS.noSubscribed);
    const named = tags.slice(0, 64).flatMap((tag) => selectParties(session, { 'from-tag': tag }) ?? []);
    return { ...base, callId, session, parties: named };
  }
  if (kind === 'party' && !parties) throw new NgError(REASONS.noParty);
  if (command === 'play media' && !['file', 'blob', 'blob64', 'db-id'].some((key) => message[key] !== undefined))
    throw new NgError(REASONS.noMedia);
  const known = { ...base, callId, session, parties: parties ?? [] };
  return command === 'play DTMF' ? { ...known, code: dtmfCode(message) } : known;
}

/** A list of its own, or flags: `from-tags-TAG`. */
function fromTagsOf(message: Dictionary): readonly Bencode[] {
  const lists = [message['from-tags'], message['flags']].map((list) => (Array.isArray(list) ? list : []));
  const [tags = [], flags = []] = lists as (readonly Bencode[])[];
  const flagged = flags.filter((flag) => typeof flag === 'string' && flag.startsWith('from-tags-')) as string[];
  return [...tags, ...flagged.map((flag) => flag.slice('from-tags-'.length))];
}

/** What newer releases read otherwise: gates take no notice of a from-tag, a publisher may be given its names. */
function asNewer(command: CommandName, message: Dictionary): Dictionary {
  if (command === 'publish')
    return {
      ...message,
      'call-id': optional(message, 'call-id') ?? randomBytes(32).toString('hex'),
      'from-tag': optional(message, 'from-tag') ?? randomBytes(32).toString('hex'),
    };
  if (KINDS[command] !== 'optional-party' || wordsOf(message['flags']).has('directional')) return message;
  const { 'from-tag': _ignored, ...rest } = message;
  return rest;
}

/** `code` or `digit`: "0"–"9", "*", "#", "A"–"D", or the event's number (RFC 4733 §3.2). @throws NgError */
function dtmfCode(message: Dictionary): number {
  const given = message['code'] ?? message['digit'];
  if (typeof given === 'string' && /^[0-9*#A-Da-d]$/.test(given))
    return '0123456789*#ABCD'.indexOf(given.toUpperCase());
  const code = integer(given);
  if (code === undefined || code < 0 || code > 15) throw new NgError(REASONS.badCode);
  return code;
}
