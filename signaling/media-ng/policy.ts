import type { Bencode } from '../../vocabulary/mod.ts';
import type { LegKind } from '../media-port.ts';

type Keys = Readonly<Record<string, Bencode>>;

/** What an ng offer asks for, by who offers and who is to answer. */
export function offerKeys(from: LegKind, to: LegKind): Keys {
  const common = { replace: ['origin', 'session-connection'] };
  if (to === 'plain') {
    const plain: Keys = {
      ...common,
      ICE: 'remove',
      'transport-protocol': 'RTP/AVP',
      'rtcp-mux': ['demux'],
      DTLS: 'off',
      SDES: ['off'],
    };
    if (from === 'plain') return { ...plain, flags: ['trust-address'] };
    // The gateway is offered G.711 alone; the browser is answered with the Opus that it prefers, and we code in between.
    // To rtpengine, `mask` alone leaves both with G.711, which both have; `consume` brings Opus back into the answer.
    return {
      ...plain,
      flags: ['trust-address', 'strip-extmap'],
      codec: { mask: ['opus'], consume: ['opus'], strip: ['red', 'G722', 'CN'] },
    };
  }
  const webrtc: Keys = {
    ...common,
    // A phone's offer has no a=mid; rtpengine writes one only when asked.
    flags: ['trust-address', 'generate-mid'],
    ICE: 'force',
    'transport-protocol': 'UDP/TLS/RTP/SAVPF',
    'rtcp-mux': ['offer', 'require'],
    SDES: ['off'],
  };
  return from === 'plain' ? { ...webrtc, codec: { transcode: ['opus'], mask: ['PCMU', 'PCMA'] } } : webrtc;
}

/** And the answer back; `to` is who offered. */
export function answerKeys(_from: LegKind, to: LegKind): Keys {
  const common = { replace: ['origin', 'session-connection'] };
  if (to === 'webrtc') return { ...common, flags: ['trust-address', 'single-codec'], ICE: 'force' };
  return { ...common, flags: ['trust-address', 'single-codec'], ICE: 'remove', DTLS: 'off', SDES: ['off'] };
}
