import { parse } from 'sdp-transform';
import { readFlags, SessionError, SessionManager } from '../../../media/session/mod.ts';
import type { Bencode } from '../../../vocabulary/mod.ts';
import { PlaneDouble } from '../../media/session/plane-double.ts';
import { holds, same, type Target } from '../target.ts';
import { ANSWERS, KEPT, OFFERS } from './sdp-texts.ts';

const PLAIN = { ICE: 'remove', DTLS: 'off', 'transport-protocol': 'RTP/AVP', 'rtcp-mux': ['demux'] };
const WEBRTC = { ICE: 'force', DTLS: 'passive', 'transport-protocol': 'UDP/TLS/RTP/SAVPF', 'rtcp-mux': ['offer'] };
const REPLACE = { replace: ['origin', 'session-connection'] };
const FLAGS: readonly Readonly<Record<string, Bencode>>[] = [
  { ...PLAIN, ...REPLACE },
  { ...WEBRTC, ...REPLACE },
  { 'transport-protocol': 'RTP/SAVP', DTLS: 'off', ICE: 'remove' },
  { ...PLAIN, codec: { strip: ['all'], transcode: ['PCMA'] } },
  { ...WEBRTC, codec: { mask: ['PCMU', 'PCMA'], transcode: ['opus'] }, ptime: 40 },
  { ...PLAIN, direction: ['default', 'inside'], codec: { except: ['PCMU'], strip: ['all'] } },
  { codec: { strip: ['telephone-event'] }, 'rtcp-mux': ['require'] },
  {},
  { ...WEBRTC, 'rtcp-mux': ['require'], bundle: ['require', 'accept'] },
  { bundle: ['offer', 'accept'] },
];
const flags = FLAGS.map((keys) => readFlags(keys));

const WORDS = [
  'm=audio', 'm=video', 'm=image', 'a=sendrecv', 'a=inactive', 'a=rtcp-mux', 'a=x-kept-8', 'a=x-kept-9:z', '0.0.0.0', '::',
  '[::1]', 'RTP/AVP', 'RTP/SAVPF', 'UDP/TLS/RTP/SAVPF', 'TCP/MSRP', 'IN IP6', 'a=mid:0', 'a=group:BUNDLE', 'a=crypto:1',
  'inline:', 'opus/48000/2', 'a=fmtp:', 'a=rtpmap:', '127', '128', 'a=setup:holdconn', 'a=bundle-only', 'a=ice-lite', 'constructor', '__proto__', 'toString',
]; // prettier-ignore

/** Parts of an input: two bytes that choose the flags, the offer, a zero, the answer. */
function inputOf(first: number, second: number, offer: string, answer: string): Buffer {
  return Buffer.concat([Buffer.from([first, second]), Buffer.from(`${offer}\0${answer}`, 'utf8')]);
}

/**
 * An offer, its answer and an offer again through the sessions of a node, with a packet path that is a double: what comes
 * out is SDP with the same lines, ours where the addresses, ports and keys are, and the rest as it came.
 */
export const sdp: Target = {
  name: 'sdp',
  seeds: OFFERS.flatMap((offer, i) => ANSWERS.map((answer, j) => inputOf(i + 3 * j, j + i, offer, answer))),
  words: WORDS,
  texts: 4,
  run(input) {
    const plane = new PlaneDouble();
    const dataplane = plane;
    const interfaces = ['default', 'inside'];
    const manager = new SessionManager({ dataplane, interfaces, maxSessions: 2, timeoutSeconds: 60 });
    const text = input.toString('utf8', 2);
    const cut = text.indexOf('\0');
    const offer = cut < 0 ? text : text.slice(0, cut);
    const answer = cut < 0 ? (ANSWERS[0] as string) : text.slice(cut + 1);
    const offered = flags[(input[0] ?? 0) % flags.length] as (typeof flags)[number];
    const answered = flags[(input[1] ?? 0) % flags.length] as (typeof flags)[number];
    const free = plane.portsLeft;
    const tell = (kind: 'offer' | 'answer', sdpText: string, keys: typeof offered, turn: boolean, open: boolean) => {
      const request = {
        callId: 'c',
        fromTag: turn ? 'b' : 'a',
        toTag: open ? undefined : turn ? 'a' : 'b',
        viaBranch: undefined,
        sdp: sdpText,
        flags: keys,
      };
      try {
        const out = kind === 'offer' ? manager.offer(request, 1) : manager.answer(request, 1);
        check(sdpText, out);
      } catch (error) {
        if (!(error instanceof SessionError)) throw error;
      }
    };
    tell('offer', offer, offered, false, true);
    tell('answer', answer, answered, false, false);
    tell('offer', answer, offered, true, false);
    tell('answer', offer, answered, true, false);
    manager.close();
    same(plane.open.size, 0, 'no endpoint is left');
    same(plane.portsLeft, free, 'no port is left');
    same(plane.bundles.size, 0, 'no bundle is left');
  },
};

function check(input: string, output: string): void {
  const before = sections(input);
  const after = sections(output);
  holds(/^v=0[\r\n]/.test(output) && /[\r\n]$/.test(output), 'it is SDP');
  same(after.length, before.length, 'it has the same media lines');
  const parsed = parse(output);
  same(parsed.media.length, after.length - 1, 'it can be read');
  for (const [index, lines] of after.entries()) {
    const kept = lines.filter((line) => line.startsWith(KEPT)).join('\n');
    const came = (before[index] as string[]).filter((line) => line.startsWith(KEPT)).join('\n');
    const media = index === 0 ? undefined : parsed.media[index - 1];
    holds(media === undefined || /^m=\w+ \d+ \S+ /.test(lines[0] as string), 'its m= lines are well formed');
    // A line that is refused says no more than that.
    if (media === undefined || media.port !== 0)
      same(kept, came, `what nobody touches stays in order in part ${index}`);
    if (media === undefined || media.port === 0 || !/RTP/.test(media.protocol)) continue;
    const address = media.connection?.ip ?? parsed.connection?.ip;
    // 0.0.0.0 and :: hold, or belong to a browser that has none to tell yet.
    holds(OURS.has(String(address)), `the address is ours: ${address}`);
    holds(media.port === 19_000 || (media.port > 20_000 && media.port < 21_000), `the port is ours: ${media.port}`);
  }
}

const OURS = new Set(['127.0.0.1', '10.0.0.1', '0.0.0.0', '::']);

/** The session part, then each media part. */
function sections(text: string): string[][] {
  const parts: string[][] = [[]];
  for (const line of text.split(/\r\n|\n|\r/)) {
    if (line.startsWith('m=')) parts.push([line]);
    else if (line !== '') (parts.at(-1) as string[]).push(line);
  }
  return parts;
}
