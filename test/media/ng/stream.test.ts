import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { StreamCutter } from '../../../media/ng/stream.ts';
import { bencodeBytes } from '../../../vocabulary/mod.ts';

const message = fc.record({
  cookie: fc.stringMatching(/^[a-zA-Z0-9_-]{1,36}$/),
  body: fc.dictionary(fc.string(), fc.oneof(fc.string(), fc.integer(), fc.array(fc.string(), { maxLength: 3 })), {
    maxKeys: 4,
    noNullPrototype: true,
  }),
  json: fc.boolean(),
});

function bytesOf({ cookie, body, json }: { cookie: string; body: Record<string, never>; json: boolean }): Buffer {
  const payload = json ? Buffer.from(JSON.stringify(body)) : bencodeBytes(body);
  return Buffer.concat([Buffer.from(`${cookie} `), payload]);
}

describe('ng messages in a stream', () => {
  it('are cut where they end, however the stream is cut', () => {
    fc.assert(
      fc.property(fc.array(message, { maxLength: 5 }), fc.array(fc.integer({ min: 1, max: 40 })), (list, sizes) => {
        const frames = list.map((one) => bytesOf(one as never));
        const all = Buffer.concat(frames);
        const cutter = new StreamCutter();
        const got: Buffer[] = [];
        for (let at = 0, turn = 0; at < all.length; turn++) {
          const size = sizes[turn % Math.max(1, sizes.length)] ?? all.length;
          const { messages, broken } = cutter.push(all.subarray(at, at + size));
          assert.equal(broken, false);
          got.push(...messages);
          at += size;
        }
        assert.deepEqual(got.map(String), frames.map(String));
        assert.equal(cutter.buffered, 0);
      }),
      { seed: 3, numRuns: 300 },
    );
  });

  it('never throw, and keep less than a message and a piece, whatever comes', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 10 }), (pieces) => {
        const cutter = new StreamCutter();
        for (const piece of pieces) {
          if (cutter.push(piece).broken) break;
          assert.ok(cutter.buffered <= 131_072);
        }
      }),
      { seed: 4, numRuns: 500 },
    );
  });

  for (const [about, text] of [
    ['neither bencode nor JSON', `1 ${'x'.repeat(1100)}`],
    ['a cookie without end', 'k'.repeat(1100)],
    ['a length that is too long', `1 d9999999:${'x'.repeat(1100)}`],
    ['an integer without end', `1 d1:ai${'1'.repeat(1100)}`],
    ['nested without end', `1 ${'d1:a'.repeat(300)}`],
  ] as const) {
    it(`are no use after 1024 bytes of ${about}`, () => {
      assert.equal(new StreamCutter().push(Buffer.from(text)).broken, true);
      assert.equal(new StreamCutter().push(Buffer.from(text.slice(0, 900))).broken, false);
    });
  }

  it('of 128 KB and more are refused, byte by byte too, in no time', () => {
    const cutter = new StreamCutter();
    cutter.push(Buffer.from('1 d4:big1:'));
    const byte = Buffer.from('l');
    let count = 0;
    cutter.push(Buffer.from('x1:l'));
    const string = Buffer.from('100000:');
    assert.equal(cutter.push(string).broken, false);
    while (count < 140_000 && !cutter.push(byte).broken) count++;
    assert.ok(count < 140_000);
  });

  it('leave no room behind in an idle connection', () => {
    const cutter = new StreamCutter();
    cutter.push(Buffer.from(`1 d1:a${10_000}:${'x'.repeat(10_000)}e`));
    assert.equal(cutter.buffered, 0);
  });

  it('may be parted by line ends', () => {
    const { messages } = new StreamCutter().push(Buffer.from('1 de\r\n2 de\n'));
    assert.deepEqual(messages.map(String), ['1 de', '2 de']);
  });
});
