import type { Codec } from '../../codecs/mod.ts';
import type { Bencode, HostPort } from '../../vocabulary/mod.ts';
import type { EndpointStats } from '../dataplane/mod.ts';
import type { Dialogue, Line, Session, Side, Subscription } from '../session/mod.ts';
import type { CallNotes } from './calls.ts';
import type { Dictionary } from './message.ts';
import type { Sample, StreamQuality } from './quality.ts';

interface Count {
  packets: number;
  bytes: number;
  errors: number;
}

export interface Description {
  /** In the shape and order of the reply to `query`, without its `result`. */
  readonly reply: Dictionary;
  readonly rtp: Readonly<Count>;
  /** Streams of an answered call on which nothing, or only one way, was heard. */
  readonly zeroWay: number;
  readonly oneWay: number;
}

/** Seconds between two samples of a stream's quality. */
export const SAMPLE_SECONDS = 10;

/**
 * A call as `query` and `delete` show it (docs/ng.md). `only`: the tags that are asked for; all without it.
 * `now`: epoch ms.
 */
export function describe(
  session: Session,
  notes: CallNotes | undefined,
  now: number,
  only?: ReadonlySet<string>,
): Description {
  const rtp: Count = { packets: 0, bytes: 0, errors: 0 };
  const rtcp: Count = { packets: 0, bytes: 0, errors: 0 };
  const ssrcs: Record<string, Bencode> = {};
  const tags = new Map<string, Record<string, Bencode>>();
  let untagged = 0;
  let zeroWay = 0;
  let oneWay = 0;
  for (const dialogue of session.dialogues) {
    const heard = new Map<Line, number>();
    for (const which of sidesOf(dialogue)) {
      const party = dialogue[which];
      const medias = dialogue.lines.map((line): Bencode => {
        const side = line[which];
        const stats = side.endpoint?.stats();
        if (stats) {
          rtp.packets += stats.received.packets;
          rtp.bytes += stats.received.bytes;
          rtp.errors += errorsOf(stats);
          rtcp.packets += stats.rtcp?.received.packets ?? 0;
          rtcp.bytes += stats.rtcp?.received.bytes ?? 0;
          if (stats.received.packets > 0) heard.set(line, (heard.get(line) ?? 0) + 1);
        }
        const end = notes?.ends.get(side.endpoint?.id ?? -1);
        if (stats?.ssrc !== undefined && end?.quality !== undefined && end.quality.samples > 0)
          ssrcs[String(stats.ssrc)] = qualityOf(end.quality);
        return mediaOf(session, line, which, stats, now);
      });
      const name = party.tag ?? `<untagged ${++untagged}>`;
      const known = tags.get(name);
      if (known) {
        for (const key of ['subscriptions', 'subscribers'])
          known[key] = [
            ...(known[key] as Bencode[]),
            ...(sidesOf(dialogue).length < 2 ? [] : [peerOf(dialogue, which)]),
          ];
        known['medias'] = [...(known['medias'] as Bencode[]), ...medias];
      } else tags.set(name, partyOf(session, dialogue, which, medias));
    }
    for (const line of dialogue.lines.filter(({ a, b }) => a.remote && b.remote)) {
      const ways = heard.get(line) ?? 0;
      if (ways === 0) zeroWay += 2;
      else if (ways === 1) oneWay++;
    }
  }
  for (const [tag, subscription] of session.subscriptions) tags.set(tag, subscriberOf(session, subscription, now));
  return {
    reply: {
      created: seconds(session.createdAt),
      created_us: Math.min(999_999, Math.round((session.createdAt % 1000) * 1000)),
      'last signal': seconds(session.lastSignalAt),
      SSRC: ssrcs,
      tags: Object.fromEntries([...tags].filter(([tag]) => only === undefined || only.has(tag))),
      totals: { RTP: { ...rtp }, RTCP: { ...rtcp } },
    },
    rtp,
    zeroWay,
    oneWay,
  };
}

/** Those on which there is somebody. */
function sidesOf({ published, left }: Dialogue): readonly ('a' | 'b')[] {
  if (left) return [left.which === 'a' ? 'b' : 'a'];
  return published ? ['a'] : ['a', 'b'];
}

function seconds(ms: number): number {
  return Math.floor(ms / 1000);
}

function partyOf(
  session: Session,
  dialogue: Dialogue,
  which: 'a' | 'b',
  medias: readonly Bencode[],
): Record<string, Bencode> {
  const party = dialogue[which];
  const { label } = party;
  const copies = [...session.subscriptions].filter(([, { lines }]) => lines.some(({ tag }) => tag === party.tag));
  const peers = sidesOf(dialogue).length < 2 ? [] : [peerOf(dialogue, which)];
  return {
    tag: party.tag ?? '',
    // The branch is that of the side that was called.
    ...(which === 'b' && dialogue.viaBranch !== undefined ? { 'via-branch': dialogue.viaBranch } : {}),
    ...(label === undefined ? {} : { label }),
    created: seconds(session.createdAt),
    subscriptions: peers,
    subscribers: [...peers, ...copies.map(([tag]): Bencode => ({ tag, type: 'pub/sub' }))],
    medias,
  };
}

function subscriberOf(session: Session, { party, lines }: Subscription, now: number): Record<string, Bencode> {
  const heard = [...new Set(lines.map(({ tag }) => tag))].map((tag): Bencode => ({ tag, type: 'pub/sub' }));
  return {
    tag: party.tag ?? '',
    ...(party.label === undefined ? {} : { label: party.label }),
    created: seconds(session.createdAt),
    subscriptions: heard,
    subscribers: [],
    medias: lines.map(({ side, coded }, index) =>
      mediaOf(session, { index, a: side, b: side, agreed: undefined }, 'a', side.endpoint?.stats(), now, coded),
    ),
  };
}

function peerOf(dialogue: Dialogue, which: 'a' | 'b'): Bencode {
  return { tag: dialogue[which === 'a' ? 'b' : 'a'].tag ?? '', type: 'offer/answer' };
}

function mediaOf(
  session: Session,
  line: Line,
  which: 'a' | 'b',
  stats: EndpointStats | undefined,
  now: number,
  coded = stats?.playout !== undefined,
): Bencode {
  const side = line[which];
  const codec = side.remote && side.codecs[0] ? codecText(side.codecs[0]) : undefined;
  return {
    index: line.index + 1,
    type: side.remote?.kind ?? line[which === 'a' ? 'b' : 'a'].remote?.kind ?? 'audio',
    protocol: side.protocol,
    ...(codec === undefined ? {} : { codec }),
    streams: stats ? streamsOf(session, side, stats, now) : [],
    flags: mediaFlags(side, coded, stats?.ice),
  };
}

function streamsOf(session: Session, side: Side, stats: EndpointStats, now: number): Bencode[] {
  const { endpoint, remote } = side;
  if (!endpoint) return [];
  const last = stats.lastPacketMs === undefined ? session.createdAt : now - stats.lastPacketMs;
  const one = endpoint.rtcp === undefined;
  const rtpFlags = [
    'RTP',
    ...(one ? ['RTCP'] : []),
    ...(stats.remoteRtp ? ['filled'] : []),
    ...(stats.source?.frozen === true ? ['confirmed'] : []),
    ...(side.ice ? ['ICE'] : []),
  ];
  const rtp: Bencode = {
    'local port': endpoint.rtp.port,
    'local address': endpoint.rtp.address,
    family: familyOf(endpoint.rtp.address),
    endpoint: addressOf(stats.remoteRtp),
    'advertised endpoint': addressOf(remote?.rtp),
    ...suiteOf(side, stats),
    'last packet': seconds(last),
    flags: rtpFlags,
    ...(stats.ssrc === undefined ? {} : { SSRC: stats.ssrc }),
    stats: { packets: stats.received.packets, bytes: stats.received.bytes, errors: errorsOf(stats) },
    stats_out: { packets: stats.sent.packets, bytes: stats.sent.bytes },
    details: detailsOf(stats),
  };
  if (one) return [rtp];
  const lastRtcp = stats.rtcp?.lastPacketMs;
  const rtcp: Bencode = {
    'local port': endpoint.rtcp.port,
    'local address': endpoint.rtcp.address,
    family: familyOf(endpoint.rtcp.address),
    endpoint: addressOf(stats.remoteRtcp),
    'advertised endpoint': addressOf(remote?.rtcp),
    ...suiteOf(side, stats),
    'last packet': seconds(lastRtcp === undefined ? session.createdAt : now - lastRtcp),
    flags: ['RTCP', ...(stats.remoteRtcp ? ['filled'] : [])],
    stats: { ...NOTHING, ...stats.rtcp?.received, errors: 0 },
    stats_out: { ...NOTHING, ...stats.rtcp?.sent },
  };
  return [rtp, rtcp];
}

const NOTHING = { packets: 0, bytes: 0 };

/** What rtpengine does not say. Times are ms. */
function detailsOf(stats: EndpointStats): Bencode {
  return {
    'packets lost': stats.received.lost,
    'jitter ms': Math.round(stats.received.jitterMs),
    ...(stats.roundTripMs === undefined ? {} : { 'round trip ms': Math.round(stats.roundTripMs) }),
    ...(Object.keys(stats.dropped).length === 0 ? {} : { dropped: stats.dropped }),
    ...(stats.playout
      ? {
          'concealed ms': stats.playout.concealedMs,
          'played ms': stats.playout.playedMs,
          'shortened ms': Math.round(stats.playout.shortenedMs),
          'lengthened ms': Math.round(stats.playout.lengthenedMs),
          'buffered ms': stats.playout.bufferedMs,
          'target delay ms': stats.playout.targetDelayMs,
        }
      : {}),
  };
}

/** `send`: we send to this party; `recv`: we take from it. Its own SDP says which of them it wants. */
function mediaFlags(side: Side, coded: boolean, ice: EndpointStats['ice']): Bencode[] {
  const direction = side.remote?.direction ?? 'sendrecv';
  return [
    ...(side.remote ? ['initialized'] : []),
    ...(direction === 'sendrecv' || direction === 'recvonly' ? ['send'] : []),
    ...(direction === 'sendrecv' || direction === 'sendonly' ? ['recv'] : []),
    ...(side.rtcpMux ? ['rtcp-mux'] : []),
    ...(side.dtls ? ['DTLS-SRTP'] : []),
    ...(side.dtls && side.role ? [`DTLS role ${side.role === 'server' ? 'passive' : 'active'}`] : []),
    ...(!side.dtls && side.sdes.length > 0 ? ['SDES'] : []),
    ...(side.ice ? ['ICE'] : []),
    // As rtpengine has it, towards parties without ICE, too: who got our first offer.
    ...((ice ? ice.role === 'controlling' : side.iceControlling) ? ['ICE controlling'] : []),
    ...(coded ? ['transcoding'] : []),
  ];
}

/** Of the keys that are in use; of DTLS once a handshake has agreed on one. */
function suiteOf(side: Side, { suite }: EndpointStats): Dictionary {
  const named = suite ?? (side.dtls ? undefined : side.remote?.sdes[0]?.key.suite);
  return named === undefined ? {} : { 'crypto suite': named };
}

function familyOf(address: string): string {
  return address.includes(':') ? 'IPv6' : 'IPv4';
}

function addressOf(at: HostPort | undefined): Bencode {
  return at ? { family: familyOf(at.address), address: at.address, port: at.port } : {};
}

function codecText(codec: Codec): string {
  return `${codec.name}/${codec.clockRate}${codec.channels > 1 ? `/${codec.channels}` : ''}`;
}

function errorsOf(stats: EndpointStats): number {
  return Object.values(stats.dropped).reduce((sum, count) => sum + count, 0);
}

/** MOS is given ten-fold, the round trip in µs, as rtpengine does. */
function qualityOf(quality: StreamQuality): Bencode {
  const average = quality.average();
  const figures = (sample: Omit<Sample, 'at'>): Dictionary => ({
    MOS: Math.round(sample.mos * 10),
    ...(sample.roundTripMs === undefined ? {} : { 'round-trip time': Math.round(sample.roundTripMs * 1000) }),
    jitter: Math.round(sample.jitterMs),
    'packet loss': Math.round(sample.lossPercent),
  });
  const dated = (sample: Sample): Dictionary => ({ 'reported at': sample.at, ...figures(sample) });
  return {
    'cumulative loss': quality.lost,
    ...(average ? { 'average MOS': { ...figures(average), samples: quality.samples } } : {}),
    ...(quality.lowest ? { 'lowest MOS': dated(quality.lowest) } : {}),
    ...(quality.highest ? { 'highest MOS': dated(quality.highest) } : {}),
    'MOS progression': {
      interval: quality.stride * SAMPLE_SECONDS,
      entries: quality.entries.map((sample) => dated(sample)),
    },
  };
}
