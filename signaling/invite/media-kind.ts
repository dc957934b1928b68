import { parse } from 'sdp-transform';
import type { LegKind } from '../media-port.ts';

/** WebRTC when the first media line wants ICE and DTLS-SRTP (RFC 8827). `undefined`: this is no SDP. */
export function kindOfSdp(sdp: string): LegKind | undefined {
  if (!sdp.startsWith('v=0')) return undefined;
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(sdp);
  } catch {
    return undefined;
  }
  const [media] = parsed.media;
  if (!media) return undefined;
  const ice = media.iceUfrag ?? parsed.iceUfrag;
  const dtls = media.fingerprint ?? parsed.fingerprint;
  return ice !== undefined && dtls !== undefined ? 'webrtc' : 'plain';
}
