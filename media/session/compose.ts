import { createHash } from 'node:crypto';
import type { Codec } from '../../codecs/mod.ts';
import type { Dataplane } from '../dataplane/mod.ts';
import { withChanges } from './attribute-changes.ts';
import { inNewerOrder } from './dialect.ts';
import type { MediaFlags } from './flags.ts';
import { alphanumeric } from './random.ts';
import { MID_URI, type RemoteMedia } from './remote-media.ts';
import { cryptoLine } from './sdes.ts';
import { added, attributeName, changed, connectionOf, type SdpLine, type SdpText } from './sdp-text.ts';
import type { Side } from './session.ts';

/** Attributes that are made anew, or taken away, in the session part. */
const SESSION_GONE = new Set([
  ...['ice-ufrag', 'ice-pwd', 'ice-options', 'ice-lite', 'candidate', 'end-of-candidates', 'remote-candidates'],
  ...['fingerprint', 'setup', 'tls-id', 'sendrecv', 'sendonly', 'recvonly', 'inactive', 'group'],
]);
/** And in a media part that is carried by RTP. */
const CODEC_GONE = ['rtpmap', 'fmtp', 'ptime'];
const ICE_GONE = [
  ...['ice-ufrag', 'ice-pwd', 'ice-options', 'ice-lite', 'ice-mismatch'],
  ...['candidate', 'end-of-candidates', 'remote-candidates'],
];
const DIRECTIONS = ['sendrecv', 'sendonly', 'recvonly', 'inactive'];
const TRANSPORT_GONE = [
  'rtcp',
  'rtcp-mux',
  'rtcp-mux-only',
  'mid',
  'crypto',
  'fingerprint',
  'setup',
  'tls-id',
  'bundle-only',
];

/** What is the same for all calls: it names our addresses in candidates (RFC 8839 §5.1). */
const FOUNDATION = alphanumeric(16);

export interface ComposedLine {
  readonly side: Side;
  /** Undefined: as the text has them. */
  readonly codecs: readonly Codec[] | undefined;
  readonly rejected: boolean;
  readonly mid: string | undefined;
  readonly ptimeMs: number | undefined;
  readonly direction: string;
  /** c= names no address, and stays so. */
  readonly nowhere: boolean;
  /** Towards this party ICE trickles. */
  readonly trickle: boolean;
  /** Its packets may be coded anew. */
  readonly coded: boolean;
  /** `shared`: the transport is that of the first line of the group, which says all of it (RFC 9143 §7.1.3). */
  readonly place: 'apart' | 'shared' | 'bundle-only';
  /** a=extmap of a=mid: `offer` has one, a number is that of the offer, `strip` has none; undefined: as the text has it. */
  readonly midExtension: 'offer' | 'strip' | number | undefined;
}

/** A line that says to one party, by `side`, what the other one has said. */
export function passedOn(
  side: Side,
  { carriage, direction, nowhere, ice }: RemoteMedia,
  { replace }: MediaFlags,
): Pick<ComposedLine, 'side' | 'codecs' | 'rejected' | 'ptimeMs' | 'direction' | 'nowhere'> {
  const held = nowhere && ice === undefined && !replace.has('zero-address');
  const codecs = carriage === 'rtp' ? side.codecs : undefined;
  return { side, codecs, rejected: false, ptimeMs: side.ptimeMs, direction, nowhere: held };
}

/** A line on which there is to be no media. */
export function refused(side: Side, mid: string | undefined): ComposedLine {
  const nothing = { codecs: undefined, ptimeMs: undefined, midExtension: undefined, nowhere: false, trickle: false };
  return { side, mid, rejected: true, direction: 'inactive', place: 'apart', coded: false, ...nothing };
}

export interface Composing {
  readonly dataplane: Dataplane;
  readonly flags: MediaFlags;
  /** Towards the party that gets this text. */
  readonly iceLite: boolean;
  /** a=mid of the BUNDLE group; empty: there is none. */
  readonly group: readonly string[];
  /** With which `a=rtpengine` marks the SDP of this node. */
  readonly loopMark: string;
}

/** Rewrites the text of one party for the other. `lines` has an entry for every media line. */
export function compose(text: SdpText, lines: readonly ComposedLine[], parts: Composing): SdpText {
  const { flags } = parts;
  const active = lines.filter(({ rejected, side }) => !rejected && side.endpoint);
  const address = active[0] && addressOf(active[0].side, flags);
  // Where an m= line has nothing of its own, the session's is what counts.
  const shared =
    flags.replace.has('session-connection') ||
    text.media.some((part) => !part.some((line) => line.text.startsWith('c=')));
  const kept = lines.every(({ nowhere }) => nowhere) || flags.ice === 'force-relay';
  const session = text.session
    .filter((line) => !gone(line, SESSION_GONE))
    .map((line) => {
      if (address === undefined) return line;
      if (line.text.startsWith('c=') && shared && !kept) return changed(line, `c=IN ${connectionOf(address)}`);
      if (line.text.startsWith('o=') && flags.replace.has('origin'))
        return changed(line, withOrigin(line.text, address));
      return line;
    });
  if (parts.group.length > 0) session.push(added(`a=group:BUNDLE ${parts.group.join(' ')}`));
  if (parts.iceLite) session.push(added('a=ice-lite'));
  if (flags.flags.has('loop-protect')) session.push(added(`a=rtpengine:${parts.loopMark}`));
  const sessionHas = text.session.some((line) => line.text.startsWith('c='));
  const several = active.filter(({ codecs }) => codecs !== undefined).length > 1;
  const freeId = lines.some(({ midExtension }) => midExtension === 'offer') ? extensionId(text) : undefined;
  const media = text.media.map((part, index) => {
    const line = lines[index];
    if (line === undefined || line.rejected || !line.side.endpoint) return rejectedLine(part, line);
    if (line.codecs === undefined) return otherLine(part, line, flags);
    const [body, written] = several && line.coded ? numberedApart(part, line) : [part, line];
    return mediaLine(body, written, parts, sessionHas, freeId);
  });
  const written = { session, media };
  return withChanges(flags.dialect === '26' ? inNewerOrder(written) : written, flags.sdpChanges);
}

function gone(line: SdpLine, names: ReadonlySet<string> | undefined): boolean {
  if (names === undefined || names.size === 0) return false;
  const name = attributeName(line.text);
  return name !== undefined && names.has(name);
}

const madeAnew = new Map<string, ReadonlySet<string>>();

/** The attributes of a media part that are not passed on; the same few sets for all calls. */
function madeAnewFor(keepsIce: boolean, { flags }: MediaFlags): ReadonlySet<string> {
  const keepsDirection = flags.has('original-sendrecv');
  const stripsExtmap = flags.has('strip-extmap');
  const key = `${keepsIce} ${keepsDirection} ${stripsExtmap}`;
  let names = madeAnew.get(key);
  if (!names) {
    names = new Set([
      ...CODEC_GONE,
      ...TRANSPORT_GONE,
      ...(keepsIce ? [] : ICE_GONE),
      ...(keepsDirection ? [] : DIRECTIONS),
      ...(stripsExtmap ? ['extmap', 'extmap-allow-mixed'] : []),
    ]);
    madeAnew.set(key, names);
  }
  return names;
}

function addressOf(side: Side, flags: MediaFlags): string {
  return flags.mediaAddress ?? side.endpoint?.rtp.address ?? '0.0.0.0';
}

function withOrigin(text: string, address: string): string {
  const [user = '-', id = '0', version = '0'] = text.slice(2).split(' ');
  return `o=${user} ${id} ${version} IN ${connectionOf(address)}`;
}

/** RFC 3264 §6: port 0, the formats stay. */
function rejectedLine(part: readonly SdpLine[], line: ComposedLine | undefined): SdpLine[] {
  const [head = added('m=audio 0 RTP/AVP 0'), ...rest] = part;
  const [kind = 'm=audio', , written = 'RTP/AVP', ...formats] = head.text.split(' ');
  const protocol = line?.side.remote?.protocol ?? written;
  const names = new Set([...CODEC_GONE, ...ICE_GONE, ...DIRECTIONS, ...TRANSPORT_GONE, 'rtcp-fb', 'ssrc', 'msid']);
  return [
    changed(head, `${kind} 0 ${protocol} ${formats.join(' ')}`),
    ...rest.filter((own) => !gone(own, names)),
    ...(line?.mid === undefined ? [] : [added(`a=mid:${line.mid}`)]),
  ];
}

/** What is not RTP: only where it goes is ours. */
function otherLine(part: readonly SdpLine[], line: ComposedLine, flags: MediaFlags): SdpLine[] {
  const [head = added('m=image 0 udptl t38'), ...rest] = part;
  const [kind, , ...others] = head.text.split(' ');
  const address = addressOf(line.side, flags);
  return [
    changed(head, [kind, line.side.endpoint?.rtp.port, ...others].join(' ')),
    ...rest.map((own) => (own.text.startsWith('c=') ? changed(own, `c=IN ${connectionOf(address)}`) : own)),
  ];
}

/** The number of a=mid's header extension in a text, or one that is free; undefined: there is none. */
function extensionId({ session, media }: SdpText): number | undefined {
  const taken = new Set<number>();
  for (const { text } of [session, ...media].flat()) {
    const [, id, uri] = EXTMAP.exec(text) ?? [];
    if (uri === MID_URI) return Number(id);
    if (id !== undefined) taken.add(Number(id));
  }
  return Array.from({ length: 14 }, (_, index) => index + 1).find((id) => !taken.has(id));
}

const EXTMAP = /^a=extmap:(\d+)(?:\/\w+)? (\S+)/;

function mediaLine(
  part: readonly SdpLine[],
  line: ComposedLine,
  parts: Composing,
  sessionHas: boolean,
  freeId: number | undefined,
): SdpLine[] {
  const { flags } = parts;
  const { side, codecs = [] } = line;
  const address = addressOf(side, flags);
  const [head = added(''), ...rest] = part;
  const [kind = 'm=audio', port] = head.text.split(' ');
  const asIs = flags.ice === 'force-relay';
  const names = madeAnewFor(side.icePassed, flags);
  const body = rest
    .filter((own) => !gone(own, names) && !/^a=rtcp-fb:\d/.test(own.text))
    .filter((own) => line.midExtension !== 'strip' || EXTMAP.exec(own.text)?.[2] !== MID_URI)
    .map((own) =>
      own.text.startsWith('c=') && !asIs && !line.nowhere ? changed(own, `c=IN ${connectionOf(address)}`) : own,
    );
  if (!sessionHas && !body.some((own) => own.text.startsWith('c='))) {
    // RFC 8866 §5: behind the title, before all else.
    body.splice(body[0]?.text.startsWith('i=') ? 1 : 0, 0, added(`c=IN ${connectionOf(address)}`));
  }
  const id = line.midExtension === 'offer' ? freeId : line.midExtension;
  const told = body.some((own) => EXTMAP.exec(own.text)?.[2] === MID_URI);
  const extension = typeof id === 'number' && !told ? id : undefined;
  const ours = line.place === 'bundle-only' ? 0 : side.endpoint?.rtp.port;
  return [
    changed(head, `${kind} ${asIs ? port : ours} ${side.protocol} ${codecs.map(({ pt }) => pt).join(' ')}`),
    ...body,
    ...generated(line, address, parts, extension),
  ];
}

const TRANSPORT_WIDE = /^a=(extmap:\S+ \S*transport-wide-cc|rtcp-fb:\* transport-cc)/;

/**
 * Transport-wide congestion control numbers the packets of all lines in one row. Of a line that is coded anew none would
 * arrive, and the sender of a video beside it would take that for loss.
 */
function numberedApart(part: readonly SdpLine[], line: ComposedLine): [readonly SdpLine[], ComposedLine] {
  const codecs = line.codecs?.map((codec) => ({
    ...codec,
    feedback: codec.feedback?.filter((value) => value !== 'transport-cc') ?? [],
  }));
  return [part.filter((own) => !TRANSPORT_WIDE.test(own.text)), { ...line, codecs }];
}

/** In the order of rtpengine 10.5, which others compare with. */
function generated(
  line: ComposedLine,
  address: string,
  { flags, dataplane }: Composing,
  extension: number | undefined,
): SdpLine[] {
  const { side } = line;
  const lines: string[] = [];
  if (line.mid !== undefined) lines.push(`mid:${line.mid}`);
  if (line.place === 'bundle-only') lines.push('bundle-only');
  for (const codec of line.codecs ?? []) lines.push(...codecLines(codec));
  if (extension !== undefined) lines.push(`extmap:${extension} ${MID_URI}`);
  if (!flags.flags.has('original-sendrecv')) lines.push(line.direction);
  const rtp = side.endpoint?.rtp.port ?? 0;
  const whole = line.place === 'apart';
  if (whole && !flags.flags.has('no-rtcp-attribute') && flags.ice !== 'force-relay') {
    const port = side.onePort ? rtp : (side.endpoint?.rtcp?.port ?? rtp);
    lines.push(`rtcp:${port}${flags.flags.has('full-rtcp-attribute') ? ` IN ${connectionOf(address)}` : ''}`);
  }
  if (side.rtcpMux) lines.push('rtcp-mux');
  if (whole) for (const own of side.sdes) lines.push(`crypto:${cryptoLine(own, flags.sdes)}`);
  if (whole && side.dtls) {
    lines.push(`setup:${side.role === 'client' ? 'active' : side.role === 'server' ? 'passive' : 'actpass'}`);
    lines.push(`fingerprint:${fingerprintOf(dataplane, flags.fingerprint)}`);
  }
  if (line.ptimeMs !== undefined) lines.push(`ptime:${line.ptimeMs}`);
  if (whole && side.ice) lines.push(...iceLines(line, address, flags));
  return lines.map((text) => added(`a=${text}`));
}

function codecLines({ pt, name, clockRate, channels, fmtp, feedback }: Codec): string[] {
  return [
    ...(name === '' ? [] : [`rtpmap:${pt} ${name}/${clockRate}${channels > 1 ? `/${channels}` : ''}`]),
    ...(fmtp === undefined ? [] : [`fmtp:${pt} ${fmtp}`]),
    ...(feedback ?? []).map((value) => `rtcp-fb:${pt} ${value}`),
  ];
}

const HASHES = new Set(['sha-1', 'sha-224', 'sha-256', 'sha-384', 'sha-512']);

/** RFC 8122 §5. */
function fingerprintOf(dataplane: Dataplane, algorithm: string | undefined): string {
  const { algorithm: usual, fingerprint, certificate } = dataplane.dtls;
  if (algorithm === undefined || algorithm === usual || !HASHES.has(algorithm)) return `${usual} ${fingerprint}`;
  const hash = createHash(algorithm.replace('-', '')).update(certificate).digest('hex').toUpperCase();
  return `${algorithm} ${(hash.match(/../g) ?? []).join(':')}`;
}

/** RFC 8839; priorities as RFC 8445 §5.1.2 makes them. */
function iceLines(line: ComposedLine, address: string, flags: MediaFlags): string[] {
  const { side } = line;
  const { endpoint, ice } = side;
  if (!endpoint || !ice) return [];
  const relay = flags.ice === 'force-relay';
  // Of a peer's own candidates ours come last.
  const base = relay ? 0xffff00 : side.icePassed && flags.ice === 'optional' ? 125 * 2 ** 24 : 126 * 2 ** 24 + 0xffff00;
  const ports = [endpoint.rtp.port, ...(side.onePort || !endpoint.rtcp ? [] : [endpoint.rtcp.port])];
  const candidates = ports.map((port, index) => {
    const type = relay ? `typ relay raddr ${address} rport ${port}` : 'typ host';
    return `candidate:${FOUNDATION} ${index + 1} UDP ${base + 255 - index} ${address} ${port} ${type}`;
  });
  return [
    ...(side.icePassed ? [] : [`ice-ufrag:${ice.ufrag}`, `ice-pwd:${ice.pwd}`]),
    ...(line.trickle ? ['ice-options:trickle'] : []),
    ...candidates,
    ...(line.trickle ? ['end-of-candidates'] : []),
  ];
}
