import { LIMIT_TEXTS, type SessionError } from '../session/mod.ts';

/** The error texts of rtpengine 10.5: proxies log them and people look for them. */
export const REASONS = {
  noCommand: 'Dictionary contains no key "command"',
  unknownCommand: 'Unrecognized command',
  noSdp: 'No SDP body in message',
  noCallId: 'No call-id in message',
  noFromTag: 'No from-tag in message',
  noToTag: 'No to-tag in message',
  unknownCall: 'Unknown call-id',
  /** Commands on parties write it with a capital D. */
  unknownCallOfParty: 'Unknown call-ID',
  notDeleted: "Call-ID not found or tags didn't match",
  badLimit: 'invalid limit, must be >= 0',
  sessionLimit: LIMIT_TEXTS.sessions,
  noPorts: LIMIT_TEXTS.ports,
  noParty: 'No participant party specified',
  noSuchTag: 'From-tag given, but no such tag exists',
  noSuchLabel: 'No monologue matching the given label',
  badAddress: 'Failed to parse network address',
  noSuchAddress: 'Failed to match address to any tag',
  noMedia: 'No media file specified',
  /** Behind it: file, blob or database. */
  notPlayed: 'Failed to start media playback from',
  badCode: "Out of range 'code' specified",
  noSubscribed: 'No call participant specified',
  noneMatched: 'No monologues matched',
  noSuchToTag: 'To-tag not found',
  unknownOtherCall: 'Unknown to-tag call-ID',
  /** Our own. */
  notHere: 'Not supported by this node',
  notTransformed: 'Failed to set up transform',
  notDirectional: 'A party hears one stream: subscribe, or connect without the flag directional',
  noConnection: 'Events need a connection: ng over TCP or WebSocket',
  notPressed: 'No way to send this key to the other party',
  badEvents: 'No such event',
} as const;

/** The limits that a client which `supports` it is told as `load limit`; others are always told the first. */
export const LIMITS: ReadonlySet<string> = new Set([
  LIMIT_TEXTS.sessions,
  LIMIT_TEXTS.load,
  LIMIT_TEXTS.cpu,
  LIMIT_TEXTS.bandwidth,
]);

/** Why a command was not done; the message is the `error-reason`. `code` is for metrics. */
export class NgError extends Error {
  readonly code: SessionError['code'] | 'unsupported';

  constructor(message: string, code: NgError['code'] = 'bad-request', options?: ErrorOptions) {
    super(message, options);
    this.name = 'NgError';
    this.code = code;
  }
}
