import type { Bencode } from '../../vocabulary/mod.ts';
import { check, rtp } from '../hostile/party.ts';

type Keys = Readonly<Record<string, Bencode>>;
export type Reply = Readonly<Record<string, Bencode>>;
type Pick = (below: number) => number;

/** One thing that a plan wants done: a command with what must become of it, or datagrams to ports of the node. */
export type Step =
  { readonly ask: Keys; readonly result: 'ok' | 'error' | 'any' } | { readonly send: Buffer; readonly port: number };

/** The life of one call, by steps; it is given the reply to each. */
export type Plan = Generator<Step, void, Reply>;

const PLAIN: Keys = {
  ICE: 'remove',
  DTLS: 'off',
  'transport-protocol': 'RTP/AVP',
  'rtcp-mux': ['demux'],
  SDES: ['off'],
  flags: ['trust-address'],
};
const WEBRTC: Keys = {
  ICE: 'force',
  'transport-protocol': 'UDP/TLS/RTP/SAVPF',
  'rtcp-mux': ['offer', 'require'],
  SDES: ['off'],
  flags: ['trust-address'],
};
const SDES: Keys = { ICE: 'remove', DTLS: 'off', 'transport-protocol': 'RTP/SAVP', flags: ['trust-address'] };
const BACK: Keys = { flags: ['trust-address', 'single-codec'] };

const KEY = 'inline:MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkw';
const FINGERPRINT = '7B:8B:F0:65:5F:78:E2:51:3B:AC:6F:F3:3F:46:1B:35:DC:B8:5F:64:1A:24:C2:43:F0:A1:58:D0:A1:2C:19:08';

function sdp(media: readonly string[], address = '127.0.0.1'): string {
  return ['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', `c=IN IP4 ${address}`, 't=0 0', ...media, ''].join('\r\n');
}

const phone = (port: number, direction = 'sendrecv') => [
  `m=audio ${port} RTP/AVP 0 8 101`,
  'a=rtpmap:101 telephone-event/8000',
  `a=${direction}`,
];
const secure = (port: number) => [`m=audio ${port} RTP/SAVP 0`, `a=crypto:1 AES_CM_128_HMAC_SHA1_80 ${KEY}`];
const browser = (ufrag: string, setup: string) => [
  'm=audio 9 UDP/TLS/RTP/SAVPF 111 0 110',
  `a=ice-ufrag:${ufrag}`,
  'a=ice-pwd:8lQ2lTPk6cVNeN9Bv8XQnGzF',
  `a=fingerprint:sha-256 ${FINGERPRINT}`,
  `a=setup:${setup}`,
  'a=mid:0',
  'a=rtcp-mux',
  'a=rtpmap:111 opus/48000/2',
  'a=rtpmap:110 telephone-event/48000',
];

/** What every plan needs of its call. */
class Call {
  readonly id: string;
  readonly pick: Pick;

  constructor(id: string, pick: Pick) {
    this.id = id;
    this.pick = pick;
  }

  /** Somewhere that nobody listens. */
  port(): number {
    return 40_000 + 2 * this.pick(10_000);
  }

  *offer(text: string, keys: Keys, tags: Keys = { 'from-tag': 'a' }, result: 'ok' | 'any' | 'error' = 'ok') {
    return yield* this.#tell('offer', text, keys, tags, result);
  }

  *answer(
    text: string,
    keys: Keys,
    tags: Keys = { 'from-tag': 'a', 'to-tag': 'b' },
    result: 'ok' | 'any' | 'error' = 'ok',
  ) {
    return yield* this.#tell('answer', text, keys, tags, result);
  }

  *end(tags: Keys = {}, result: 'ok' | 'any' = 'any') {
    yield { ask: { command: 'delete', 'call-id': this.id, 'delete-delay': 0, ...tags }, result } as const;
  }

  /** A few packets to where the other side was told to send. */
  *speak(sdpOfNode: string, count = 3) {
    const port = portOf(sdpOfNode);
    if (port === 0) return;
    for (let i = 0; i < count; i++) yield { send: rtp(this.pick(2 ** 30), 100 + i), port } as const;
  }

  *#tell(command: string, text: string, keys: Keys, tags: Keys, result: 'ok' | 'any' | 'error') {
    const replace = ['origin', 'session-connection'];
    const reply: Reply = yield { ask: { command, 'call-id': this.id, ...tags, replace, sdp: text, ...keys }, result };
    return typeof reply['sdp'] === 'string' ? reply['sdp'] : '';
  }
}

function portOf(text: string): number {
  return Number(/^m=\w+ (\d+)/m.exec(text)?.[1] ?? 0);
}

const PLANS: Readonly<Record<string, (call: Call) => Generator<Step, void, Reply>>> = {
  *plain(call) {
    const toB = yield* call.offer(sdp(phone(call.port())), PLAIN);
    yield* call.speak(toB, 1);
    const toA = yield* call.answer(sdp(phone(call.port())), BACK);
    yield* call.speak(toA);
    yield* call.speak(toB);
    yield { ask: { command: 'query', 'call-id': call.id }, result: 'any' };
    yield* call.end({ 'from-tag': 'a' });
  },

  *sdes(call) {
    const inward = call.pick(2) === 0;
    const toB = yield* call.offer(sdp(inward ? secure(call.port()) : phone(call.port())), inward ? PLAIN : SDES);
    const toA = yield* call.answer(sdp(inward ? phone(call.port()) : secure(call.port())), BACK, undefined, 'any');
    yield* call.speak(toA);
    yield* call.speak(toB);
    yield* call.end();
  },

  *webrtc(call) {
    const ufrag = `u${call.pick(2 ** 30).toString(36)}abc`;
    yield* call.offer(sdp(browser(ufrag, 'actpass'), '0.0.0.0'), PLAIN);
    const toA = yield* call.answer(sdp(phone(call.port())), { ...BACK, ICE: 'force' });
    yield* checks(toA, ufrag);
    yield* call.end();
  },

  /** Coded in between. */
  *'webrtc called'(call) {
    const ufrag = `u${call.pick(2 ** 30).toString(36)}abc`;
    const transcode = { codec: { transcode: ['opus'], mask: ['PCMU', 'PCMA'] } };
    const toB = yield* call.offer(sdp(phone(call.port())), { ...WEBRTC, ...transcode });
    const opus = /a=rtpmap:(\d+) opus/.exec(toB)?.[1] ?? '96';
    const lines = browser(ufrag, 'active').map((line) => line.replace('111 0 110', opus).replace(':111 ', `:${opus} `));
    const toA = yield* call.answer(sdp(lines, '0.0.0.0'), BACK, undefined, 'any');
    yield* checks(toB, ufrag);
    yield* call.speak(toA, 8);
    yield* call.end();
  },

  /** Heard by a subscriber, and by another that never answers. */
  *copied(call) {
    const toB = yield* call.offer(sdp(phone(call.port())), PLAIN);
    const toA = yield* call.answer(sdp(phone(call.port())), BACK);
    const all = { 'call-id': call.id, flags: ['all'], 'transport-protocol': 'RTP/SAVP' };
    yield { ask: { command: 'subscribe request', ...all, 'to-tag': 'never' }, result: 'any' };
    const one = { 'call-id': call.id, 'to-tag': 's' };
    const offer: Reply = yield { ask: { command: 'subscribe request', 'from-tag': 'a', ...one }, result: 'any' };
    if (offer['result'] === 'ok') {
      // What it does not take is coded for it.
      const coded = call.pick(2) === 0;
      const taken = phone(call.port(), 'recvonly').map((line) => (coded ? line.replace(' 0 8 101', ' 8') : line));
      const text = sdp(taken);
      const flags = coded ? ['allow-transcoding'] : [];
      yield { ask: { command: 'subscribe answer', ...one, sdp: text, flags }, result: 'ok' };
      yield* call.speak(toA);
      yield* call.speak(toB);
      if (call.pick(2) === 0) yield { ask: { command: 'unsubscribe', ...one }, result: 'ok' };
    }
    yield* call.end();
  },

  *published(call) {
    const publish = { command: 'publish', 'call-id': call.id, 'from-tag': 'p', sdp: sdp(phone(call.port())) };
    const answer: Reply = yield { ask: publish, result: 'ok' };
    yield* call.speak(String(answer['sdp'] ?? ''));
    yield { ask: { command: 'subscribe request', 'call-id': call.id, 'from-tag': 'p' }, result: 'any' };
    // Some are silent from here on.
    if (call.pick(4) > 0) yield* call.end();
  },

  /** Of two calls, which become one; some come back. */
  *connected(call) {
    const calls = ['x', 'y'].map((name) => new Call(`${call.id}-${name}`, call.pick));
    const tags = (name: string): Keys => ({ 'from-tag': `${name}1`, 'to-tag': `${name}2` });
    const ends: string[] = [];
    for (const [index, name] of ['x', 'y'].entries()) {
      const one = calls[index] as Call;
      const inward = name === 'x' && call.pick(3) === 0;
      const lines = inward ? secure(call.port()) : phone(call.port());
      yield* one.offer(sdp(lines), PLAIN, { 'from-tag': `${name}1` });
      ends.push(yield* one.answer(sdp(phone(call.port())), BACK, tags(name), 'any'));
    }
    const [x, y] = calls.map(({ id }) => id) as [string, string];
    const ask = (from: string, to: string, more: Keys = {}): Step => ({
      ask: { command: 'connect', 'call-id': x, 'from-tag': from, 'to-tag': to, ...more },
      result: 'any',
    });
    yield ask('x1', `y${1 + call.pick(2)}`, { 'to-call-id': y });
    for (const text of ends) yield* call.speak(text);
    if (call.pick(2) === 0) yield ask('x1', 'x2');
    if (call.pick(2) === 0) yield ask('x1', 'y2', { 'to-call-id': y });
    if (call.pick(2) === 0) yield* (calls[0] as Call).end({ 'from-tag': 'x1', 'to-tag': 'x2' });
    for (const one of calls.toSorted(() => call.pick(3) - 1)) yield* one.end();
  },

  *transformed(call) {
    const format = (codec: string, pt: number): Keys => ({ codec, 'payload type': pt, 'clock rate': 8000 });
    const codec = [{ input: format('PCMU', 0), output: format('PCMA', 8) }];
    const destination = { family: 'IP4', address: '127.0.0.1', port: call.port() };
    const media = Array.from({ length: 1 + call.pick(3) }, () => ({ type: 'audio', codec, destination }));
    const names = { 'call-id': call.id, 'from-tag': 't' };
    for (let turn = call.pick(2); turn >= 0; turn--) {
      const reply: Reply = yield { ask: { command: 'transform', ...names, media }, result: 'ok' };
      const [{ port } = { port: 0 }] = (reply['media'] ?? []) as unknown as { port: number }[];
      if (port > 0) for (let i = 0; i < 3; i++) yield { send: rtp(7, 100 + i), port };
    }
    yield* call.end();
  },

  *hold(call) {
    yield* call.offer(sdp(phone(call.port())), PLAIN);
    yield* call.answer(sdp(phone(call.port())), BACK);
    const tags = { 'from-tag': 'a', 'to-tag': 'b' };
    const turned = { 'from-tag': 'b', 'to-tag': 'a' };
    for (const [holder, other] of [
      [tags, tags],
      [turned, turned],
    ] as const) {
      yield* call.offer(sdp(phone(call.port(), 'sendonly')), PLAIN, holder);
      yield* call.answer(sdp(phone(call.port(), 'recvonly')), BACK, other);
      yield* call.offer(sdp(phone(call.port()), '0.0.0.0'), PLAIN, holder);
      yield* call.answer(sdp(phone(call.port(), 'inactive')), BACK, other);
      const text = yield* call.offer(sdp(phone(call.port())), PLAIN, holder);
      yield* call.answer(sdp(phone(call.port())), BACK, other);
      yield* call.speak(text);
    }
    yield* call.end({ 'from-tag': 'b', 'to-tag': 'a' });
    yield* call.end();
  },

  /** One caller, several who ring; some answer, branches end one by one. */
  *fork(call) {
    const branches = ['b1', 'b2', 'b3', 'b4'].slice(0, 2 + call.pick(3));
    for (const branch of branches)
      yield* call.offer(sdp(phone(call.port())), PLAIN, { 'from-tag': 'a', 'via-branch': branch });
    for (const branch of branches.slice(0, 1 + call.pick(branches.length)))
      yield* call.answer(
        sdp(phone(call.port())),
        BACK,
        { 'from-tag': 'a', 'to-tag': branch, 'via-branch': branch },
        'any',
      );
    for (const branch of branches.toSorted(() => call.pick(3) - 1))
      yield* call.end({ 'from-tag': 'a', 'via-branch': branch });
    yield* call.end();
  },

  *'failed offers'(call) {
    yield* call.offer('this is no SDP', PLAIN, undefined, 'error');
    yield* call.offer(sdp(['m=audio']), PLAIN, undefined, 'error');
    yield* call.offer(sdp(Array.from({ length: 40 }, () => phone(call.port())).flat()), PLAIN, undefined, 'error');
    yield* call.offer(sdp(phone(call.port())), { ...PLAIN, codec: { strip: ['all'] } }, undefined, 'any');
    yield* call.answer(sdp(phone(call.port())), BACK, { 'from-tag': 'nobody', 'to-tag': 'x' }, 'any');
    yield* call.offer(sdp(phone(call.port())), PLAIN);
    // More lines than were offered, and then none that can be read.
    yield* call.answer(sdp([...phone(call.port()), ...phone(call.port())]), BACK, undefined, 'any');
    yield* call.answer('v=0\r\nm=', BACK, undefined, 'error');
    yield* call.end();
    yield* call.end();
  },

  *'rejected lines'(call) {
    const video = ['m=video 5004 RTP/AVP 96', 'a=rtpmap:96 VP8/90000'];
    const fax = ['m=image 5006 udptl t38'];
    const chat = ['m=message 2855 TCP/MSRP *'];
    yield* call.offer(sdp([...phone(call.port()), ...video, ...fax, ...chat, ...phone(0)]), PLAIN);
    const no = ['m=video 0 RTP/AVP 96', 'm=image 0 udptl t38', 'm=message 0 TCP/MSRP *', 'm=audio 0 RTP/AVP 0'];
    yield* call.answer(sdp([...phone(call.pick(2) === 0 ? 0 : call.port()), ...no]), BACK);
    if (call.pick(2) === 0) {
      const tags = { 'from-tag': 'a', 'to-tag': 'b' };
      yield* call.offer(sdp([...phone(call.port()), ...video, ...no.slice(1)]), PLAIN, tags);
      yield* call.answer(sdp([...phone(call.port()), ...video, ...no.slice(1)]), BACK, tags, 'any');
    }
    yield* call.end();
  },

  /** Lines on one transport, which come and go; at the caller, at the called party or at both. */
  *bundled(call) {
    const ufrag = `u${call.pick(2 ** 30).toString(36)}abc`;
    const one = (setup: string, mid: string, mids: string) =>
      browser(ufrag, setup).map((line) =>
        line.replace('mid:0', `mid:${mid}`).replace('9 UDP', mids.includes(mid) ? '9 UDP' : '0 UDP'),
      );
    const shared = (setup: string, mids: string) =>
      sdp([`a=group:BUNDLE ${mids}`, ...one(setup, '1', mids), ...one(setup, '2', mids)], '0.0.0.0');
    const apart = (mids: string) => sdp(['1', '2'].flatMap((mid) => phone(mids.includes(mid) ? call.port() : 0)));
    const [caller, called] = [call.pick(2) === 0, call.pick(2) === 0];
    const keys = { ...(called ? WEBRTC : PLAIN), bundle: [call.pick(2) === 0 ? 'offer' : 'require', 'accept'] };
    let tags: Keys = { 'from-tag': 'a' };
    for (const mids of ['1 2', ['1', '2', '1 2'][call.pick(3)] ?? '1', '1 2']) {
      const toB = yield* call.offer(caller ? shared('actpass', mids) : apart(mids), keys, tags);
      tags = { 'from-tag': 'a', 'to-tag': 'b' };
      const toA = yield* call.answer(called ? shared('active', mids) : apart(mids), BACK, tags, 'any');
      yield* caller ? checks(toA, ufrag) : call.speak(toA);
      yield* called ? checks(toB, ufrag) : call.speak(toB);
    }
    yield* call.end();
  },

  /** Another kind of port for the same party, in mid-call. */
  *'changes of mind'(call) {
    const tags = { 'from-tag': 'a', 'to-tag': 'b' };
    const ufrag = `u${call.pick(2 ** 30).toString(36)}abc`;
    yield* call.offer(sdp(phone(call.port())), PLAIN);
    yield* call.answer(sdp(phone(call.port())), BACK);
    yield* call.offer(sdp(browser(ufrag, 'actpass'), '0.0.0.0'), PLAIN, tags);
    const toA = yield* call.answer(sdp(phone(call.port())), { ...BACK, ICE: 'force' }, tags);
    yield* checks(toA, ufrag);
    yield* call.offer(sdp(secure(call.port())), PLAIN, tags);
    yield* call.answer(sdp(phone(call.port())), BACK, tags, 'any');
    yield* call.offer(sdp(phone(call.port())), WEBRTC, tags);
    yield* call.answer(sdp(browser(ufrag, 'passive'), '0.0.0.0'), BACK, tags, 'any');
    yield* call.end();
  },

  /** Nobody deletes it: the media time-out has to. */
  *forgotten(call) {
    yield* call.offer(sdp(phone(call.port())), PLAIN);
    yield* call.answer(sdp(phone(call.port())), BACK);
  },

  /** Calls with more lines than there are ports for. */
  *greedy(call) {
    const text = sdp(Array.from({ length: 30 }, () => phone(call.port())).flat());
    const calls = Array.from({ length: 16 }, (_, i) => new Call(`${call.id}-${i}`, call.pick));
    for (const one of calls) yield* one.offer(text, PLAIN, undefined, 'any');
    for (const one of calls) yield* one.end();
  },
};

/** Checks with the right password, which prove a source; and without, which do not. */
function* checks(sdpOfNode: string, theirs: string): Generator<Step, void, Reply> {
  const ufrag = /a=ice-ufrag:(\S+)/.exec(sdpOfNode)?.[1];
  const pwd = /a=ice-pwd:(\S+)/.exec(sdpOfNode)?.[1];
  const port = portOf(sdpOfNode);
  if (ufrag === undefined || pwd === undefined || port === 0) return;
  yield { send: check(`${ufrag}:${theirs}`, pwd), port };
  yield { send: check(`${ufrag}:${theirs}`), port };
  yield { send: Buffer.from('16feff0000000000000000000101', 'hex'), port };
}

export const KINDS: readonly string[] = Object.keys(PLANS);

/** The kind by chance; what holds ports for long is rare. */
export function planOf(id: string, pick: Pick): { readonly kind: string; readonly plan: Plan } {
  let kind = KINDS[pick(KINDS.length)] as string;
  if ((kind === 'forgotten' || kind === 'greedy') && pick(8) > 0) kind = 'plain';
  const plan = (PLANS[kind] as (call: Call) => Plan)(new Call(id, pick));
  return { kind, plan };
}
