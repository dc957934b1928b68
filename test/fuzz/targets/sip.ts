import {
  LIMITS,
  Message,
  StreamFramer,
  canonicalName,
  digestOf,
  formatReason,
  formatReplaces,
  formatRoutes,
  formatUri,
  gruuOf,
  gruusOf,
  outboundOf,
  parseAddressList,
  parseAssertedIdentity,
  parseAuth,
  parseCSeq,
  parseChallenges,
  parseContacts,
  parseEvent,
  parseMessage,
  parseMinSe,
  parseNameAddr,
  parsePrivacy,
  parseRAck,
  parseReasons,
  parseReferTo,
  parseReplaces,
  parseRoutes,
  parseSessionExpires,
  parseSubscriptionState,
  parseUri,
  parseVia,
  pushOf,
  refusalOf,
  tagOf,
  topVia,
  withoutPush,
  type Framed,
} from '../../../signaling/engine/message/mod.ts';
import { TORTURE } from '../../signaling/engine/torture/table.ts';
import { holds, same, type Target } from '../target.ts';

const lines = (...text: string[]) => Buffer.from(text.join('\r\n'));

const SEEDS = [
  lines(
    'INVITE sip:bob@example.test;transport=tls SIP/2.0',
    'Via: SIP/2.0/TLS 192.0.2.1:5061;branch=z9hG4bK1;rport, SIP/2.0/UDP [2001:db8::9]:5060;branch=z9hG4bK0',
    'Max-Forwards: 70',
    'Record-Route: <sip:p1.example.test;lr>, <sip:p2.example.test;lr>',
    'From: "Alice, \\"A\\"" <sip:alice@example.test>;tag=1',
    'To: <sip:bob@example.test>',
    'Call-ID: c1@192.0.2.1',
    'CSeq: 1 INVITE',
    'Contact: <sip:alice@192.0.2.1:5061;transport=tls;ob>;+sip.instance="<urn:uuid:1>"',
    'Content-Type: application/sdp',
    'Content-Length: 4',
    '',
    'v=0\n',
  ),
  lines(
    'REGISTER sip:example.test SIP/2.0',
    'v: SIP/2.0/UDP 192.0.2.1:5060 ;branch=z9hG4bK1;rport',
    'f: <sip:alice@example.test>;tag=1',
    't: <sip:alice@example.test>',
    'i: c1@192.0.2.1',
    'CSeq: 1 REGISTER',
    'Subject: folded',
    ' over two lines',
    'm: <sip:alice@192.0.2.1>;expires=60, "b" <sips:alice@[2001:db8::1]:5061;transport=tls>',
    'Authorization: Digest username="alice", realm="example.test", nonce="n,1", qop=auth, nc=00000001, cnonce="c", uri="sip:example.test", response="0"',
    'l: 0',
    '',
    '',
  ),
  lines(
    'SIP/2.0 401 Unauthorized',
    'Via: SIP/2.0/WSS df7jal23ls0d.invalid;branch=z9hG4bK2;received=192.0.2.1;rport=5060',
    'From: sip:alice@example.test;tag=1',
    'To: sip:bob@example.test;tag=2',
    'Call-ID: c2',
    'CSeq: 2 INVITE',
    'WWW-Authenticate: Digest realm="example.test", nonce="1", algorithm=SHA-256, qop="auth,auth-int"',
    'Contact: *',
    'Content-Length: 0',
    '',
    '',
  ),
];

/** The torture messages too: what one of them means comes up in another. */
const MESSAGES = [...SEEDS, ...TORTURE.map(({ stream }) => stream)];

const WORDS = [
  'INVITE', 'ACK', 'SIP/2.0', 'SIP/3.0', 'sip:', 'sips:', 'tel:+1', 'Via', 'v', 'l', 'Content-Length', 'CSeq', 'branch',
  'z9hG4bK', 'rport', 'received=[2001:db8::1]', '[2001:db8:::192.0.2.1]', 'Require', 'x;', ';;', '\r', '\n\n', '\n ', 'Max-Forwards: 0', 'tag', '*', '"', '\\"', '<sip:a@b>', '[::1]', '%00', '%zz', 'expires=0', 'lr', '🙂', 'constructor', '__proto__',
]; // prettier-ignore

/** Every header as if it were each of those that extensions have; what can be written again is read as the same. */
function readFields(value: string): void {
  for (const challenge of parseChallenges([value])) digestOf(challenge);
  parseSessionExpires(value);
  parseMinSe(value);
  parseAssertedIdentity([value]);
  parsePrivacy([value]);
  parseEvent(value);
  parseSubscriptionState(value);
  parseRAck(value);
  parseReferTo(value);
  const replaces = parseReplaces(value);
  if (replaces && /^[\w.@-]+$/.test(replaces.callId + replaces.toTag + replaces.fromTag))
    same(formatReplaces(parseReplaces(formatReplaces(replaces)) ?? replaces), formatReplaces(replaces), 'Replaces');
  const reasons = parseReasons([value]).map(formatReason);
  same(parseReasons(reasons).map(formatReason).join(), reasons.join(), 'Reason');
  const address = parseNameAddr(value);
  if (!address) return;
  outboundOf(address);
  gruusOf(address.params);
  const routes = parseRoutes([value]);
  if (routes) holds(parseRoutes(formatRoutes(routes)) !== undefined, 'a route that was written can be read');
  const uri = parseUri(address.uri);
  if (!uri) return;
  gruuOf(uri);
  pushOf(uri);
  holds(parseUri(formatUri(withoutPush(uri))) !== undefined, 'a URI without push can be read');
}

function readHeaders(message: Message): void {
  for (const { name, value } of message.headers) {
    same(typeof canonicalName(name), 'string', 'a name is text');
    parseNameAddr(value);
    parseVia(value);
    topVia(value);
    parseCSeq(value);
    parseAuth(value);
    parseAddressList([value]);
    parseContacts([value]);
    tagOf(value);
    readFields(value);
  }
  const uri = parseUri(message.uri);
  if (!uri) return;
  const again = parseUri(formatUri(uri));
  holds(again !== undefined, 'a URI that was written can be read');
  same(formatUri(again as typeof uri), formatUri(uri), 'and is the same');
}

/** What is a message is one still when it was written, with the same headers; what is none says why. */
export const sip: Target = {
  name: 'sip',
  seeds: MESSAGES,
  words: WORDS,
  run(input) {
    for (const mode of ['datagram', 'framed'] as const) {
      const parsed = parseMessage(input, mode);
      if (!(parsed instanceof Message)) {
        holds(parsed.status >= 400 && parsed.status < 600, 'a refusal has a status');
        holds(!/[\r\n]/.test(parsed.reason), 'and a reason in one line');
        if (parsed.partial) parseMessage(parsed.partial.toBytes(), 'datagram');
        continue;
      }
      readHeaders(parsed);
      if (parsed.type === 'request') refusalOf(parsed);
      const written = parsed.toBytes();
      if (written.length > LIMITS.messageBytes) continue;
      const again = parseMessage(written, 'framed');
      if (!(again instanceof Message)) {
        // It may have become longer than a message may be: what was not UTF-8 is three bytes now.
        holds(again.status === 513, `what was written can be read: ${again.reason}`);
        continue;
      }
      same(again.method + again.uri + again.status, parsed.method + parsed.uri + parsed.status, 'start line');
      same(headersOf(again), headersOf(parsed), 'headers');
      same(Buffer.compare(again.body, parsed.body), 0, 'body');
      same(Buffer.compare(again.toBytes(), written), 0, 'what is written twice');
    }
  },
};

function headersOf(message: Message): string {
  return message.headers
    .filter(({ name }) => !/^(content-length|l)$/i.test(name))
    .map(({ name, value }) => `${name}: ${value}`)
    .join('\n');
}

/** A stream gives the same messages however it is cut, and holds a bounded number of bytes. */
export const sipStream: Target = {
  name: 'sip-stream',
  seeds: MESSAGES.map((seed) => Buffer.concat([seed, Buffer.from('\r\n\r\n'), seed])),
  words: WORDS,
  run(input) {
    const whole = new StreamFramer().push(input).map(shown);
    const framer = new StreamFramer();
    const pieces: string[] = [];
    const step = 1 + ((input[0] ?? 0) % 97);
    for (let at = 0; at < input.length; at += step) {
      pieces.push(...framer.push(input.subarray(at, at + step)).map(shown));
      holds(framer.pendingBytes <= LIMITS.messageBytes + step, 'no more than a message is held');
    }
    // An answer to a ping that arrives in pieces may be told twice, and costs nothing.
    same(pieces.filter(isMessage).join('\n'), whole.filter(isMessage).join('\n'), `the same in pieces of ${step}`);
  },
};

function shown(frame: Framed): string {
  if (frame.type === 'message') return `message ${frame.message.toString()}`;
  return frame.type === 'failure' ? `failure ${frame.failure.reason} ${frame.fatal}` : frame.type;
}

function isMessage(text: string): boolean {
  return text !== 'pong';
}
