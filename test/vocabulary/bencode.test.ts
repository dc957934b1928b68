import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { decodeBencode, encodeBencode, type Bencode } from '../../vocabulary/mod.ts';

const { bencode } = fc.letrec<{ bencode: Bencode }>((tie) => ({
  bencode: fc.oneof(
    { maxDepth: 4 },
    fc.string(),
    fc.integer(),
    fc.array(tie('bencode'), { maxLength: 4 }),
    fc.dictionary(fc.string(), tie('bencode'), { maxKeys: 4, noNullPrototype: false }),
  ),
}));

describe('bencode', () => {
  it('reads back what it has written', () => {
    fc.assert(
      fc.property(bencode, (value) => {
        const decoded = decodeBencode(Buffer.from(encodeBencode(value)));
        assert.equal(encodeBencode(decoded), encodeBencode(value));
      }),
      { seed: 1, numRuns: 300 },
    );
  });

  it('never throws, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        decodeBencode(bytes);
      }),
      { seed: 2, numRuns: 500 },
    );
  });

  for (const text of [
    '',
    'i1',
    'ie',
    '5:abc',
    'l',
    'd3:abc',
    'di1ei2ee',
    'i1ei2e',
    `${'l'.repeat(50)}${'e'.repeat(50)}`,
  ]) {
    it(`refuses ${JSON.stringify(text.slice(0, 20))}`, () => assert.equal(decodeBencode(Buffer.from(text)), undefined));
  }
});
