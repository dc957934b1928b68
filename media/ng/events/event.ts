import type { Bencode, HostPort } from '../../../vocabulary/mod.ts';
import type { LearnedHow } from '../../dataplane/mod.ts';
import type { Dictionary } from '../message.ts';

/** What every event says: whose media it is. `tag` is empty for a party that has not answered, and for whole calls. */
interface About {
  readonly callId: string;
  readonly tag: string;
}

interface OfStream extends About {
  /** Number of the media line, from 1. */
  readonly media: number;
}

/** Something that happened to the media of a call. docs/events.md has a row for each. */
export type MediaEvent =
  | (OfStream & { readonly type: 'media-started'; readonly source: HostPort | undefined })
  | (About & { readonly type: 'media-timeout'; readonly tags: readonly string[] })
  | (OfStream & {
      readonly type: 'source-learned';
      readonly component: 'rtp' | 'rtcp';
      readonly source: HostPort;
      /** `first`, `better` (liker to SDP), `moved` (the same stream), `handover`, `ice`. */
      readonly how: LearnedHow;
    })
  | (OfStream & {
      readonly type: 'source-refused';
      readonly component: 'rtp' | 'rtcp';
      readonly source: HostPort;
      /** `unknown-source`, `authentication`, `ice`. */
      readonly reason: string;
      /** From there so far. */
      readonly packets: number;
    })
  | (About & {
      readonly type: 'dtmf';
      /** All parties of the call, the sender last. */
      readonly tags: readonly string[];
      readonly sourceAddress: string;
      /** RFC 4733 §3.2: 0–9, 10 = *, 11 = #, 12–15 = A–D. */
      readonly event: number;
      readonly durationMs: number;
      /** dBm0 without its sign. */
      readonly volume: number;
    })
  | (About & { readonly type: 'playback-ended'; readonly reason: 'finished' | 'stopped' })
  | (About & {
      readonly type: 'recording-closed';
      readonly file: string;
      readonly durationMs: number;
      /** `stopped`, `ended` with its call, `quota`, `failed`. */
      readonly reason: string;
    })
  | (OfStream & {
      readonly type: 'quality-alarm';
      readonly state: 'bad' | 'good';
      /** 1.0 to 4.4. */
      readonly mos: number;
      readonly lossPercent: number;
      readonly jitterMs: number;
      readonly roundTripMs: number | undefined;
    })
  | (OfStream & { readonly type: 'dtls-failed'; readonly reason: string })
  | (OfStream & {
      readonly type: 'ice-failed';
      /** `checks`: no candidate of the party has answered; `consent`: the pair in use has not for 30 s. */
      readonly reason: 'checks' | 'consent';
      readonly source: HostPort | undefined;
    });

/** The names by which they are notified. */
export const EVENT_NAMES = {
  'media-started': 'onMediaStarted',
  'media-timeout': 'onMediaTimeout',
  'source-learned': 'onSourceLearned',
  'source-refused': 'onSourceRefused',
  dtmf: 'onDTMF',
  'playback-ended': 'onPlaybackEnded',
  'recording-closed': 'onRecordingClosed',
  'quality-alarm': 'onQualityAlarm',
  'dtls-failed': 'onDTLSFailed',
  'ice-failed': 'onICEFailed',
} as const satisfies Record<MediaEvent['type'], string>;

export type EventName = (typeof EVENT_NAMES)[MediaEvent['type']];

const NAMES: ReadonlyMap<string, EventName> = new Map(
  Object.entries(EVENT_NAMES).flatMap(([type, name]) => [
    [name.toLowerCase(), name],
    [name.slice(2).toLowerCase(), name],
    [type.replaceAll('-', ''), name],
  ]),
);

/** `onDTMF`, `dtmf`, `media-timeout` → the name; `undefined` when there is no such event. */
export function eventNameOf(text: string): EventName | undefined {
  return NAMES.get(text.toLowerCase().replace(/[-_ ]/g, ''));
}

export interface EventFrame {
  readonly notify: EventName;
  readonly data: Dictionary;
}

/** `now`: epoch ms. Numbers are whole: bencode has no others. */
export function frameOfEvent(event: MediaEvent, now: number): EventFrame {
  const { callId, tag } = event;
  const timestamp = Math.floor(now / 1000);
  return { notify: EVENT_NAMES[event.type], data: { callId, tag, timestamp, ...detailsOf(event) } };
}

function detailsOf(event: MediaEvent): Dictionary {
  switch (event.type) {
    case 'media-started':
      return { media: event.media, ...sourceOf(event.source) };
    case 'media-timeout':
      return { tags: event.tags };
    case 'source-learned':
      return { media: event.media, component: event.component, ...sourceOf(event.source), how: event.how };
    case 'source-refused':
      return {
        ...{ media: event.media, component: event.component, ...sourceOf(event.source) },
        ...{ reason: event.reason, packets: event.packets },
      };
    case 'dtmf':
      return dtmfOf(event);
    case 'playback-ended':
      return { reason: event.reason };
    case 'recording-closed':
      return { file: event.file, duration: Math.round(event.durationMs), reason: event.reason };
    case 'quality-alarm':
      return {
        media: event.media,
        state: event.state,
        // As in `query`: MOS ten-fold, round trip in µs.
        MOS: Math.round(event.mos * 10),
        'packet loss': Math.round(event.lossPercent),
        jitter: Math.round(event.jitterMs),
        ...(event.roundTripMs === undefined ? {} : { 'round-trip time': Math.round(event.roundTripMs * 1000) }),
      };
    case 'dtls-failed':
      return { media: event.media, reason: event.reason };
    case 'ice-failed':
      return { media: event.media, reason: event.reason, ...sourceOf(event.source) };
  }
}

function sourceOf(source: HostPort | undefined): Dictionary {
  return source ? { source_ip: source.address, source_port: source.port } : {};
}

type Dtmf = Extract<MediaEvent, { readonly type: 'dtmf' }>;

function dtmfOf(event: Dtmf): Record<string, Bencode> {
  return {
    tags: event.tags,
    callid: event.callId,
    source_tag: event.tag,
    type: 'DTMF',
    source_ip: event.sourceAddress,
    event: event.event,
    duration: Math.round(event.durationMs),
    volume: event.volume,
  };
}

/** Exactly what rtpengine pushes over TCP with `--dtmf-log-ng-tcp`, keys in its order. */
export function dtmfPush(event: Dtmf, now: number): Dictionary {
  const { tags, callid, source_tag, type, source_ip, ...rest } = dtmfOf(event) as Record<string, Bencode>;
  const data = { tags, callid, source_tag, type, source_ip, timestamp: Math.floor(now / 1000), ...rest };
  return { notify: 'onDTMF', data: data as Dictionary };
}

/** Exactly what rtpengine sends to `--dtmf-log-dest`: one JSON object a datagram. */
export function dtmfLog(event: Dtmf, now: number): string {
  const { tags, callid, source_tag, type, source_ip, ...rest } = dtmfOf(event);
  return JSON.stringify({ callid, source_tag, tags, type, timestamp: Math.floor(now / 1000), source_ip, ...rest });
}
