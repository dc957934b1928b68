import { randomBytes } from 'node:crypto';
import type { CryptoSpec, Dataplane, RemoteSpec, SrtpKey } from '../dataplane/mod.ts';
import type { MediaFlags } from './flags.ts';
import { SessionError, type Side } from './session.ts';

/** How a side that we offer to is to be carried: from what came in and what the flags ask for. */
export function decideOffered(side: Side, from: Side, flags: MediaFlags): void {
  const incoming = from.remote;
  side.protocol = flags.protocol ?? incoming?.protocol ?? 'RTP/AVP';
  const secure = /SAVP/.test(side.protocol);
  // A WebRTC peer is offered DTLS; SAVP without ICE means SDES unless it is switched off (RFC 8827 §6.5).
  const wantsDtls =
    secure &&
    flags.dtls !== 'off' &&
    (flags.sdesOff || /TLS/.test(side.protocol) || (incoming?.fingerprints.length ?? 0) > 0);
  const ice = flags.ice === 'force' || (flags.ice === 'default' && incoming?.ice !== undefined);
  side.dtls = wantsDtls;
  side.ice = ice ? (side.ice ?? newIce()) : undefined;
  if (!secure || flags.sdesOff || (wantsDtls && /TLS/.test(side.protocol))) side.sdes = [];
  else if (side.sdes.length === 0) side.sdes = newSdes();
  const mux = flags.rtcpMux;
  const offered = mux.has('demux')
    ? false
    : mux.has('offer') || mux.has('require')
      ? true
      : (incoming?.rtcpMux ?? false);
  side.rtcpMux = ice || offered;
  if (side.dtls && side.role === undefined) side.role = flags.dtls === 'active' ? 'client' : undefined;
}

/** How the offerer is answered: its own offer decides. */
export function decideAnswered(side: Side, flags: MediaFlags): void {
  const { remote } = side;
  if (!remote) return;
  side.protocol = remote.protocol;
  const secure = /SAVP/.test(remote.protocol);
  side.dtls = secure && remote.fingerprints.length > 0 && flags.dtls !== 'off';
  side.ice = remote.ice !== undefined && flags.ice !== 'remove' ? (side.ice ?? newIce()) : undefined;
  if (side.dtls) {
    side.sdes = [];
    // RFC 5763 §5: with actpass the answerer chooses. Waiting is simpler for a server, so the peer starts.
    side.role =
      remote.setup === 'passive'
        ? 'client'
        : remote.setup === 'active'
          ? 'server'
          : // An association that stands keeps its roles (RFC 8842 §5.5).
            (side.role ?? (flags.dtls === 'active' ? 'client' : 'server'));
  } else if (secure) {
    const chosen = remote.sdes[0];
    if (!chosen)
      throw new SessionError(
        'bad-sdp',
        'the offer asks for SRTP but carries neither a fingerprint nor a crypto suite of ours',
      );
    const known = side.sdes.find(({ key }) => key.suite === chosen.key.suite);
    side.sdes = [{ tag: chosen.tag, key: known?.key ?? newKey(chosen.key.suite) }];
  } else side.sdes = [];
  const reject = flags.rtcpMux.has('reject') || side.flags?.rtcpMux.has('reject') === true;
  side.rtcpMux = remote.rtcpMux && (side.ice !== undefined || !reject);
}

/** Our end of the line, with its socket. Kept over re-INVITEs unless the kind of socket changes. */
export function openSide(dataplane: Dataplane, side: Side, interfaceName: string, affinity: string): void {
  const socket = side.ice ? 'shared' : 'pair';
  if (side.endpoint && side.socket === socket) return;
  side.endpoint?.close();
  side.endpoint = dataplane.openEndpoint({
    socket,
    interface: interfaceName,
    affinity,
    ...(side.ice ? { ice: side.ice } : {}),
  });
  side.socket = socket;
}

/** What the packet path must know of the party, once it has spoken. */
export function remoteSpec(side: Side): RemoteSpec {
  const { remote, flags } = side;
  return {
    ...(remote?.rtp && !side.ice ? { rtp: remote.rtp } : {}),
    ...(remote?.rtcp && !side.ice ? { rtcp: remote.rtcp } : {}),
    learning: side.ice ? 'off' : (flags?.learning ?? 'heuristic'),
    strictSource: flags?.flags.has('strict-source') ?? false,
    rtcpMux: side.rtcpMux && (remote?.rtcpMux ?? false),
    crypto: cryptoSpec(side),
    ...(side.ice && remote?.ice ? { ice: remote.ice } : {}),
  };
}

function cryptoSpec(side: Side): CryptoSpec {
  const { remote } = side;
  if (side.dtls && remote && remote.fingerprints.length > 0) {
    return { type: 'dtls', role: side.role ?? 'server', fingerprints: remote.fingerprints };
  }
  const theirs = remote?.sdes[0];
  const ours = theirs && side.sdes.find(({ tag, key }) => tag === theirs.tag && key.suite === theirs.key.suite);
  if (theirs && ours) return { type: 'sdes', receive: theirs.key, send: ours.key };
  return { type: 'none' };
}

/** RFC 8445 §5.3 asks for 24 and 128 bits. */
export function newIce(): { ufrag: string; pwd: string } {
  return { ufrag: randomBytes(6).toString('hex'), pwd: randomBytes(16).toString('hex') };
}

function newKey(suite: SrtpKey['suite']): SrtpKey {
  const length = suite === 'AEAD_AES_256_GCM' ? 44 : suite === 'AEAD_AES_128_GCM' ? 28 : 30;
  return { suite, keySalt: randomBytes(length) };
}

function newSdes(): { tag: number; key: SrtpKey }[] {
  const suites = [
    'AES_CM_128_HMAC_SHA1_80',
    'AES_CM_128_HMAC_SHA1_32',
    'AEAD_AES_128_GCM',
    'AEAD_AES_256_GCM',
  ] as const;
  return suites.map((suite, index) => ({ tag: index + 1, key: newKey(suite) }));
}
