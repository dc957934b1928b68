import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { parse } from 'sdp-transform';
import { canTranscode, codecsOf, eventFor, named, newCodec, type Codec } from '../../codecs/mod.ts';

function read(line: string, ...attributes: string[]): Codec[] {
  const [media] = parse(['v=0', `m=audio 4000 RTP/AVP ${line}`, ...attributes, ''].join('\r\n')).media;
  assert.ok(media);
  return codecsOf(media);
}

describe('codecs of a media line', () => {
  it('are in the order of the line, and static numbers need no rtpmap (RFC 3551 §6)', () => {
    const codecs = read('8 0 96', 'a=rtpmap:96 opus/48000/2', 'a=fmtp:96 useinbandfec=1');
    assert.deepEqual(
      codecs.map(({ name, clockRate, channels, fmtp }) => [name, clockRate, channels, fmtp]),
      [
        ['PCMA', 8000, 1, undefined],
        ['PCMU', 8000, 1, undefined],
        ['opus', 48_000, 2, 'useinbandfec=1'],
      ],
    );
  });

  it('may be unknown, but a number that is none is passed over', () => {
    assert.deepEqual(
      read('0 99 300 x').map(({ pt, name }) => [pt, name]),
      [
        [0, 'PCMU'],
        [99, ''],
      ],
    );
  });

  it('of a clock or with channels that there are not are none of ours', () => {
    const odd = ['a=rtpmap:0 PCMA/0', 'a=rtpmap:96 telephone-event/99999999999', 'a=rtpmap:97 opus/48000/255'];
    const codecs = read('0 96 97', ...odd);
    assert.deepEqual(
      codecs.map(({ name, clockRate }) => [name, clockRate]),
      [
        ['PCMU', 8000],
        ['', 8000],
        ['opus', 48_000],
      ],
    );
    assert.equal(canTranscode(codecs[2] as Codec), false);
    assert.equal(newCodec('opus/99999999999', [])?.clockRate, 48_000);
  });

  it('are as many as there are numbers', () => {
    assert.equal(read(Array.from({ length: 9000 }, (_, n) => n % 200).join(' ')).length, 128);
  });

  it('are named without regard to case, with or without rate and channels', () => {
    const [opus] = read('96', 'a=rtpmap:96 OPUS/48000/2');
    assert.ok(opus);
    for (const pattern of ['opus', 'Opus/48000', 'opus/48000/2', 'all']) assert.ok(named(opus, pattern), pattern);
    for (const pattern of ['opus/8000', 'opus/48000/1', 'op', '']) assert.ok(!named(opus, pattern), pattern);
    assert.ok(canTranscode(opus));
  });

  it('of ours get a number that is free, and none when their own is taken', () => {
    assert.equal(newCodec('opus', read('96 97', 'a=rtpmap:96 x/8000', 'a=rtpmap:97 y/8000'))?.pt, 98);
    assert.equal(newCodec('PCMA', read('0'))?.pt, 8);
    assert.equal(newCodec('PCMA', read('8', 'a=rtpmap:8 x/8000')), undefined);
    assert.equal(newCodec('G729', []), undefined);
    assert.equal(newCodec('nonsense', []), undefined);
  });

  it('have the telephone-event of their own clock first (RFC 4733 §2.3)', () => {
    const codecs = read(
      '96 0 126 110',
      'a=rtpmap:96 opus/48000/2',
      'a=rtpmap:126 telephone-event/8000',
      'a=rtpmap:110 telephone-event/48000',
    );
    const [opus, pcmu] = codecs as [Codec, Codec];
    assert.equal(eventFor(codecs, opus)?.pt, 110);
    assert.equal(eventFor(codecs, pcmu)?.pt, 126);
    assert.equal(eventFor([opus, pcmu], opus), undefined);
  });
});
