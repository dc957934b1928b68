import type { Bencode } from '../../vocabulary/mod.ts';
import { readFlagString } from './flag-string.ts';
import type { Dictionary } from './message.ts';

/** All commands of 10.5 in the order in which its statistics list them, with the short name that they have there. */
export const COMMANDS = {
  ping: 'ping',
  offer: 'offer',
  answer: 'answer',
  delete: 'delete',
  query: 'query',
  list: 'list',
  'start recording': 'startrec',
  'stop recording': 'stoprec',
  'start forwarding': 'startfwd',
  'stop forwarding': 'stopfwd',
  'block DTMF': 'blkdtmf',
  'unblock DTMF': 'unblkdtmf',
  'block media': 'blkmedia',
  'unblock media': 'unblkmedia',
  'play media': 'playmedia',
  'stop media': 'stopmedia',
  'play DTMF': 'playdtmf',
  statistics: 'stats',
  'silence media': 'slnmedia',
  'unsilence media': 'unslnmedia',
  publish: 'pub',
  'subscribe request': 'subreq',
  'subscribe answer': 'subans',
  unsubscribe: 'unsub',
} as const;

/** Commands of newer releases and of our own; they are not in the statistics of 10.5. */
export const LATER_COMMANDS = [
  'pause recording',
  'connect',
  'transform',
  'subscribe events',
  'unsubscribe events',
  'explain',
] as const;

export type CommandName = keyof typeof COMMANDS | (typeof LATER_COMMANDS)[number];

/** Keys whose canonical spelling has capitals, a dot or an odd word order. All others are lower case with hyphens. */
const KEYS = [
  'ICE',
  'ICE-lite',
  'DTLS',
  'DTLS-reverse',
  'DTLS-fingerprint',
  'SDES',
  'OSRTP',
  'TOS',
  'T.38',
  'DTMF-security',
  'DTMF-security-trigger',
  'DTMF-security-trigger-end',
  'DTMF-delay',
  'detect-DTMF',
  'generate-RTCP',
  'SIP-code',
];

/** Known keys in lower case with hyphens. */
const PLAIN = `address address-family all audio-player blob blob64 bundle call-id code codec command db-id delay-buffer
  delete-delay digit direction drop-traffic duration end-trigger endpoint-learning events extmap file flags
  from-interface from-label from-tag from-tags frequencies frequency inbound-peer instance interface label last-frame-pos limit
  media media-address media-echo metadata moh music-on-hold names outbound-peer output-destination passthrough pause ptime
  ptime-reverse received-from record-call recording-dir recording-file recording-path recording-pattern repeat-duration
  repeat-times replace rtcp-mux rtpp-flags sdp sdp-attr sdp-media-remove set-label start-pos supports template to-interface
  to-label to-tag to-call-id transform transport-protocol trigger trigger-end-digits trigger-end-time via-branch volume
  xmlrpc-callback`.split(/\s+/);

const CANONICAL_KEYS: ReadonlyMap<string, string> = new Map([
  ...PLAIN.map((key): [string, string] => [key, key]),
  ...KEYS.map((key): [string, string] => [key.toLowerCase(), key]),
  ['t38', 'T.38'],
  ['t-38', 'T.38'],
  ['callid', 'call-id'],
]);

/** In their canonical spelling. */
export function knownKeys(): ReadonlySet<string> {
  return new Set(CANONICAL_KEYS.values());
}

const CANONICAL_COMMANDS: ReadonlyMap<string, CommandName> = new Map(
  [...(Object.keys(COMMANDS) as (keyof typeof COMMANDS)[]), ...LATER_COMMANDS].map((name): [string, CommandName] => [
    name.toLowerCase(),
    name,
  ]),
);

/** `block-dtmf`, `Block DTMF`, `block_DTMF` → `block DTMF`; `undefined` when there is no such command. */
export function commandOf(text: string): CommandName | undefined {
  if (text.length > 64) return undefined;
  return CANONICAL_COMMANDS.get(text) ?? CANONICAL_COMMANDS.get(text.toLowerCase().replace(/[-_]/g, ' '));
}

/**
 * The keys of a request in their canonical spelling: `transport protocol`, `Transport-Protocol` → `transport-protocol`,
 * `ice` → `ICE`. A key that stands there in its own spelling wins. `unknown` is called with every key that is not known.
 */
export function canonicalKeys(given: Dictionary, unknown?: (key: string) => void): Dictionary {
  if (isCanonical(given)) return given;
  const message = withFlagString(given);
  const out: Record<string, Bencode> = Object.create(null) as Record<string, Bencode>;
  for (const key in message) {
    const value = message[key] as Bencode;
    const canonical = CANONICAL_KEYS.get(key) ?? CANONICAL_KEYS.get(key.toLowerCase().replace(/[ _]/g, '-'));
    if (canonical === undefined) {
      unknown?.(key);
      out[key] = value;
    } else if (canonical === key || !Object.hasOwn(message, canonical)) out[canonical] ??= value;
  }
  return out;
}

/** What the message says itself counts more; lists become one. */
function withFlagString(message: Dictionary): Dictionary {
  const text = message['rtpp-flags'] ?? message['rtpp_flags'] ?? message['rtpp flags'];
  if (typeof text !== 'string') return message;
  const said = readFlagString(text);
  const flags = [message['flags'] ?? [], said['flags'] ?? []].flat() as Bencode[];
  return { ...said, ...message, ...(flags.length > 0 ? { flags } : {}) };
}

function isCanonical(message: Dictionary): boolean {
  for (const key in message) if (CANONICAL_KEYS.get(key) !== key || key === 'rtpp-flags') return false;
  return true;
}
