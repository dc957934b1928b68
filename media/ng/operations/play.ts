import { eventFor, isSpeech } from '../../../codecs/mod.ts';
import { bytesOf } from '../../../vocabulary/mod.ts';
import { DataplaneError, type Clip, type Dataplane } from '../../dataplane/mod.ts';
import type { Session, SessionManager, Side } from '../../session/mod.ts';
import { NgError, REASONS } from '../errors.ts';
import type { MediaEvent } from '../events/event.ts';
import type { OperationRequest, Operations } from '../media-commands.ts';
import type { Dictionary } from '../message.ts';
import type { SelectedParty } from '../parties.ts';
import { integer, optional, wordsOf } from '../request.ts';
import { keyTone } from './tone.ts';
import { readWav } from './wav.ts';

export interface PlayParts {
  readonly manager: Pick<SessionManager, 'get' | 'insertable' | 'dialect'>;
  readonly dataplane: Pick<Dataplane, 'clip' | 'play' | 'stopPlaying' | 'press'>;
  /** @throws Error in words */
  readonly readSound: (path: string) => Promise<Clip>;
  readonly publish: (event: MediaEvent) => void;
}

const MAX_TIMES = 1_000_000;
const DAY_MS = 86_400_000;

/** A party that hears, at one of our ends. */
interface Listener {
  readonly party: SelectedParty;
  /** Our end towards it. */
  readonly side: Side;
}

/** Announcements, whispers and keys. */
export function playOperations({ manager, dataplane, readSound, publish }: PlayParts): Operations {
  let lastId = 0;

  const ended = (request: OperationRequest, { party, side }: Listener, reason: 'stopped'): void => {
    side.playing = undefined;
    publish({ type: 'playback-ended', callId: request.callId, tag: party.tag ?? '', reason });
  };

  async function playMedia(request: OperationRequest): Promise<Dictionary> {
    const { message, callId } = request;
    const { clip, source } = await soundOf(message);
    // It may have ended while the file was read.
    const session = sessionOf(request);
    if (manager.get(callId) !== session) throw new NgError(REASONS.unknownCallOfParty, 'unknown-call');
    const listeners = listenersOf(request, 'hears');
    const options = {
      times: within(integer(message['repeat-times']), 1, MAX_TIMES, 1),
      limitMs: within(integer(message['repeat-duration']), 0, DAY_MS, 0),
      startMs: within(integer(message['start-pos']), 0, DAY_MS, 0),
      mutePeer: wordsOf(message['flags']).has('block-egress'),
    };
    manager.insertable(
      session,
      listeners.map(({ side }) => side),
    );
    let heard = 0;
    let why: unknown;
    for (const listener of listeners) {
      const { side } = listener;
      if (!side.endpoint) continue;
      const before = side.playing;
      try {
        dataplane.play(side.endpoint, clip, { id: ++lastId, ...options });
      } catch (error) {
        if (!(error instanceof DataplaneError)) throw error;
        why = error;
        continue;
      }
      heard++;
      if (before !== undefined) ended(request, listener, 'stopped');
      side.playing = lastId;
    }
    if (heard === 0) throw new NgError(`${REASONS.notPlayed} ${source}`, 'bad-request', { cause: why });
    return { duration: Math.round(clip.durationMs) };
  }

  async function soundOf(message: Dictionary): Promise<{ clip: Clip; source: string }> {
    const path = optional(message, 'file');
    const blob = message['blob'];
    const blob64 = message['blob64'];
    const source = path !== undefined ? 'file' : blob !== undefined || blob64 !== undefined ? 'blob' : 'database';
    try {
      if (path !== undefined) return { clip: await readSound(path), source };
      const bytes =
        typeof blob === 'string'
          ? bytesOf(blob)
          : typeof blob64 === 'string'
            ? Buffer.from(blob64, 'base64')
            : undefined;
      const sound = bytes && readWav(bytes);
      if (!sound) throw new Error('it is no WAV file of 16-bit PCM or G.711');
      return { clip: dataplane.clip(sound.samples, sound.rate), source };
    } catch (error) {
      throw new NgError(`${REASONS.notPlayed} ${source}`, 'bad-request', { cause: error });
    }
  }

  function stopMedia(request: OperationRequest): Dictionary {
    const { message } = request;
    let position: number | undefined;
    for (const listener of listenersOf(request, 'hears')) {
      const { side } = listener;
      if (side.playing === undefined || !side.endpoint) continue;
      const stopped = dataplane.stopPlaying(side.endpoint);
      // Else it has ended by itself, and that is being told.
      if (stopped === undefined) continue;
      position ??= stopped.positionMs;
      ended(request, listener, 'stopped');
    }
    const asked = manager.dialect === '26' || message['last-frame-pos'] !== undefined;
    return asked && position !== undefined ? { 'last-frame-pos': position } : {};
  }

  function playDtmf(request: OperationRequest): Dictionary {
    const { message, code = 0 } = request;
    const durationMs = within(integer(message['duration']), 100, 5000, 250);
    const pauseMs = within(integer(message['pause']), 100, 5000, 100);
    const volume = Math.min(63, Math.abs(integer(message['volume']) ?? 8));
    const listeners = listenersOf(request, 'speaks');
    manager.insertable(
      sessionOf(request),
      listeners.map(({ side }) => side),
    );
    let pressed = 0;
    let why: unknown;
    for (const { side } of listeners) {
      if (!side.endpoint) continue;
      const speech = side.codecs.find(isSpeech);
      const event = speech && eventFor(side.codecs, speech);
      try {
        if (event) {
          const { pt, clockRate } = event;
          dataplane.press(side.endpoint, { event: code, volume, durationMs, pauseMs, pt, clockRate });
        } else {
          const { samples, rate } = keyTone(code, volume, durationMs, pauseMs);
          dataplane.play(side.endpoint, dataplane.clip(samples, rate), { id: ++lastId, mutePeer: true, behind: true });
        }
        pressed++;
      } catch (error) {
        if (!(error instanceof DataplaneError)) throw error;
        why = error;
      }
    }
    if (pressed === 0) throw new NgError(REASONS.notPressed, 'bad-request', { cause: why });
    return {};
  }

  return { 'play media': playMedia, 'stop media': stopMedia, 'play DTMF': playDtmf };
}

function sessionOf({ session }: OperationRequest): Session {
  if (!session) throw new NgError(REASONS.unknownCallOfParty, 'unknown-call');
  return session;
}

/**
 * The ends at which something is to be heard: by the parties that are named, or by those who hear them. A party that
 * several have answered is played to in one of those streams, lest it hears all of it twice.
 */
function listenersOf({ parties }: OperationRequest, role: 'hears' | 'speaks'): readonly Listener[] {
  const found = new Map<string, Listener>();
  for (const party of parties) {
    const { dialogue, which } = party;
    const hearing = role === 'hears' ? which : which === 'a' ? 'b' : 'a';
    for (const line of dialogue.lines) {
      const side = line[hearing];
      // Into what passes encrypted nothing can be put.
      if (side.remote?.kind !== 'audio' || !line.agreed || line.agreed.passing) continue;
      // A later branch takes the place of an earlier one.
      const name = dialogue[hearing].tag ?? dialogue.viaBranch ?? '';
      found.set(`${name} ${line.index}`, { party, side });
    }
  }
  return [...found.values()];
}

function within(value: number | undefined, low: number, high: number, other: number): number {
  return value === undefined ? other : Math.min(high, Math.max(low, value));
}
