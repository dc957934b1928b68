import type { SessionDescription } from 'sdp-transform';
import { isAddress, type HostPort } from '../../vocabulary/mod.ts';
import { codecsOf, type Codec } from '../../codecs/mod.ts';
import { SRTP_SUITES, type IceCandidate, type SrtpKey, type SrtpSuite } from '../dataplane/mod.ts';
import { candidatesOf } from './candidates.ts';
import { parseSdp } from './parse-sdp.ts';
import { keySaltLength } from './sdes.ts';
import type { SdpText } from './sdp-text.ts';

/** What a party says of one media line: everything that decides how we speak with it. */
export interface RemoteMedia {
  readonly kind: string;
  readonly protocol: string;
  /** `rtp`; `raw`: datagrams of which we know nothing (T.38 over UDPTL); `other`: nothing that we can carry. */
  readonly carriage: 'rtp' | 'raw' | 'other';
  /** Port 0, or a line that exists only within a bundle: no media. */
  readonly rejected: boolean;
  /** Has no address by itself (RFC 9143 §6): rejected, unless its group is taken. */
  readonly bundleOnly: boolean;
  readonly rtp: HostPort | undefined;
  readonly rtcp: HostPort | undefined;
  readonly rtcpMux: boolean;
  readonly direction: 'sendrecv' | 'sendonly' | 'recvonly' | 'inactive';
  /** c= names no address: on hold in the old way (RFC 3264 §8.4), or a browser that has none to tell yet. */
  readonly nowhere: boolean;
  /** There is neither a c= line here nor one for all. */
  readonly unconnected: boolean;
  readonly codecs: readonly Codec[];
  readonly ptimeMs: number | undefined;
  readonly mid: string | undefined;
  /** Number of the header extension that carries it, 1 to 14 (RFC 9143 §15.1). */
  readonly midExtension: number | undefined;
  /** Of a=ssrc, each once. */
  readonly ssrcs: readonly number[];
  readonly ice: { readonly ufrag: string; readonly pwd: string } | undefined;
  readonly iceLite: boolean;
  /** Those that can be checked. */
  readonly candidates: readonly IceCandidate[];
  readonly trickle: boolean;
  readonly fingerprints: readonly { readonly algorithm: string; readonly value: string }[];
  readonly setup: string | undefined;
  readonly sdes: readonly SdesLine[];
}

/** One a=crypto line (RFC 4568 §9.1). */
export interface SdesLine {
  readonly tag: number;
  readonly key: SrtpKey;
}

export interface RemoteSdp {
  readonly media: readonly RemoteMedia[];
  /** a=mid of the lines of its BUNDLE group, the tagged one first; empty: there is none. */
  readonly group: readonly string[];
}

/** `undefined` when it cannot be read. `address`: instead of what c= says, unless ICE decides. Never throws. */
export function readSdp(text: SdpText, address?: string): RemoteSdp | undefined {
  const sdp = parseSdp(text);
  if (!sdp) return undefined;
  const trickles = (options: string | undefined) => options?.split(/\s+/).includes('trickle') === true;
  const bundled = sdp.groups?.find(({ type }) => type.toUpperCase() === 'BUNDLE')?.mids ?? '';
  const group = [...new Set(bundled.split(/\s+/).filter(Boolean))];
  const tagged = sdp.media.find(({ mid }) => mid !== undefined && String(mid) === group[0]);
  let unusable = false;
  const media = sdp.media.map((line, index): RemoteMedia => {
    const member = line.mid !== undefined && group.includes(String(line.mid));
    const written = line.connection?.ip ?? sdp.connection?.ip;
    const ufrag = line.iceUfrag ?? sdp.iceUfrag;
    const pwd = line.icePwd ?? sdp.icePwd;
    const ice = ufrag !== undefined && pwd !== undefined;
    const nowhere = written === '0.0.0.0' || written === '::';
    const host = (ice || nowhere ? written : (address ?? written))?.split('/')[0];
    const rejected = line.port === 0;
    const carriage = carriageOf(line.protocol);
    const reachable = host !== undefined && isAddress(host);
    // Names are not looked up: who is to wait for whom? Refused when it is said, not when it is to be used.
    if (!reachable && host !== undefined && !ice && !rejected && carriage !== 'other') unusable = true;
    if (ice && Math.max(Buffer.byteLength(ufrag), Buffer.byteLength(pwd)) > MAX_ICE_WORD) unusable = true;
    const rtp = nowhere || !reachable || rejected ? undefined : { address: host, port: line.port };
    const rtcpMux = line.rtcpMux !== undefined || (line.rtcp !== undefined && line.rtcp.port === line.port);
    const rtcp =
      !rtp || rtcpMux
        ? undefined
        : { address: literal(line.rtcp?.address) ?? rtp.address, port: line.rtcp?.port ?? rtp.port + 1 };
    const fingerprint = line.fingerprint ?? sdp.fingerprint;
    const direction = line.direction ?? sdp.direction ?? 'sendrecv';
    return {
      kind: line.type,
      protocol: line.protocol,
      carriage,
      rejected,
      rtp,
      rtcp: rtcp && rtcp.port > 0 && rtcp.port <= 65_535 ? rtcp : undefined,
      rtcpMux,
      bundleOnly: rejected && member && line.bundleOnly !== undefined,
      // With ICE the address means nothing before the candidates are there (RFC 8840 §4.1.1).
      direction:
        nowhere && !ice && !(member && tagged?.iceUfrag !== undefined) && direction === 'sendrecv'
          ? 'sendonly'
          : direction,
      nowhere,
      unconnected: written === undefined,
      codecs: sharedCodecs(line),
      ptimeMs: line.ptime,
      mid: line.mid === undefined ? undefined : String(line.mid),
      midExtension: midExtensionOf(line.ext),
      ssrcs: line.ssrcs ? [...new Set(line.ssrcs.map(({ id }) => Number(id)))].slice(0, MAX_SSRCS) : NO_SSRCS,
      ice: ice ? { ufrag: String(ufrag), pwd: String(pwd) } : undefined,
      // A session attribute (RFC 8839 §5.3) that some write below.
      iceLite: sdp.icelite !== undefined || text.media[index]?.some((own) => own.text === 'a=ice-lite') === true,
      candidates: ice ? candidatesOf(text.media[index] ?? []) : [],
      trickle: trickles(line.iceOptions) || trickles(sdp.iceOptions),
      fingerprints:
        fingerprint && HEX.test(fingerprint.hash)
          ? [{ algorithm: fingerprint.type.toLowerCase(), value: fingerprint.hash }]
          : [],
      setup: line.setup ?? sdp.setup,
      sdes: (line.crypto ?? []).flatMap((crypto) => sdesOf(crypto.id, crypto.suite, crypto.config)),
    };
  });
  if (unusable) return undefined;
  return { media, group };
}

export const MID_URI = 'urn:ietf:params:rtp-hdrext:sdes:mid';
const MAX_SSRCS = 16;
/** RFC 8839 §5.4. */
const MAX_ICE_WORD = 256;
const NO_SSRCS: readonly number[] = [];

function midExtensionOf(ext: SessionDescription['media'][number]['ext']): number | undefined {
  const id = Number(ext?.find(({ uri }) => uri === MID_URI)?.value);
  return id >= 1 && id <= 14 ? id : undefined;
}

const MAX_LISTS = 100;
/** By the formats of m=, for the descriptions that {@link parseSdp} shares. */
const codecLists = new WeakMap<object, Map<string, readonly Codec[]>>();

/** Calls that offer the same share the list. */
function sharedCodecs({ payloads, rtp, fmtp, rtcpFb }: SessionDescription['media'][number]): readonly Codec[] {
  let lists = codecLists.get(rtp);
  if (!lists) codecLists.set(rtp, (lists = new Map()));
  const formats = payloads ?? '';
  let codecs = lists.get(formats);
  if (!codecs) {
    codecs = codecsOf({ payloads: formats, rtp, fmtp, rtcpFb });
    if (lists.size >= MAX_LISTS) lists.clear();
    // Of a copy: pieces of a text hold on to the whole of it.
    lists.set(Buffer.from(formats).toString(), codecs);
  }
  return codecs;
}

/** RFC 8122 §5. */
const HEX = /^[0-9a-f]{2}(?::[0-9a-f]{2})*$/i;

function carriageOf(protocol: string): RemoteMedia['carriage'] {
  if (/^(UDP\/TLS\/)?RTP\/S?AVPF?$/i.test(protocol)) return 'rtp';
  return /^udptl$/i.test(protocol) ? 'raw' : 'other';
}

function literal(address: string | undefined): string | undefined {
  return address !== undefined && isAddress(address) ? address : undefined;
}

/** `inline:<base64>|lifetime|MKI` (RFC 4568 §6.1); suites that we do not have are passed over. */
function sdesOf(tag: number, suite: string, config: string): SdesLine[] {
  const inline = /^inline:([A-Za-z0-9+/=]+)/.exec(config)?.[1];
  if (inline === undefined || !Object.hasOwn(SRTP_SUITES, suite)) return [];
  const keySalt = Buffer.from(inline, 'base64');
  if (keySalt.length !== keySaltLength(suite as SrtpSuite)) return [];
  return [{ tag, key: { suite: suite as SrtpSuite, keySalt } }];
}
