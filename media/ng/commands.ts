import type { Bencode } from '../../vocabulary/mod.ts';
import {
  isDictionary,
  readFlags,
  SessionError,
  text,
  type Session,
  type SessionManager,
  type Side,
} from '../session/mod.ts';

type Dictionary = Readonly<Record<string, Bencode>>;

const MAX_NAME = 1024;

export interface CommandResult {
  readonly command: string;
  /** The call-id: joins this node's log with signaling's. */
  readonly callId: string | undefined;
  readonly reply: Dictionary;
  /** For metrics and the log. */
  readonly failed: SessionError['code'] | 'bad-request' | undefined;
}

/** One ng command on the sessions of this node. `now`: epoch ms. Never throws: what goes wrong is the reply. */
export function runCommand(manager: SessionManager, message: Bencode | undefined, now: number): CommandResult {
  const command = isDictionary(message) ? text(message['command']) : undefined;
  if (!isDictionary(message)) return failure('', undefined, 'bad-request', 'Could not decode dictionary');
  const callId = text(message['call-id']);
  if (command === undefined) return failure('', callId, 'bad-request', 'Dictionary contains no key "command"');
  try {
    const run = Object.hasOwn(COMMANDS, command) ? COMMANDS[command] : undefined;
    if (!run) return failure(command, callId, 'bad-request', 'Unrecognized command');
    return { command, callId, reply: run(manager, message, now), failed: undefined };
  } catch (error) {
    if (error instanceof SessionError) return failure(command, callId, error.code, error.message);
    const about = error instanceof Error ? error.message : String(error);
    return failure(command, callId, 'bad-request', `Internal error: ${about}`);
  }
}

function failure(
  command: string,
  callId: string | undefined,
  failed: CommandResult['failed'],
  reason: string,
): CommandResult {
  return { command, callId, failed, reply: { result: 'error', 'error-reason': reason } };
}

const COMMANDS: Readonly<Record<string, (manager: SessionManager, message: Dictionary, now: number) => Dictionary>> = {
  ping: () => ({ result: 'pong' }),
  offer: (manager, message, now) => ({ sdp: manager.offer(sdpRequest(message), now), result: 'ok' }),
  answer(manager, message, now) {
    const request = sdpRequest(message);
    if (request.toTag === undefined) throw new SessionError('bad-request', 'No to-tag in message');
    return { sdp: manager.answer(request, now), result: 'ok' };
  },
  delete(manager, message, now) {
    const callId = needed(message, 'call-id');
    const which: { fromTag?: string; toTag?: string; viaBranch?: string } = {};
    const fromTag = text(message['from-tag']);
    const toTag = text(message['to-tag']);
    const viaBranch = text(message['via-branch']);
    if (fromTag !== undefined) which.fromTag = fromTag;
    if (toTag !== undefined) which.toTag = toTag;
    if (viaBranch !== undefined) which.viaBranch = viaBranch;
    const removed = manager.remove(callId, which);
    if (!removed) {
      // Whoever deletes twice has what it wants; `fatal` says that it wants to know.
      if (readFlags(message).flags.has('fatal'))
        throw new SessionError('unknown-call', "Call-ID not found or tags didn't match");
      return { warning: "Call-ID not found or tags didn't match", result: 'ok' };
    }
    const reply = describe(removed, now);
    manager.release(removed);
    return { ...reply, result: 'ok' };
  },
  query(manager, message, now) {
    const session = manager.get(needed(message, 'call-id'));
    if (!session) throw new SessionError('unknown-call', 'Unknown call-id');
    return { ...describe(session, now), result: 'ok' };
  },
  list(manager, message) {
    const limit = typeof message['limit'] === 'number' ? message['limit'] : 32;
    return {
      calls: manager
        .all()
        .slice(0, Math.max(0, limit))
        .map(({ callId }) => callId),
      result: 'ok',
    };
  },
  statistics: (manager) => ({ statistics: { currentstatistics: { sessionstotal: manager.size } }, result: 'ok' }),
};

function sdpRequest(message: Dictionary) {
  for (const key of ['call-id', 'from-tag', 'to-tag', 'via-branch']) {
    // They are kept for as long as the call is.
    if ((text(message[key])?.length ?? 0) > MAX_NAME)
      throw new SessionError('bad-request', `${key} is longer than ${MAX_NAME} characters`);
  }
  return {
    callId: needed(message, 'call-id'),
    fromTag: needed(message, 'from-tag'),
    toTag: text(message['to-tag']) || undefined,
    viaBranch: text(message['via-branch']) || undefined,
    sdp: needed(message, 'sdp'),
    flags: readFlags(message),
  };
}

function needed(message: Dictionary, key: string): string {
  const value = text(message[key]);
  if (value === undefined || value === '') throw new SessionError('bad-request', `No ${key} in message`);
  return value;
}

/** Times and figures of a call, as `query` and `delete` show them. */
function describe(session: Session, now: number): Dictionary {
  const tags: Record<string, Bencode> = Object.create(null) as Record<string, Bencode>;
  const total = { packets: 0, bytes: 0, errors: 0 };
  for (const [number, { a, b, lines, viaBranch }] of session.dialogues.entries()) {
    for (const [name, party] of [
      ['a', a],
      ['b', b],
    ] as const) {
      const tag = party.tag ?? `<untagged ${number + 1}>`;
      const medias = lines.map((line) => describeSide(line[name], line.index, total));
      const before = isDictionary(tags[tag]) ? tags[tag] : undefined;
      const earlier = Array.isArray(before?.['medias']) ? (before['medias'] as readonly Bencode[]) : [];
      tags[tag] = {
        tag,
        ...(viaBranch === undefined || name === 'a' ? {} : { 'via-branch': viaBranch }),
        created: Math.floor(session.createdAt / 1000),
        medias: [...earlier, ...medias],
      };
    }
  }
  return {
    created: Math.floor(session.createdAt / 1000),
    created_us: Math.floor((session.createdAt % 1000) * 1000),
    'last signal': Math.floor(session.lastSignalAt / 1000),
    duration: Math.max(0, Math.floor((now - session.createdAt) / 1000)),
    tags,
    totals: { RTP: total },
  };
}

function describeSide(
  side: Side,
  index: number,
  total: { packets: number; bytes: number; errors: number },
): Dictionary {
  const { endpoint, remote } = side;
  if (!endpoint) return { index: index + 1, type: remote?.kind ?? 'audio', protocol: side.protocol, streams: [] };
  const stats = endpoint.stats();
  const errors = Object.values(stats.dropped).reduce((sum, count) => sum + count, 0);
  total.packets += stats.received.packets;
  total.bytes += stats.received.bytes;
  total.errors += errors;
  return {
    index: index + 1,
    type: remote?.kind ?? 'audio',
    protocol: side.protocol,
    codec: side.codecs[0]?.name ?? '',
    streams: [
      {
        'local port': endpoint.rtp.port,
        'local address': endpoint.rtp.address,
        ...(stats.remoteRtp ? { endpoint: { address: stats.remoteRtp.address, port: stats.remoteRtp.port } } : {}),
        ...(stats.ssrc === undefined ? {} : { SSRC: stats.ssrc }),
        stats: { packets: stats.received.packets, bytes: stats.received.bytes, errors },
        'packets lost': stats.received.lost,
        'jitter ms': Math.round(stats.received.jitterMs),
        'packets sent': stats.sent.packets,
        ...(stats.playout
          ? {
              'concealed ms': stats.playout.concealedMs,
              'played ms': stats.playout.playedMs,
              'shortened ms': Math.round(stats.playout.shortenedMs),
              'lengthened ms': Math.round(stats.playout.lengthenedMs),
              'buffered ms': stats.playout.bufferedMs,
              'target delay ms': stats.playout.targetDelayMs,
            }
          : {}),
        ...(stats.roundTripMs === undefined ? {} : { 'round trip ms': Math.round(stats.roundTripMs) }),
      },
    ],
  };
}
