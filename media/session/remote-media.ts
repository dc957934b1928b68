import { parse } from 'sdp-transform';
import type { HostPort } from '../../vocabulary/mod.ts';
import { codecsOf, type Codec } from '../../codecs/mod.ts';
import type { SrtpKey } from '../dataplane/mod.ts';

/** What a party says of one media line: everything that decides how we speak with it. */
export interface RemoteMedia {
  readonly kind: string;
  readonly protocol: string;
  /** Port 0, or a line that exists only within a bundle: no media. */
  readonly rejected: boolean;
  readonly rtp: HostPort | undefined;
  readonly rtcp: HostPort | undefined;
  readonly rtcpMux: boolean;
  readonly direction: 'sendrecv' | 'sendonly' | 'recvonly' | 'inactive';
  /** On hold in the old way, c=0.0.0.0 (RFC 3264 §8.4), and by nothing else. */
  readonly nullHold: boolean;
  readonly codecs: readonly Codec[];
  readonly ptimeMs: number | undefined;
  readonly mid: string | undefined;
  readonly ice: { readonly ufrag: string; readonly pwd: string } | undefined;
  readonly fingerprints: readonly { readonly algorithm: string; readonly value: string }[];
  readonly setup: string | undefined;
  readonly sdes: readonly { readonly tag: number; readonly key: SrtpKey }[];
}

export interface RemoteSdp {
  readonly media: readonly RemoteMedia[];
  /** Mids of the first BUNDLE group. */
  readonly bundle: readonly string[];
}

const SUITES = new Set(['AES_CM_128_HMAC_SHA1_80', 'AES_CM_128_HMAC_SHA1_32', 'AEAD_AES_128_GCM', 'AEAD_AES_256_GCM']);

/** `undefined` when it cannot be read. Never throws. */
export function readSdp(text: string): RemoteSdp | undefined {
  let sdp: ReturnType<typeof parse>;
  try {
    sdp = parse(text);
  } catch {
    return undefined;
  }
  const bundle = sdp.groups?.find((group) => group.type.toUpperCase() === 'BUNDLE')?.mids;
  const media = sdp.media.map((line): RemoteMedia => {
    const address = line.connection?.ip ?? sdp.connection?.ip;
    const nowhere = address === undefined || address === '0.0.0.0' || address === '::';
    const rejected = line.port === 0;
    const rtp = nowhere || rejected ? undefined : { address: address.split('/')[0] as string, port: line.port };
    const rtcpLine = line.rtcp;
    const rtcpMux = line.rtcpMux !== undefined;
    const rtcp =
      !rtp || rtcpMux ? undefined : { address: rtcpLine?.address ?? rtp.address, port: rtcpLine?.port ?? rtp.port + 1 };
    const ufrag = line.iceUfrag ?? sdp.iceUfrag;
    const pwd = line.icePwd ?? sdp.icePwd;
    const fingerprint = line.fingerprint ?? sdp.fingerprint;
    const direction = line.direction ?? sdp.direction ?? 'sendrecv';
    // With ICE the address means nothing before the candidates are there (RFC 8840 §4.1.1).
    const nullHold = nowhere && address !== undefined && ufrag === undefined && direction === 'sendrecv';
    return {
      kind: line.type,
      protocol: line.protocol,
      rejected,
      rtp,
      rtcp: rtcp && rtcp.port <= 65_535 ? rtcp : undefined,
      rtcpMux,
      direction: nullHold ? 'sendonly' : direction,
      nullHold,
      codecs: codecsOf({ payloads: line.payloads, rtp: line.rtp, fmtp: line.fmtp }),
      ptimeMs: line.ptime,
      mid: line.mid === undefined ? undefined : String(line.mid),
      ice: ufrag !== undefined && pwd !== undefined ? { ufrag: String(ufrag), pwd: String(pwd) } : undefined,
      fingerprints: fingerprint ? [{ algorithm: fingerprint.type.toLowerCase(), value: fingerprint.hash }] : [],
      setup: line.setup ?? sdp.setup,
      sdes: (line.crypto ?? []).flatMap((crypto) => sdesOf(crypto.id, crypto.suite, crypto.config)),
    };
  });
  return { media, bundle: bundle === undefined ? [] : String(bundle).split(/\s+/) };
}

/** `inline:<base64>|lifetime|MKI` (RFC 4568 §6.1); suites that we do not have are passed over. */
function sdesOf(tag: number, suite: string, config: string): { tag: number; key: SrtpKey }[] {
  const inline = /^inline:([A-Za-z0-9+/=]+)/.exec(config)?.[1];
  if (inline === undefined || !SUITES.has(suite)) return [];
  const keySalt = Buffer.from(inline, 'base64');
  const wanted = suite === 'AEAD_AES_256_GCM' ? 44 : suite === 'AEAD_AES_128_GCM' ? 28 : 30;
  if (keySalt.length !== wanted) return [];
  return [{ tag, key: { suite: suite as SrtpKey['suite'], keySalt } }];
}
