import type { Bencode } from '../../vocabulary/mod.ts';
import type { LegKind } from '../media-port.ts';

type Keys = Readonly<Record<string, Bencode>>;

/** As browsers write it: clock, channels, and that redundancy is welcome (RFC 7587 §6.1). */
const OPUS = 'opus/48000/2///minptime=10;useinbandfec=1';

/** What an ng offer asks for, by who offers and who is to answer. */
export function offerKeys(from: LegKind, to: LegKind): Keys {
  const common = { replace: ['origin', 'session-connection', 'zero-address'] };
  if (to === 'plain') {
    const plain: Keys = {
      ...common,
      ICE: 'remove',
      'transport-protocol': 'RTP/AVP',
      'rtcp-mux': ['demux'],
      DTLS: 'off',
      SDES: ['off'],
    };
    // Whatever the one cannot hear is coded.
    if (from === 'plain') return { ...plain, flags: ['trust-address'], codec: { transcode: ['PCMU', 'PCMA'] } };
    // The gateway is offered G.711 alone; the browser is answered with the Opus that it prefers, and we code in between.
    // To rtpengine, `mask` alone leaves both with G.711, which both have; `consume` brings Opus back into the answer.
    return {
      ...plain,
      flags: ['trust-address', 'strip-extmap'],
      codec: { mask: ['opus'], consume: ['opus'], strip: ['red', 'G722', 'CN'] },
      // Of a browser's own; a plain phone has no use for them.
      'sdp-attr': {
        audio: { remove: ['mid', 'msid', 'ssrc', 'ssrc-group', 'rtcp-rsize', 'rid', 'simulcast'] },
        none: { remove: ['msid-semantic', 'extmap-allow-mixed', 'identity'] },
      },
    };
  }
  const webrtc: Keys = {
    ...common,
    // A phone's offer has no a=mid; rtpengine writes one only when asked.
    flags: ['trust-address', 'generate-mid'],
    ICE: 'force',
    'ICE-lite': 'forward',
    bundle: ['offer', 'accept'],
    'transport-protocol': 'UDP/TLS/RTP/SAVPF',
    'rtcp-mux': ['offer', 'require'],
    SDES: ['off'],
  };
  return from === 'plain' ? { ...webrtc, codec: { transcode: [OPUS], mask: ['PCMU', 'PCMA'] } } : webrtc;
}

/** And the answer back; `to` is who offered. */
export function answerKeys(_from: LegKind, to: LegKind): Keys {
  const common = { replace: ['origin', 'session-connection', 'zero-address'] };
  if (to === 'webrtc')
    return {
      ...common,
      flags: ['trust-address', 'single-codec'],
      ICE: 'force',
      'ICE-lite': 'forward',
      bundle: ['accept'],
    };
  return { ...common, flags: ['trust-address', 'single-codec'], ICE: 'remove', DTLS: 'off', SDES: ['off'] };
}
