import { frameOfEvent, type EventFrame, type EventName, type MediaEvent } from './event.ts';

/** Where events go. It queues, bounds and drops by itself, and never throws. */
export interface EventSink {
  take(frame: EventFrame, event: MediaEvent, now: number): void;
}

/** One in, many out. Frames are made once, and only when somebody wants them. */
export class EventHub {
  readonly #sinks = new Map<EventSink, ReadonlySet<EventName> | undefined>();
  /** How many of each kind there were. */
  readonly counts = new Map<MediaEvent['type'], number>();

  get sinks(): number {
    return this.#sinks.size;
  }

  /** `names`: absent for all events. A sink that is there already wants these from now on. */
  add(sink: EventSink, names?: ReadonlySet<EventName>): void {
    this.#sinks.set(sink, names);
  }

  remove(sink: EventSink): void {
    this.#sinks.delete(sink);
  }

  /** `now`: epoch ms. */
  publish(event: MediaEvent, now: number): void {
    this.counts.set(event.type, (this.counts.get(event.type) ?? 0) + 1);
    if (this.#sinks.size === 0) return;
    const frame = frameOfEvent(event, now);
    for (const [sink, names] of this.#sinks) if (!names || names.has(frame.notify)) sink.take(frame, event, now);
  }
}
