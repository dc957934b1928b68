import type { CryptoSpec, Dataplane, EndpointSpec, IceRole, RemoteSpec } from '../dataplane/mod.ts';
import { followed, type RemoteIce } from './candidates.ts';
import type { MediaFlags } from './flags.ts';
import { freshKey, offeredSdes } from './sdes.ts';
import { newIce } from './random.ts';
import { SessionError, type Side } from './session.ts';

const PROTOCOLS = new Set(['RTP/AVP', 'RTP/AVPF', 'RTP/SAVP', 'RTP/SAVPF', 'UDP/TLS/RTP/SAVP', 'UDP/TLS/RTP/SAVPF']);

/**
 * How a side that we offer to is to be carried: from what came in and what the flags ask for. `grouped`: its transport may
 * become that of others too, so that nobody else's keys can pass.
 */
export function decideOffered(side: Side, from: Side, flags: MediaFlags, grouped = false): void {
  const incoming = from.remote;
  const arrived = incoming?.protocol ?? 'RTP/AVP';
  const wanted = flags.protocol !== undefined && PROTOCOLS.has(flags.protocol) ? flags.protocol : undefined;
  side.protocol = incoming?.carriage === 'rtp' ? (wanted ?? arrived) : arrived;
  const secure = isSecure(side.protocol) || flags.osrtp.has('offer');
  side.dtls = secure && flags.dtls !== 'off';
  const { lines, foreign } =
    secure && !flags.sdes.off ? offeredSdes(side, grouped ? undefined : incoming, flags.sdes) : NO_SDES;
  side.sdes = lines;
  side.foreign = foreign;
  const passed = flags.ice === 'optional' || flags.ice === 'force-relay';
  side.icePassed = passed && incoming?.ice !== undefined;
  const ice = passed || flags.ice === 'force' || (flags.ice === 'default' && incoming?.ice !== undefined);
  side.ice = ice && incoming?.carriage === 'rtp' ? (side.ice ?? newIce()) : undefined;
  side.iceLite = flags.iceLite.has('forward');
  // By the first offer, whether there is ICE or not; what has been decided stands over restarts.
  if (side.remote === undefined) side.iceControlling = !side.iceLite;
  const mux = flags.rtcpMux;
  // What has been agreed once is not asked again.
  const require = mux.has('require') || (side.rtcpMux && side.remote?.rtcpMux === true && !mux.has('demux'));
  side.onePort = require;
  side.rtcpMux = require || grouped || mux.has('offer') || (!mux.has('demux') && (incoming?.rtcpMux ?? false));
  if (!side.dtls) side.role = undefined;
}

const NO_SDES = { lines: [], foreign: new Set<never>() } as const;

/**
 * How the offerer is answered: its own offer decides. `answerer` is the other side, which has just answered; `pass`: with
 * a key that went through, so that packets can.
 */
export function decideAnswered(side: Side, answerer: Side, flags: MediaFlags, pass: boolean): void {
  const { remote, flags: asked } = side;
  if (!remote) return;
  side.protocol = remote.protocol;
  const secure = isSecure(remote.protocol) || remote.sdes.length > 0;
  const reverse = asked?.dtlsReverse ?? 'default';
  side.dtls = secure && remote.fingerprints.length > 0 && flags.dtls !== 'off' && reverse !== 'off';
  const passing = asked?.ice === 'optional' || asked?.ice === 'force-relay';
  side.icePassed = passing && remote.ice !== undefined;
  const refused = asked?.flags.has('reject-ICE') === true || flags.ice === 'remove';
  // A peer that restarts ICE gets other credentials of ours, too (RFC 8445 §9).
  const restarted = side.iceOf !== undefined && side.iceOf !== remote.ice?.ufrag;
  side.ice = remote.ice !== undefined && !refused ? ((restarted ? undefined : side.ice) ?? newIce()) : undefined;
  side.iceLite = flags.iceLite.has('forward') || asked?.iceLite.has('backward') === true;
  associate(side);
  side.foreign = new Set();
  if (side.dtls) {
    side.sdes = [];
    side.role = answeredRole(side, flags, reverse);
  } else if (secure) {
    side.sdes = [(pass ? passedThrough(side, answerer) : undefined) ?? answeredSdes(side)];
  } else side.sdes = [];
  const mux = asked?.rtcpMux ?? new Set();
  const always = mux.has('demux') || mux.has('accept') || flags.rtcpMux.has('accept');
  const agreed = always || answerer.remote?.rtcpMux === true || answerer.remote?.carriage !== 'rtp';
  side.rtcpMux = remote.rtcpMux && !mux.has('reject') && !flags.rtcpMux.has('reject') && agreed;
  side.onePort = side.rtcpMux;
}

/** RFC 5763 §5: with actpass the answerer chooses; we start. An association that stands keeps its roles (RFC 8842 §5.5). */
function answeredRole(side: Side, flags: MediaFlags, reverse: MediaFlags['dtls']): 'client' | 'server' {
  const setup = side.remote?.setup;
  if (setup === 'passive') return 'client';
  if (setup === 'active') return 'server';
  return side.role ?? (flags.dtls === 'passive' || reverse === 'passive' ? 'server' : 'client');
}

/** The first that was offered, with a key of ours. */
function answeredSdes(side: Side): Side['sdes'][number] {
  const [first] = side.remote?.sdes ?? [];
  if (!first)
    throw new SessionError(
      'bad-sdp',
      'the offer asks for SRTP but carries neither a fingerprint nor a crypto suite of ours',
    );
  const known = side.sdes.find(({ tag, key }) => tag === first.tag && key.suite === first.key.suite);
  return { tag: first.tag, key: known?.key ?? freshKey(first.key.suite) };
}

/** The answerer's line, when packets of both can pass unopened. */
export function passedThrough(offerer: Side, answerer: Side): Side['sdes'][number] | undefined {
  const [theirs] = answerer.remote?.sdes ?? [];
  const ours = theirs && answerer.sdes.find(({ tag, key }) => tag === theirs.tag && key.suite === theirs.key.suite);
  if (!theirs || !ours || !answerer.foreign.has(ours.key)) return undefined;
  const origin = offerer.remote?.sdes.find(({ key }) => key === ours.key);
  return origin && { tag: origin.tag, key: theirs.key };
}

/** The role towards a party that has answered, and the ICE association that stands with it. */
export function takeRole(answerer: Side): void {
  associate(answerer);
  if (answerer.dtls) answerer.role = answerer.remote?.setup === 'passive' ? 'client' : 'server';
}

/** Offer and answer are complete: from now on ICE is with this peer. */
function associate(side: Side): void {
  side.iceOf = side.remote?.ice?.ufrag;
  side.iceWith = followed(side.iceWith, iceOfPeer(side));
  if (side.iceWith?.lite === true && !side.iceLite) side.iceControlling = true;
}

/** Candidates that have come for the association that stands; of a restart they wait for its answer. */
export function followCandidates(side: Side): void {
  if (side.iceOf !== undefined && side.iceOf === side.remote?.ice?.ufrag)
    side.iceWith = followed(side.iceWith, iceOfPeer(side));
}

function iceOfPeer({ remote }: Side): RemoteIce | undefined {
  return remote?.ice && { ...remote.ice, lite: remote.iceLite, candidates: remote.candidates };
}

/** RFC 8445 §6.1.1. A party that has spoken without ICE is one of plain offer and answer (RFC 8839 §4.2.3). */
export function iceRoleOf(side: Side): IceRole {
  const { remote, iceLite, iceWith } = side;
  if (iceWith ? iceLite && iceWith.lite : remote && !remote.ice) return 'unchecked';
  return iceRoleToBe(side);
}

/** Before the party has spoken. */
function iceRoleToBe({ iceLite, iceControlling }: Side): IceRole {
  return iceLite ? 'lite' : iceControlling ? 'controlling' : 'controlled';
}

/** What an end is opened as. */
export interface End extends Pick<EndpointSpec, 'socket' | 'ice' | 'raw' | 'carrier'> {
  readonly kind: string;
}

/**
 * What a side needs by what was decided for it. `apart`: with ICE, a port that no other line has. `fits`: whether an end that
 * was opened as that will do.
 */
export function endKind(
  side: Side,
  interfaceName: string,
  apart = false,
): End & { readonly fits: (opened: string | undefined) => boolean } {
  const raw = side.remote?.carriage === 'raw' || !side.protocol.includes('RTP/');
  const socket: EndpointSpec['socket'] = raw
    ? 'single'
    : side.ice && side.onePort && !side.icePassed
      ? 'shared'
      : 'pair';
  const ice = side.icePassed ? undefined : side.ice;
  // Other credentials are a restart of ICE, not another socket.
  const kind = (as: string) => `${as} ${interfaceName} ${ice ? 'ice' : ''} ${raw ? 'raw' : ''}`;
  const own = socket === 'shared' && apart ? 'single' : socket;
  return {
    socket: own,
    kind: kind(own),
    ...(ice ? { ice, iceRole: iceRoleToBe(side) } : {}),
    ...(raw ? { raw } : {}),
    // A line that had a port of its own stays there.
    fits: (opened) =>
      opened === kind(own) || (socket === 'shared' && (opened === kind('single') || opened === kind('pair'))),
  };
}

/** Our end of the line, with its socket. Kept over re-INVITEs unless its kind changes. */
export function openSide(
  dataplane: Dataplane,
  side: Side,
  interfaceName: string,
  affinity: string,
  end: End & { readonly fits?: (opened: string | undefined) => boolean } = endKind(side, interfaceName),
): void {
  const { kind, fits, ...spec } = end;
  if (side.endpoint && (fits ? fits(side.opened) : side.opened === kind)) return;
  // The new one first: when there is none to be had, the call goes on as it was.
  const endpoint = dataplane.openEndpoint({ interface: interfaceName, affinity, ...spec });
  side.endpoint?.close();
  // What was played there has ended with it.
  side.playing = undefined;
  side.endpoint = endpoint;
  side.opened = kind;
}

/**
 * What the packet path must know of the party, once it has spoken. `pass`: SRTP goes through unopened; `newParty`: it is
 * not the one that answered before.
 */
export function remoteSpec(side: Side, pass = false, newParty = false): RemoteSpec {
  const { remote, flags } = side;
  const ice = side.icePassed ? undefined : side.ice;
  const peer = side.iceWith;
  const iceRole = iceRoleOf(side);
  const addressed = !ice || iceRole === 'unchecked';
  return {
    ...(remote?.rtp && addressed ? { rtp: remote.rtp } : {}),
    ...(remote?.rtcp && addressed ? { rtcp: remote.rtcp } : {}),
    ...(flags?.receivedFrom !== undefined && addressed ? { signaling: flags.receivedFrom } : {}),
    learning: addressed && !(ice && peer) ? (flags?.learning ?? 'delayed') : 'off',
    strictSource: flags?.flags.has('strict-source') ?? false,
    newParty,
    mediaHandover: flags?.flags.has('media-handover') ?? false,
    rtcpMux: side.rtcpMux && (remote?.rtcpMux ?? false),
    crypto: pass ? { type: 'none' } : cryptoSpec(side),
    ...(pass ? copyKeyOf(side) : {}),
    ...(ice ? { localIce: ice, iceRole } : {}),
    ...(ice && peer ? { ice: { ufrag: peer.ufrag, pwd: peer.pwd } } : {}),
    ...(ice && peer && iceRole !== 'lite' ? { litePeer: peer.lite, candidates: peer.candidates } : {}),
  };
}

/** It speaks SRTP, and there is no key in common: to configure that would be to send it in the clear. */
export function isKeyless(side: Side): boolean {
  return side.remote !== undefined && isSecure(side.remote.protocol) && cryptoSpec(side).type === 'none';
}

function cryptoSpec(side: Side): CryptoSpec {
  const { remote } = side;
  if (side.dtls && remote && remote.fingerprints.length > 0 && (isSecure(remote.protocol) || isSecure(side.protocol)))
    return { type: 'dtls', role: side.role ?? 'server', fingerprints: remote.fingerprints };
  const theirs = chosenOf(side) ?? remote?.sdes[0];
  const sameSuite = side.sdes.filter(({ key }) => key.suite === theirs?.key.suite);
  // An answer by another number than that of its suite means our key of the suite, as rtpengine takes it.
  const ours = sameSuite.find(({ tag }) => tag === theirs?.tag) ?? sameSuite.find(({ key }) => !side.foreign.has(key));
  if (theirs && ours) return { type: 'sdes', receive: theirs.key, send: ours.key };
  return { type: 'none' };
}

function copyKeyOf(side: Side): Pick<RemoteSpec, 'copyKey'> {
  const theirs = chosenOf(side);
  return theirs ? { copyKey: theirs.key } : {};
}

/** The party's line that was chosen: it need not be its first, where a key passes. */
function chosenOf({ remote, sdes }: Side): Side['sdes'][number] | undefined {
  return remote?.sdes.find(({ tag, key }) => sdes.some((own) => own.tag === tag && own.key.suite === key.suite));
}

export function isSecure(protocol: string): boolean {
  return /SAVP/i.test(protocol);
}
