import { DataplaneError } from '../dataplane/mod.ts';
import type { MediaFlags } from './flags.ts';
import { LIMIT_TEXTS } from './load.ts';
import { readSdp, type RemoteSdp } from './remote-media.ts';
import { cutSdp, type SdpText } from './sdp-text.ts';
import { SessionError } from './session.ts';

export interface SdpRequest {
  readonly callId: string;
  readonly fromTag: string;
  readonly toTag: string | undefined;
  readonly viaBranch: string | undefined;
  readonly sdp: string;
  readonly flags: MediaFlags;
}

/** @throws SessionError with the reasons of rtpengine. */
export function understand(request: Pick<SdpRequest, 'sdp' | 'flags'>): { text: SdpText; remote: RemoteSdp } {
  const { sdp, flags } = request;
  const text = cutSdp(sdp);
  const trusted = !flags.flags.has('SIP-source-address');
  const remote = text && readSdp(text, trusted ? undefined : flags.receivedFrom);
  if (!text || !remote || remote.media.length !== text.media.length)
    throw new SessionError('bad-sdp', 'Failed to parse SDP');
  if (text.media.length === 0) throw new SessionError('bad-sdp', 'Error rewriting SDP');
  if (text.media.length > 32) throw new SessionError('bad-sdp', 'more than 32 media lines');
  if (remote.media.some(({ unconnected }) => unconnected))
    throw new SessionError('bad-sdp', 'Incomplete SDP specification');
  return { text, remote };
}

/** An error of the packet path in words of ng; others as they are. */
export function translate(error: unknown): unknown {
  if (!(error instanceof DataplaneError)) return error;
  const code = error.code === 'no-ports' ? 'no-ports' : 'bad-request';
  return new SessionError(code, error.code === 'no-ports' ? LIMIT_TEXTS.ports : error.message, { cause: error });
}
