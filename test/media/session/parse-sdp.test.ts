import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { parseSdp } from '../../../media/session/parse-sdp.ts';
import { cutSdp } from '../../../media/session/sdp-text.ts';

const read = (body: string) => {
  const text = cutSdp(body);
  return text && parseSdp(text);
};

const sdp = (...lines: string[]) =>
  ['v=0', 'o=- 1 1 IN IP4 192.0.2.7', 's=-', 'c=IN IP4 192.0.2.7', 't=0 0', ...lines, ''].join('\r\n');

describe('SDP as it is read', () => {
  it('keeps digits text where they are a name', () => {
    const found = read(
      sdp(
        'a=group:1 2',
        'm=audio 4000 RTP/AVP 101',
        'c=IN IP4 4',
        'a=rtpmap:101 128/8000',
        'a=fmtp:101 16',
        'a=fingerprint:256 12',
        'a=ice-ufrag:1234',
      ),
    );
    const [line] = found?.media ?? [];
    assert.deepEqual(line?.rtp, [{ payload: 101, codec: '128', rate: 8000 }]);
    assert.deepEqual(line?.fmtp, [{ payload: 101, config: '16' }]);
    assert.deepEqual(line?.fingerprint, { type: '256', hash: '12' });
    assert.deepEqual([line?.connection?.ip, line?.iceUfrag, line?.port], ['4', '1234', 4000]);
    assert.deepEqual(found?.groups, [{ type: '1', mids: '2' }]);
  });

  for (const line of [
    'm=audio',
    'm=audio 70000 RTP/AVP 0',
    'm=audio x RTP/AVP 0',
    'm=audio 4000 RTP/AVP',
    'm= 1 RTP/AVP 0',
  ])
    it(`refuses ${line}`, () => assert.equal(read(sdp(line)), undefined));
});
