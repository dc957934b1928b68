import type { Bencode } from '../../vocabulary/mod.ts';

type Pick = (below: number) => number;
type Keys = Record<string, Bencode>;

const FINGERPRINT = Array(32).fill('7B').join(':');
const KEY = 'inline:MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkw';
const ADDRESSES = [
  '127.0.0.1',
  '0.0.0.0',
  '::1',
  '224.0.0.1',
  'host.example.com',
  '::',
  '127.0.0.1/127',
  'ü',
  '1.2.3',
  '-',
];
const PROTOCOLS = [
  ...['RTP/AVP', 'RTP/AVPF', 'RTP/SAVP', 'RTP/SAVPF', 'UDP/TLS/RTP/SAVPF', 'UDP/TLS/RTP/SAVP'],
  ...['udptl', 'TCP/MSRP', 'UDP/DTLS/SCTP', 'rtp/avp', 'TCP/TLS/RTP/SAVP'],
];
const FORMATS = ['0 8 101', '0', '111 0 110', 't38', 'x y', '96 97 98 99 100 101', '18', '127 128 129'];
/** Each is right for some and wrong for others. */
const ATTRIBUTES = [
  ...['a=rtpmap:111 opus/48000/2', 'a=rtpmap:101 telephone-event/8000', 'a=rtpmap:0 PCMA/0', 'a=rtpmap:96 x/y/z'],
  ...[
    'a=rtpmap:8 PCMU/99999999999',
    'a=rtpmap:96 opus/48000/255',
    'a=rtpmap:',
    'a=fmtp:111 maxaveragebitrate=99999999',
  ],
  ...['a=ptime:20', 'a=ptime:0', 'a=ptime:1e9', 'a=ptime:-5', 'a=maxptime:x', 'a=sendonly', 'a=recvonly', 'a=inactive'],
  ...['a=rtcp:5', 'a=rtcp:0', 'a=rtcp:70000', 'a=rtcp:9 IN IP4 host', 'a=rtcp-mux', 'a=rtcp-mux-only', 'a=bundle-only'],
  ...[`a=crypto:1 AES_CM_128_HMAC_SHA1_80 ${KEY}`, `a=crypto:2 AES_CM_128_HMAC_SHA1_32 ${KEY}|2^31|1:4`],
  ...['a=crypto:1 AEAD_AES_256_GCM inline:AAAA', `a=crypto:999999999999 __proto__ ${KEY}`, 'a=crypto:x'],
  ...[
    `a=fingerprint:sha-256 ${FINGERPRINT}`,
    'a=fingerprint:sha-1 zz',
    `a=fingerprint:md5 ${FINGERPRINT}`,
    'a=fingerprint:',
  ],
  ...['a=setup:active', 'a=setup:passive', 'a=setup:actpass', 'a=setup:x', 'a=ice-ufrag:a', 'a=ice-pwd:short'],
  ...[
    `a=ice-ufrag:${'x'.repeat(300)}`,
    'a=mid:ü',
    'a=mid:',
    'a=ice-lite',
    'a=ice-options:trickle',
    'a=end-of-candidates',
  ],
  ...[
    'a=candidate:1 1 UDP 2130706431 127.0.0.1 70000 typ host',
    'a=group:BUNDLE 0 1',
    'a=rtcp-fb:* nack',
    'i=title',
    'a=',
    'c=',
  ],
];

/** Most can be taken; some are nonsense, or nearly. */
export function someSdp(pick: Pick): string {
  const one = <T>(list: readonly T[]): T => list[pick(list.length)] as T;
  const lines = ['v=0', one(['o=- 1 1 IN IP4 127.0.0.1', 'o=', 'o=ü 1 99999999999999999999 IN IP6 ::1']), 's=-'];
  if (pick(6) > 0) lines.push(`c=IN IP4 ${pick(4) > 0 ? '127.0.0.1' : one(ADDRESSES)}`);
  lines.push('t=0 0');
  if (pick(4) === 0) lines.push(one(ATTRIBUTES));
  for (let count = pick(20) === 0 ? pick(40) : 1 + pick(3); count > 0; count--) {
    const port = pick(8) === 0 ? one(['0', '9', '65535', '40000/2']) : String(40_000 + 2 * pick(500));
    const kind = pick(4) > 0 ? 'audio' : one(['video', 'image', 'application']);
    const protocol = pick(2) > 0 ? 'RTP/AVP' : one(PROTOCOLS);
    lines.push(`m=${kind} ${port} ${protocol} ${pick(2) > 0 ? '0 8 101' : one(FORMATS)}`);
    if (pick(3) === 0) lines.push(`a=ice-ufrag:r${pick(1e6)}abc`, 'a=ice-pwd:8lQ2lTPk6cVNeN9Bv8XQnGzF');
    if (pick(3) === 0) lines.push(`a=fingerprint:sha-256 ${FINGERPRINT}`, 'a=setup:actpass');
    for (let more = pick(4); more > 0; more--) lines.push(one(ATTRIBUTES));
  }
  return [...lines, ''].join(one(['\r\n', '\r\n', '\n']));
}

/** What a proxy may ask for, contradictions among it. */
const WISHES: Readonly<Record<string, readonly Bencode[]>> = {
  ICE: ['remove', 'force', 'default', 'optional', 'force-relay', 'x'],
  DTLS: ['off', 'passive', 'active'],
  'DTLS-reverse': ['off', 'passive', 'active'],
  SDES: [['off'], ['no-AES_CM_128_HMAC_SHA1_80'], ['only-NULL_HMAC_SHA1_80', 'pad'], ['lifetime']],
  OSRTP: [['offer'], ['accept'], ['offer', 'accept']],
  'transport-protocol': PROTOCOLS,
  'rtcp-mux': [['offer'], ['require'], ['demux'], ['accept'], ['reject', 'demux'], ['offer', 'require']],
  bundle: [['offer'], ['accept'], ['require', 'reject']],
  replace: [
    ['origin'],
    ['session-connection', 'username'],
    ['sdp-version', 'zero-address'],
    ['force-increment-sdp-ver'],
  ],
  flags: [
    ...[
      ['asymmetric'],
      ['strict-source', 'media-handover'],
      ['generate-mid', 'trickle-ICE'],
      ['reject-ICE'],
      ['loop-protect'],
    ],
    ...[
      ['single-codec'],
      ['always-transcode'],
      ['SIP-source-address'],
      ['all', 'SIPREC'],
      ['codec-mask-all', 'transcode-opus'],
    ],
  ],
  codec: [
    { strip: ['PCMU'] },
    { mask: ['all'], transcode: ['opus'] },
    { transcode: ['PCMA', 'x/-1'] },
    { accept: ['full'] },
  ],
  direction: [['default', 'other'], ['other'], ['x', 'y']],
  'media-address': ['192.0.2.1', '::1', 'x\r\ny'],
  'address-family': ['IP4', 'IP6', 'x'],
  'received-from': [['IP4', '127.0.0.1'], ['IP4', 'x'], ['IP4'], 'x'],
  'endpoint-learning': ['off', 'immediate', 'delayed', 'heuristic'],
  ptime: [20, 40, 0, -1, 1e18, '20'],
  label: ['l', 'ü'],
};

export function someWishes(pick: Pick): Keys {
  const keys: Keys = {};
  for (const [key, values] of Object.entries(WISHES))
    if (pick(5) === 0) keys[key] = values[pick(values.length)] as Bencode;
  return keys;
}

const CODINGS: readonly Keys[] = [
  { codec: 'PCMU', 'payload type': 0, 'clock rate': 8000 },
  { codec: 'PCMA', 'payload type': 8, 'clock rate': 8000 },
  { codec: 'opus', 'payload type': 96, 'clock rate': 48_000, channels: 2, options: 'bitrate=20000' },
  { codec: 'telephone-event', 'payload type': 101, 'clock rate': 8000 },
  { codec: 'VP8', 'payload type': 98, 'clock rate': 90_000 },
  { codec: 'ü', 'payload type': 300, 'clock rate': -1 },
];
const DESTINATIONS: readonly Bencode[] = [
  { family: 'IP4', address: '127.0.0.1', port: 9 },
  { family: 'IP6', address: '::1', port: 9 },
  { family: 'IP4', address: 'host.example.com', port: 9 },
  { address: '127.0.0.1', port: 70_000 },
  'x',
];

/** What `transform` may be asked for: most of it makes sense. */
export function someStreams(pick: Pick): Bencode {
  const one = <T>(list: readonly T[]): T => list[pick(list.length)] as T;
  const likely = <T>(list: readonly T[]): T => (pick(4) === 0 ? one(list) : (list[0] as T));
  const coding = () => ({ input: one(CODINGS), output: likely(CODINGS) });
  return Array.from({ length: pick(4) }, () => ({
    type: likely(['audio', 'video', 'x']),
    codec: Array.from({ length: 1 + pick(2) }, coding),
    destination: likely(DESTINATIONS),
  }));
}
