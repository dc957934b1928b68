import type { PathGate } from '../dataplane/mod.ts';

/** What is held back of a party's media, or of everybody's: ng's block and silence commands. */
export interface Gates {
  blocked: boolean;
  silenced: boolean;
  dtmfBlocked: boolean;
  /** Nothing of it passes: ng's `drop-traffic`. */
  dropped: boolean;
}

export function openGates(): Gates {
  return { blocked: false, silenced: false, dtmfBlocked: false, dropped: false };
}

/**
 * What the packet path is told about a sender. `events`: its telephone-event formats. `passing`: its SRTP goes through
 * unopened, so that its payload cannot be replaced and its digits cannot be read: silence is then nothing at all.
 */
export function gateOf(
  all: readonly Gates[],
  events: readonly { readonly pt: number; readonly clockRate: number }[],
  passing: boolean,
): PathGate {
  const dropped = all.some((gates) => gates.dropped);
  const blocked = dropped || all.some((gates) => gates.blocked) || (passing && all.some((gates) => gates.silenced));
  const silent = all.some((gates) => gates.silenced);
  return {
    ...(blocked ? { gate: 'blocked' } : silent ? { gate: 'silent' } : {}),
    ...(events.length > 0
      ? { events: { formats: events, detect: !passing, block: dropped || all.some((gates) => gates.dtmfBlocked) } }
      : {}),
  };
}
