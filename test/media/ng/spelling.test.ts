import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { canonicalKeys, commandOf } from '../../../media/ng/spelling.ts';
import { bencodeBytes, decodeBencode, encodeBencode } from '../../../vocabulary/mod.ts';
import { OFFER, pureService } from './node.ts';

describe('spellings of ng', () => {
  for (const [text, command] of [
    ['block DTMF', 'block DTMF'],
    ['block-dtmf', 'block DTMF'],
    ['BLOCK_DTMF', 'block DTMF'],
    ['Offer', 'offer'],
    ['start recording', 'start recording'],
    ['constructor', undefined],
    ['', undefined],
    ['startrecording', undefined],
  ] as const) {
    it(`of a command: "${text}"`, () => assert.equal(commandOf(text), command));
  }

  it('of keys: spaces, capitals, short names', () => {
    const keys = canonicalKeys({
      'transport protocol': 'RTP/AVP',
      ice: 'remove',
      'RTCP-mux': ['demux'],
      dtls: 'off',
      sdes: ['off'],
      t38: ['force'],
      'From Tag': 'f',
      'call id': 'c',
      Address_Family: 'IP4',
    });
    assert.deepEqual(
      { ...keys },
      {
        'transport-protocol': 'RTP/AVP',
        ICE: 'remove',
        'rtcp-mux': ['demux'],
        DTLS: 'off',
        SDES: ['off'],
        'T.38': ['force'],
        'from-tag': 'f',
        'call-id': 'c',
        'address-family': 'IP4',
      },
    );
  });

  it('of a key twice: its own spelling wins wherever it stands', () => {
    assert.equal(canonicalKeys({ ice: 'force', ICE: 'remove' })['ICE'], 'remove');
    assert.equal(canonicalKeys({ ICE: 'remove', ice: 'force' })['ICE'], 'remove');
  });

  it('that nobody knows are told once and do no harm', () => {
    const told: string[] = [];
    const { service } = pureService({ onUnknownKey: (key) => told.push(key) });
    const request = {
      command: 'offer',
      'call-id': 'c',
      'from-tag': 'f',
      sdp: OFFER,
      'no-such-key': 'x',
      __proto__x: 1,
    };
    let reply = '';
    for (let n = 0; n < 3; n++)
      service.handlePlain(
        bencodeBytes(request),
        { address: '::1', transport: 'udp' },
        (bytes) => (reply = String(bytes)),
      );
    assert.match(reply, /result2:oke$/);
    assert.deepEqual(told, ['no-such-key', '__proto__x']);
  });
});

describe('bytes that are not UTF-8', () => {
  it('come back as they were', () => {
    const bytes = Buffer.concat([Buffer.from('d3:sdp9:s='), Buffer.from([0xe9, 0x80, 0xf0, 0x9f, 0x98, 0x80, 0xff])]);
    const whole = Buffer.concat([bytes, Buffer.from('e')]);
    assert.deepEqual(bencodeBytes(decodeBencode(whole)), whole);
  });

  it('are replaced in text, whose lengths are right nevertheless', () => {
    const decoded = decodeBencode(Buffer.from([0x32, 0x3a, 0xe9, 0x41]));
    assert.deepEqual(Buffer.from(encodeBencode(decoded)), Buffer.from('4:\uFFFDA'));
  });

  it('and a missing last e is forgiven only when asked for', () => {
    assert.equal(decodeBencode(Buffer.from('d1:ai1e')), undefined);
    assert.deepEqual({ ...(decodeBencode(Buffer.from('d1:ai1e'), true) as object) }, { a: 1 });
    assert.deepEqual({ ...(decodeBencode(Buffer.from('d1:ai1ee\r\n'), true) as object) }, { a: 1 });
    assert.equal(decodeBencode(Buffer.from('d1:al'), true), undefined);
    assert.equal(decodeBencode(Buffer.from('d1:ai1ee x'), true), undefined);
  });
});
