import { bencodeBytes, decodeBencode, type Bencode } from '../../../vocabulary/mod.ts';
import { holds, same, type Target } from '../target.ts';

const WORDS = [
  'd',
  'l',
  'e',
  'i',
  'i0e',
  'i-0e',
  'le',
  'de',
  '0:',
  '1:a',
  '9999999:',
  '-1:',
  '00003:abc',
  'i007e',
  'ie',
];

const VALUES: readonly Bencode[] = [
  { command: 'ping' },
  { command: 'offer', 'call-id': 'c1', flags: ['trust-address', 'replace-origin'], sdp: 'v=0\r\ns=-\r\n' },
  { codec: { strip: ['all'], offer: ['PCMA', 'opus'] }, count: 42, negative: -7, nested: [[[[]]], {}, ''] },
  { name: 'Grüße', 'not UTF-8': '\udcff\udc80' },
];

/** Whatever can be read can be written, and reads as the same again. */
export const bencode: Target = {
  name: 'bencode',
  seeds: VALUES.map((value) => bencodeBytes(value)),
  words: WORDS,
  run(input) {
    for (const openEnd of [false, true]) {
      const value = decodeBencode(input, openEnd);
      if (value === undefined) continue;
      const written = bencodeBytes(value);
      const again = decodeBencode(written);
      holds(again !== undefined, 'what was written can be read');
      same(bencodeBytes(again).compare(written), 0, 'and is the same');
      holds(written.length <= input.length + 1, 'it has not grown');
    }
  },
};
