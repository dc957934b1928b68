import { NgService } from '../../../media/ng/mod.ts';
import { SessionManager } from '../../../media/session/mod.ts';
import { bencodeBytes, decodeBencode, type Bencode } from '../../../vocabulary/mod.ts';
import { NO_TOTALS } from '../../media/ng/node.ts';
import { PlaneDouble } from '../../media/session/plane-double.ts';
import { holds, same, type Target } from '../target.ts';
import { OFFERS } from './sdp-texts.ts';

const REQUESTS: readonly Record<string, Bencode>[] = [
  { command: 'ping' },
  { command: 'offer', 'call-id': 'c1', 'from-tag': 'a', 'via-branch': 'b', flags: ['trust-address'], sdp: OFFERS[0] as string },
  { command: 'offer', 'call-id': 'c1', 'from-tag': 'a', ICE: 'force', DTLS: 'passive', 'transport-protocol': 'UDP/TLS/RTP/SAVPF', sdp: OFFERS[1] as string },
  { command: 'answer', 'call-id': 'c1', 'from-tag': 'a', 'to-tag': 'b', replace: ['origin', 'session-connection'], sdp: OFFERS[0] as string },
  { command: 'delete', 'call-id': 'c1', 'from-tag': 'a', 'to-tag': 'b', 'delete-delay': 0, flags: ['fatal'] },
  { command: 'query', 'call-id': 'c1', 'from-tag': 'a' },
  { command: 'list', limit: 10 },
  { command: 'statistics' },
  { command: 'subscribe events', names: ['media started'] },
  { command: 'start recording', 'call-id': 'c1' },
  { command: 'play media', 'call-id': 'c1', 'from-tag': 'a', file: '/none' },
]; // prettier-ignore

const WORDS = [
  'offer', 'answer', 'delete', 'query', 'list', 'statistics', 'block media', 'play DTMF', 'command', 'call-id', 'from-tag',
  'to-tag', 'via-branch', 'flags', 'codec', 'strip', 'all', 'sdp', '__proto__', 'constructor', 'toString', 'null', 'true',
  '[]', '{}', '"\\u0000"', '\\ud800', 'delete-delay', 'limit', '1e400', 'ICE', 'rtcp-mux', 'direction', 'inside',
]; // prettier-ignore

/** Every request with a cookie gets one reply, with that cookie, in its own language, that says how it went. */
export const ng: Target = {
  name: 'ng',
  seeds: REQUESTS.flatMap((request) => [
    Buffer.concat([Buffer.from('7_1 '), bencodeBytes(request)]),
    Buffer.from(`7_1 ${JSON.stringify(request)}`),
  ]),
  words: WORDS,
  run(input) {
    const plane = new PlaneDouble();
    const manager = new SessionManager({
      dataplane: plane,
      interfaces: ['default', 'inside'],
      maxSessions: 4,
      timeoutSeconds: 60,
    });
    const service = new NgService({
      manager,
      dataplane: { totals: () => NO_TOTALS },
      interfaces: [],
      now: () => 1_700_000_000_000,
      clock: () => 1000,
      randomCookie: () => 'cookie',
    });
    const replies: Buffer[] = [];
    const caller = { address: '192.0.2.1', transport: 'udp' } as const;
    const accepted = service.handle(input, caller, (reply) => replies.push(reply));
    same(replies.length, accepted ? 1 : 0, 'one reply to a request, none to what is none');
    const [reply] = replies;
    if (reply) {
      const space = reply.indexOf(0x20);
      same(input.subarray(0, space + 1).compare(reply.subarray(0, space + 1)), 0, 'with its cookie');
      const body = reply.subarray(space + 1);
      const read = body[0] === 0x7b ? (JSON.parse(body.toString()) as Bencode) : decodeBencode(body);
      const result = typeof read === 'object' && 'result' in read ? read['result'] : undefined;
      holds(['ok', 'pong', 'error', 'load limit'].includes(String(result)), 'that says how it went');
      holds(
        !String((read as Record<string, unknown>)['error-reason']).startsWith('Internal error'),
        'no error of our own',
      );
    }
    // A repetition is answered by the same, and not done twice.
    const size = manager.size;
    service.handle(input, caller, (again) => same(again.compare(reply as Buffer), 0, 'again the same'));
    same(manager.size, size, 'done once');
    manager.close();
    same(plane.open.size, 0, 'no endpoint is left');
  },
};
