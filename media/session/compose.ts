import { isIPv6 } from 'node:net';
import type { Codec } from '../../codecs/mod.ts';
import type { Dataplane } from '../dataplane/mod.ts';
import type { MediaFlags } from './flags.ts';
import { joinSdp, withConnection, withOrigin, withoutAttributes, type SdpText } from './sdp-text.ts';
import type { Side } from './session.ts';

/** Ours to say, in every message. */
const ICE = [
  'ice-ufrag',
  'ice-pwd',
  'ice-options',
  'ice-lite',
  'ice-mismatch',
  'candidate',
  'end-of-candidates',
  'remote-candidates',
];
const TRANSPORT = [
  ...ICE,
  'fingerprint',
  'setup',
  'tls-id',
  'crypto',
  'rtcp',
  'rtcp-mux',
  'rtcp-mux-only',
  'rtcp-rsize',
];
/** Of WebRTC's own; a plain phone has no use for them. */
const BROWSER = [
  'mid',
  'msid',
  'ssrc',
  'ssrc-group',
  'extmap',
  'rtcp-fb',
  'bundle-only',
  'rid',
  'simulcast',
  'msid-semantic',
];
const BROWSER_SESSION = [
  'group',
  'msid-semantic',
  'extmap-allow-mixed',
  'fingerprint',
  'setup',
  'ice-options',
  'ice-lite',
  'ice-ufrag',
  'ice-pwd',
  'identity',
];

export interface ComposedLine {
  readonly side: Side;
  /** Undefined: as the text has them. */
  readonly codecs: readonly Codec[] | undefined;
  readonly rejected: boolean;
  readonly mid: string | undefined;
  /** The party whose text this is holds by 0.0.0.0; with an address of ours the direction must say it. */
  readonly nullHold: boolean;
}

/** Rewrites the text of one party for the other. `lines` has an entry for every media line. */
export function compose(
  text: SdpText,
  lines: readonly ComposedLine[],
  parts: {
    readonly dataplane: Dataplane;
    readonly flags: MediaFlags;
    readonly answer: boolean;
    readonly bundle: readonly string[];
  },
): string {
  const { dataplane, flags } = parts;
  const webrtc = lines.some(({ side, rejected }) => !rejected && side.ice !== undefined);
  const first = lines.find(({ rejected, side }) => !rejected && side.endpoint)?.side.endpoint?.rtp.address;
  let session = withoutAttributes(
    text.session,
    new Set([...ICE, 'fingerprint', 'setup', 'group', ...(webrtc ? [] : BROWSER_SESSION)]),
  );
  if (first !== undefined) {
    if (flags.replaceOrigin) session = withOrigin(session, first);
    session = withConnection(session, first);
  }
  if (webrtc) {
    session.push('a=ice-lite');
    // One transport a line is what we have: only the first line may be the bundle.
    const mid = lines.find(({ rejected, mid: name }) => !rejected && name !== undefined)?.mid;
    if (mid !== undefined && (parts.bundle.length > 0 || !parts.answer)) session.push(`a=group:BUNDLE ${mid}`);
  }
  const media = text.media.map((part, index) => {
    const line = lines[index];
    return line === undefined || line.rejected
      ? rejectedLine(part, line)
      : mediaLine(part, line, dataplane, flags, text.session.some((own) => own.startsWith('c=')) ? first : undefined);
  });
  return joinSdp({ session, media });
}

/** RFC 3264 §6: port 0, the formats stay. */
function rejectedLine(part: readonly string[], line: ComposedLine | undefined): string[] {
  const [head = 'm=audio 0 RTP/AVP 0'] = part;
  const [kind = 'm=audio', , protocol = 'RTP/AVP', ...formats] = head.split(' ');
  const mid = line?.mid === undefined ? [] : [`a=mid:${line.mid}`];
  const shown = line && line.side.protocol !== '' && line.side.remote ? line.side.remote.protocol : protocol;
  return [`${kind} 0 ${shown} ${formats.join(' ')}`, ...mid];
}

function mediaLine(
  part: readonly string[],
  line: ComposedLine,
  dataplane: Dataplane,
  flags: MediaFlags,
  sessionAddress: string | undefined,
): string[] {
  const { side } = line;
  const endpoint = side.endpoint;
  if (!endpoint) return rejectedLine(part, line);
  const [head = '', ...rest] = part;
  const [kind = 'm=audio', , , ...formats] = head.split(' ');
  const webrtc = side.ice !== undefined;
  const gone = new Set([...TRANSPORT, ...(webrtc ? ['mid', 'bundle-only'] : BROWSER)]);
  if (flags.flags.has('strip-extmap')) gone.add('extmap');
  let body = withConnection(withoutAttributes(rest, gone), endpoint.rtp.address);
  if (endpoint.rtp.address !== sessionAddress && !body.some((own) => own.startsWith('c='))) {
    // RFC 8866 §5: behind the title, before all else.
    const at = body[0]?.startsWith('i=') ? 1 : 0;
    body.splice(at, 0, `c=IN ${isIPv6(endpoint.rtp.address) ? 'IP6' : 'IP4'} ${endpoint.rtp.address}`);
  }
  if (line.nullHold) body = [...body.filter((own) => own !== 'a=sendrecv'), 'a=sendonly'];
  const { codecs } = line;
  if (codecs) body = withCodecs(body, codecs);
  const pts = codecs ? codecs.map(({ pt }) => String(pt)) : formats;
  return [
    `${kind} ${endpoint.rtp.port} ${side.protocol} ${pts.join(' ')}`,
    ...body,
    ...transportLines(side, line.mid, dataplane),
  ];
}

/** Replaces rtpmap, fmtp and rtcp-fb: lines of formats that stay are kept as they were, others are made. */
function withCodecs(body: readonly string[], codecs: readonly Codec[]): string[] {
  const kept = new Set(codecs.map(({ pt }) => String(pt)));
  const about = (line: string) => /^a=(rtpmap|fmtp|rtcp-fb):(\d+|\*)/.exec(line);
  const lines = body.filter((line) => {
    const match = about(line);
    return !match || kept.has(match[2] as string) || match[2] === '*';
  });
  const at = lines.findIndex((line) => about(line));
  const made: string[] = [];
  for (const { pt, name, clockRate, channels, fmtp } of codecs) {
    if (name === '') continue;
    const map = `a=rtpmap:${pt} ${name}/${clockRate}${channels > 1 ? `/${channels}` : ''}`;
    const known = lines.findIndex((line) => line.startsWith(`a=rtpmap:${pt} `));
    if (known >= 0 && lines[known] !== map) lines[known] = map;
    else if (known < 0) made.push(map);
    const parameters = fmtp === undefined ? undefined : `a=fmtp:${pt} ${fmtp}`;
    const knownFmtp = lines.findIndex((line) => line.startsWith(`a=fmtp:${pt} `));
    if (knownFmtp >= 0 && parameters === undefined) lines.splice(knownFmtp, 1);
    else if (knownFmtp >= 0 && parameters !== undefined) lines[knownFmtp] = parameters;
    else if (parameters !== undefined) made.push(parameters);
  }
  lines.splice(at < 0 ? lines.length : at, 0, ...made);
  return lines;
}

function transportLines(side: Side, mid: string | undefined, dataplane: Dataplane): string[] {
  const { endpoint, ice } = side;
  if (!endpoint) return [];
  const lines: string[] = [];
  if (ice) {
    if (mid !== undefined) lines.push(`a=mid:${mid}`);
    lines.push(`a=ice-ufrag:${ice.ufrag}`, `a=ice-pwd:${ice.pwd}`);
    // RFC 8839 §5.1; priority of a host candidate (RFC 8445 §5.1.2).
    lines.push(
      `a=candidate:1 1 UDP 2130706431 ${endpoint.rtp.address} ${endpoint.rtp.port} typ host`,
      'a=end-of-candidates',
    );
  }
  if (side.dtls) {
    lines.push(`a=fingerprint:${dataplane.dtls.algorithm} ${dataplane.dtls.fingerprint}`);
    lines.push(`a=setup:${side.role === 'client' ? 'active' : side.role === 'server' ? 'passive' : 'actpass'}`);
  }
  for (const { tag, key } of side.sdes) {
    lines.push(`a=crypto:${tag} ${key.suite} inline:${Buffer.from(key.keySalt).toString('base64')}`);
  }
  if (side.rtcpMux) lines.push('a=rtcp-mux');
  else if (endpoint.rtcp) lines.push(`a=rtcp:${endpoint.rtcp.port}`);
  return lines;
}
