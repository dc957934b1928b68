// npm run bench -- sip-parse
/** Each figure is the best of so many short runs: what is slower was disturbed. */
const RUNS = 60;

const register = (body = '') => [
  'REGISTER sip:example.test;transport=udp SIP/2.0',
  'Via: SIP/2.0/UDP 192.0.2.17:5060;rport;branch=z9hG4bK-524287-1---7a6b3c2d1e0f9a8b',
  'Max-Forwards: 70',
  'Contact: <sip:alice@192.0.2.17:5060;transport=udp;ob>;reg-id=1;+sip.instance="<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>"',
  'To: "Alice Example" <sip:alice@example.test>',
  'From: "Alice Example" <sip:alice@example.test>;tag=9d3c5b7a',
  'Call-ID: 5kf0sm2lqpx81e7c6b4a@192.0.2.17',
  'CSeq: 2 REGISTER',
  'Expires: 3600',
  'Allow: INVITE, ACK, CANCEL, BYE, NOTIFY, REFER, MESSAGE, OPTIONS, INFO, SUBSCRIBE, UPDATE, PRACK',
  'Supported: path, outbound, gruu, replaces, timer',
  'User-Agent: Example Phone/5.1.2 (00-00-5E-00-53-01)',
  'Authorization: Digest username="alice", realm="example.test", nonce="k3J9xq0b7Yt2mVnE5wRz8A==", uri="sip:example.test;transport=udp", response="6629fae49393a05397450978507c4ef1", cnonce="0a4f113b", nc=00000001, qop=auth, algorithm=MD5',
  'Allow-Events: presence, message-summary, refer',
  `Content-Length: ${body.length}`,
  '',
  body,
]; // prettier-ignore

const SDP = [
  'v=0',
  'o=- 3966772346 3966772346 IN IP4 192.0.2.17',
  's=-',
  'c=IN IP4 192.0.2.17',
  't=0 0',
  'm=audio 4002 RTP/AVP 96 9 8 0 101',
  'a=rtpmap:96 opus/48000/2',
  'a=fmtp:96 useinbandfec=1;usedtx=0',
  'a=rtpmap:9 G722/8000',
  'a=rtpmap:8 PCMA/8000',
  'a=rtpmap:0 PCMU/8000',
  'a=rtpmap:101 telephone-event/8000',
  'a=fmtp:101 0-16',
  'a=ptime:20',
  'a=sendrecv',
  '',
].join('\r\n');

const invite = [
  'INVITE sip:+15550100@example.test;user=phone SIP/2.0',
  'Via: SIP/2.0/UDP 192.0.2.30:5060;branch=z9hG4bK3c7f.1a2b3c4d.0',
  'Via: SIP/2.0/UDP 192.0.2.17:5060;received=198.51.100.4;rport=61532;branch=z9hG4bKPj6f2e1d0c9b8a',
  'Max-Forwards: 69',
  'Record-Route: <sip:192.0.2.30;lr;ftag=5e4d3c2b>',
  'From: "Alice Example" <sip:alice@example.test>;tag=5e4d3c2b',
  'To: <sip:+15550100@example.test;user=phone>',
  'Contact: <sip:alice@192.0.2.17:5060;ob>',
  'Call-ID: 0f1e2d3c4b5a69788796a5b4c3d2e1f0',
  'CSeq: 21437 INVITE',
  'Allow: PRACK, INVITE, ACK, BYE, CANCEL, UPDATE, INFO, SUBSCRIBE, NOTIFY, REFER, MESSAGE, OPTIONS',
  'Supported: replaces, 100rel, timer, norefersub',
  'Session-Expires: 1800',
  'Min-SE: 90',
  'User-Agent: Example Phone/5.1.2',
  'P-Asserted-Identity: "Alice Example" <sip:+15550123@example.test;user=phone>',
  'Content-Type: application/sdp',
  `Content-Length: ${SDP.length}`,
  '',
  SDP,
];

/** CPU of reading and of writing one message, and of what the engine asks every request. */
export async function sipParse({ full }) {
  const { Message, parseMessage, parseAddressList, parseAuth, parseContacts, StreamFramer, tagOf } =
    await import('../../signaling/engine/message/mod.ts');
  const { serverKey } = await import('../../signaling/engine/transaction/mod.ts');
  const { markVia } = await import('../../signaling/engine/core/build.ts');
  const texts = { register: Buffer.from(register().join('\r\n')), invite: Buffer.from(invite.join('\r\n')) };
  const flow = { remote: { address: '198.51.100.9', port: 61_532 } };
  const rounds = full ? 400_000 : 100_000;
  const figures = { node: process.version, rounds };
  for (const [name, bytes] of Object.entries(texts)) {
    const parsed = parseMessage(bytes, 'datagram');
    if (!(parsed instanceof Message)) throw new Error(`${name} is not read: ${parsed.reason}`);
    figures[`${name} bytes`] = bytes.length;
    figures[`${name} parse us`] = measure(rounds, () => parseMessage(bytes, 'datagram'));
    figures[`${name} parse and match us`] = measure(rounds, () => {
      const message = parseMessage(bytes, 'datagram');
      markVia(message, flow);
      serverKey(message);
      tagOf(message.get('to'));
      tagOf(message.get('from'));
    });
    figures[`${name} print us`] = measure(rounds, () => parsed.toBytes());
    figures[`${name} from a stream us`] = measure(rounds, () => new StreamFramer().push(bytes));
  }
  const message = parseMessage(texts.register, 'datagram');
  figures['register all that a registrar reads us'] = measure(rounds, () => {
    parseContacts(message.getAll('contact'));
    parseAddressList(message.getAll('to'));
    parseAuth(message.get('authorization'));
  });
  return figures;
}

/** CPU µs of one round, the best of some runs. The result is used, so that it cannot be left out. */
function measure(rounds, work) {
  let held;
  let best = Infinity;
  for (let run = 0; run < RUNS; run++) {
    const before = process.cpuUsage();
    for (let i = 0; i < rounds / RUNS; i++) held = work();
    const { user, system } = process.cpuUsage(before);
    if (run > RUNS / 4) best = Math.min(best, (user + system) / (rounds / RUNS));
  }
  if (held === null) throw new Error('nothing was made');
  return best;
}

export { sipParse as 'sip-parse' };
