import type { DataplaneEvent, EndpointStats } from '../../dataplane/mod.ts';
import type { Session } from '../../session/mod.ts';
import type { CallNotes, CallTable, EndNotes } from '../calls.ts';
import { StreamQuality, type Sample } from '../quality.ts';
import type { MediaEvent } from './event.ts';

/** So many bad samples in a row are an alarm. */
const BAD_SAMPLES = 2;
/** A stream is good again when it is so much better than the alarm. */
const BETTER = 0.3;

/** What an event of the packet path means for its call; `undefined` when its endpoint is gone. */
export function readDataplaneEvent(calls: CallTable, event: DataplaneEvent): MediaEvent | undefined {
  const end = calls.endOf(event.endpoint);
  if (!end) return undefined;
  const about = aboutOf(end);
  switch (event.type) {
    case 'learned':
      if (event.component === 'rtp') end.learned = event.remote;
      return { type: 'source-learned', ...about, component: event.component, source: event.remote, how: event.how };
    case 'ice':
      end.learned = event.remote;
      return { type: 'source-learned', ...about, component: 'rtp', source: event.remote, how: 'ice' };
    case 'ice-failed':
      return { type: 'ice-failed', ...about, reason: event.reason, source: event.remote };
    case 'refused':
      return {
        ...{ type: 'source-refused', ...about, component: event.component, source: event.remote },
        ...{ reason: event.reason, packets: event.packets },
      };
    case 'dtmf':
      return dtmfOf(end, event);
    case 'played':
      // Others are keys as tones, or have been replaced.
      if (end.side.playing !== event.playback) return undefined;
      end.side.playing = undefined;
      return { type: 'playback-ended', callId: about.callId, tag: about.tag, reason: 'finished' };
    case 'first-packet':
      return { type: 'media-started', ...about, source: end.learned };
    case 'dtls':
      return event.state === 'failed'
        ? { type: 'dtls-failed', ...about, reason: event.reason ?? 'no reason given' }
        : undefined;
  }
}

/** The sender stands last among the tags, as rtpengine has it. */
function dtmfOf(end: EndNotes, event: Extract<DataplaneEvent, { readonly type: 'dtmf' }>): MediaEvent {
  const tag = end.party.tag ?? '';
  const others = [...end.call.ends.values()].flatMap(({ party }) => party.tag ?? []).filter((other) => other !== tag);
  const { event: digit, durationMs, volume } = event;
  const sourceAddress = (end.learned ?? end.side.remote?.rtp)?.address ?? '';
  return {
    ...{ type: 'dtmf', callId: end.call.callId, tag, tags: [...new Set(others), tag] },
    ...{ sourceAddress, event: digit, durationMs, volume },
  };
}

/** `alarmMos`: 1.0 to 4.4; 0 for no alarms. `sampled` is told of every sample. `now`: epoch ms. */
export function inspectCall(
  call: CallNotes,
  alarmMos: number,
  now: number,
  sampled: (sample: Sample) => void,
): readonly MediaEvent[] {
  const events: MediaEvent[] = [];
  for (const end of call.ends.values()) {
    const stats = statsOf(end);
    if (!stats) continue;
    if (stats.received.packets > 0) end.quality ??= new StreamQuality();
    const sample = end.quality?.take(stats, now);
    if (!sample) continue;
    sampled(sample);
    const alarm = alarmOf(end, sample, alarmMos);
    if (alarm) events.push(alarm);
  }
  return events;
}

export function timedOut({ callId, dialogues }: Session): MediaEvent {
  return { type: 'media-timeout', callId, tag: '', tags: [...new Set(dialogues.flatMap(tagsOf))] };
}

function tagsOf({ a, b }: Session['dialogues'][number]): readonly string[] {
  return [a.tag, b.tag].filter((tag) => tag !== undefined);
}

function alarmOf(end: EndNotes, sample: Sample, alarmMos: number): MediaEvent | undefined {
  const { mos, lossPercent, jitterMs, roundTripMs } = sample;
  end.bad = mos < alarmMos ? end.bad + 1 : 0;
  const state = !end.alarmed && end.bad >= BAD_SAMPLES ? 'bad' : end.alarmed && mos >= alarmMos + BETTER ? 'good' : '';
  if (state === '') return undefined;
  end.alarmed = state === 'bad';
  return { type: 'quality-alarm', ...aboutOf(end), state, mos, lossPercent, jitterMs, roundTripMs };
}

function aboutOf(end: EndNotes) {
  return { callId: end.call.callId, tag: end.party.tag ?? '', media: end.index + 1 };
}

/** An endpoint may have been closed since by an offer that failed. */
function statsOf(end: EndNotes): EndpointStats | undefined {
  try {
    return end.side.endpoint?.stats();
  } catch {
    return undefined;
  }
}
