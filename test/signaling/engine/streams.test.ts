import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { LIMITS, Message, parseMessage, StreamFramer, type Framed } from '../../../signaling/engine/message/mod.ts';
import { TORTURE } from './torture/table.ts';

const OPTIONS = [
  'OPTIONS sip:192.0.2.1 SIP/2.0',
  'Via: SIP/2.0/TCP 192.0.2.2;branch=z9hG4bK1',
  'From: <sip:a@192.0.2.2>;tag=1',
  'To: <sip:192.0.2.1>',
  'Call-ID: c',
  'CSeq: 1 OPTIONS',
];

const message = (...more: string[]): string => [...OPTIONS, ...more].join('\r\n');
const WHOLE = message('Content-Length: 3', '', 'abc');

/** What a stream gives in pieces that end at `cuts`. */
function framed(stream: Buffer, cuts: readonly number[]): Framed[] {
  const framer = new StreamFramer();
  const frames: Framed[] = [];
  let from = 0;
  for (const to of [...cuts, stream.length]) {
    frames.push(...framer.push(Buffer.from(stream.subarray(from, to))));
    from = to;
  }
  return frames;
}

function shown(frames: readonly Framed[]): string[] {
  return frames.flatMap((frame) => {
    if (frame.type === 'message') return [frame.message.toString()];
    if (frame.type === 'failure') return [`${frame.failure.status} ${frame.failure.reason} ${frame.fatal}`];
    return frame.type === 'ping' ? ['ping'] : [];
  });
}

describe('SIP in a stream', () => {
  const seeds = [WHOLE, ...TORTURE.map(({ stream }) => stream.toString('latin1'))].map((text) =>
    Buffer.from(text, 'latin1'),
  );

  it('is read the same byte by byte', () => {
    for (const seed of seeds) {
      const stream = Buffer.concat([seed, Buffer.from('\r\n\r\n\r\n\r\n'), Buffer.from(WHOLE)]);
      const whole = shown(framed(stream, []));
      const bytes = Array.from({ length: stream.length }, (_, index) => index);
      assert.deepEqual(shown(framed(stream, bytes)), whole);
    }
  });

  it('is read the same in two pieces, wherever they are cut', () => {
    for (const seed of seeds.filter(({ length }) => length < 700)) {
      const whole = shown(framed(seed, []));
      for (let cut = 0; cut <= seed.length; cut++) assert.deepEqual(shown(framed(seed, [cut])), whole, `cut at ${cut}`);
    }
  });

  it('is read the same in any pieces, with any messages one after another', () => {
    const one = fc.constantFrom(...seeds, Buffer.from('\r\n'), Buffer.from('\r\n\r\n'));
    fc.assert(
      fc.property(fc.array(one, { maxLength: 4 }), fc.array(fc.nat(4000), { maxLength: 20 }), (messages, places) => {
        const stream = Buffer.concat(messages);
        const cuts = places.filter((place) => place < stream.length).sort((a, b) => a - b);
        assert.deepEqual(shown(framed(stream, cuts)), shown(framed(stream, [])));
      }),
      { seed: 5, numRuns: 400 },
    );
  });

  it('costs the same however small the pieces are', () => {
    // As long as a message may be: what looked at all of it again with every byte would take minutes.
    const stream = Buffer.from(
      message(`Content-Length: ${LIMITS.messageBytes - 300}`, '', 'x'.repeat(LIMITS.messageBytes - 300)),
    );
    const before = process.cpuUsage();
    const framer = new StreamFramer();
    let found = 0;
    for (let at = 0; at < stream.length; at++) found += framer.push(stream.subarray(at, at + 1)).length;
    assert.equal(found, 1);
    assert.ok(process.cpuUsage(before).user < 1_000_000);
  });

  it('gives bodies that stay what they were when more comes', () => {
    const framer = new StreamFramer();
    const two = Buffer.from(WHOLE.replace('abc', 'def'));
    const first = [
      ...framer.push(Buffer.from(WHOLE.slice(0, -1))),
      ...framer.push(Buffer.concat([Buffer.from('c'), two.subarray(0, 50)])),
    ];
    const second = framer.push(two.subarray(50));
    const bodies = [...first, ...second].map(
      (frame) => frame.type === 'message' && Buffer.from(frame.message.body).toString(),
    );
    assert.deepEqual(bodies, ['abc', 'def']);
  });

  it('has pings in one piece or two, and says nothing to an answer', () => {
    const types = (...pieces: string[]) => {
      const framer = new StreamFramer();
      return pieces.flatMap((piece) => framer.push(Buffer.from(piece))).map(({ type }) => type);
    };
    assert.deepEqual(types('\r\n\r\n'), ['ping']);
    assert.deepEqual(types('\r\n', '\r\n'), ['pong', 'ping']);
    assert.deepEqual(types('\r', '\n\r', '\n'), ['pong', 'ping']);
    assert.deepEqual(types('\r\n', WHOLE, '\r\n'), ['pong', 'message', 'pong']);
    assert.deepEqual(types('\n'.repeat(60_000), WHOLE), ['message']);
  });

  it('may hold messages with lines of LF alone, and a body with CRLFs', () => {
    const text = message('Content-Length: 8', '').replaceAll('\r\n', '\n') + '\na\r\n\r\nb\r\n';
    const stream = Buffer.from(text + WHOLE);
    assert.deepEqual(
      framed(stream, []).map((frame) => frame.type === 'message' && Buffer.from(frame.message.body).toString()),
      ['a\r\n\r\nb\r\n', 'abc'],
    );
    const alone = parseMessage(Buffer.from(text), 'datagram');
    assert.ok(alone instanceof Message);
    assert.equal(Buffer.from(alone.body).toString(), 'a\r\n\r\nb\r\n');
  });
});

describe('limits of a message', () => {
  const many = (count: number) => Array.from({ length: count }, (_, index) => `X-${index}: y`);
  const CASES: readonly (readonly [what: string, text: string, status: number, limit: string, fatal: boolean])[] = [
    ['headers', message(...many(LIMITS.headers), 'Content-Length: 0', '', ''), 513, 'headers', true],
    ['bytes of headers', message(...many(20).map((line) => line + 'y'.repeat(2000)), 'Content-Length: 0', '', ''), 513, 'headers', true],
    ['bytes of a header', message('Content-Length: 0', `X: ${'y'.repeat(LIMITS.lineBytes)}`, '', ''), 513, 'line', false],
    ['bytes of a folded header', message('Content-Length: 0', 'X: y', ...many(10).map((line) => ` ${line}${'y'.repeat(2000)}`), '', ''), 513, 'line', false],
    ['bytes of a Request-URI', message('Content-Length: 0', '', '').replace('192.0.2.1 SIP', `${'y'.repeat(LIMITS.uriBytes)} SIP`), 414, 'uri', false],
    ['bytes of a body', message(`Content-Length: ${LIMITS.messageBytes}`, '', ''), 413, 'body', true],
  ]; // prettier-ignore

  for (const [what, text, status, limit, fatal] of CASES) {
    it(`${what}: ${status}, and the request can be answered`, () => {
      for (const step of [text.length, 100]) {
        const cuts = Array.from({ length: Math.ceil(text.length / step) }, (_, index) => index * step);
        const [frame, ...more] = framed(Buffer.from(text), cuts);
        assert.ok(frame?.type === 'failure' && more.length === 0);
        const { failure } = frame;
        assert.deepEqual([failure.status, failure.limit, frame.fatal, failure.of], [status, limit, fatal, 'request']);
        assert.equal(failure.partial?.get('call-id'), 'c');
      }
    });
  }

  it('hold for datagrams and frames too', () => {
    for (const [, text, status, limit] of CASES.slice(0, 5)) {
      const failure = parseMessage(Buffer.from(text), 'datagram');
      assert.ok(!(failure instanceof Message));
      assert.deepEqual([failure.status, failure.limit, failure.partial?.get('call-id')], [status, limit, 'c']);
    }
    const long = parseMessage(Buffer.from(message('', 'x'.repeat(LIMITS.messageBytes))), 'framed');
    assert.ok(!(long instanceof Message));
    assert.deepEqual([long.status, long.limit, long.partial?.get('call-id')], [513, 'message', 'c']);
  });

  it('are not reached by what they allow', () => {
    const text = message(
      ...many(LIMITS.headers - 7),
      `X: ${'y'.repeat(LIMITS.lineBytes - 3)}`,
      'Content-Length: 1',
      '',
      'z',
    );
    for (const frame of framed(Buffer.from(text), [])) assert.equal(frame.type, 'message');
    assert.ok(parseMessage(Buffer.from(text), 'datagram') instanceof Message);
  });

  it('a message that lacks its end is refused when its headers are too long already', () => {
    const framer = new StreamFramer();
    const frames: Framed[] = [];
    const endless = Buffer.from(`${message('X: ')}${'y'.repeat(200)}`);
    frames.push(...framer.push(endless));
    for (let i = 0; i < 400 && frames.length === 0; i++)
      frames.push(...framer.push(Buffer.from(`\r\nX: ${'y'.repeat(200)}`)));
    assert.deepEqual(
      frames.map((frame) => frame.type === 'failure' && [frame.failure.limit, frame.fatal]),
      [['headers', true]],
    );
    assert.equal(framer.pendingBytes, 0);
  });
});
