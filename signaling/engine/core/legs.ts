import type { AppLink } from '../control/mod.ts';
import type { Message } from '../message/mod.ts';
import { TIMERS } from '../transaction/mod.ts';
import type { Core } from './context.ts';
import type { Leg, Repeated } from './records.ts';

export function openLeg(core: Core, id: string, role: Leg['role'], method: string, app: AppLink): Leg {
  const leg: Leg = {
    id,
    role,
    method,
    app,
    serverInvite: undefined,
    clientInvite: undefined,
    accepted: undefined,
    reliable: undefined,
    lastRSeq: 0,
    answered: undefined,
    serverUpdate: undefined,
    earlyNotifies: [],
    localSdp: undefined,
    session: undefined,
    byeRecorded: false,
    cancelled: false,
  };
  core.legs.set(id, leg);
  return leg;
}

/** The leg is over: its dialogs go, nothing of it is repeated any more. */
export function endLeg(core: Core, leg: Leg): void {
  stopRepeating(core, leg.accepted);
  stopRepeating(core, leg.reliable);
  leg.accepted = undefined;
  leg.reliable = undefined;
  stopSession(core, leg);
  for (const dialog of core.dialogs.forks(leg.id)) core.dialogs.remove(dialog);
  if (core.legs.get(leg.id) === leg) core.legs.delete(leg.id);
}

export function stopSession(core: Core, leg: Leg): void {
  core.layer.timers.cancel(leg.session?.timer);
  leg.session = undefined;
}

/** Notes a session description of ours: a refresh says it again (RFC 4028 §7.4). */
export function keepSdp(leg: Leg, message: Message): void {
  const carries = ['INVITE', 'UPDATE', 'ACK', ''].includes(message.method);
  const type = message.get('content-type') ?? '';
  if (carries && message.body.length > 0 && /^\s*application\/sdp\b/i.test(type)) leg.localSdp = message.body;
}

/** Sends again at T1, doubling up to `capMs`, until stopped; `gaveUp` after 64·T1. */
export function repeat(core: Core, what: Repeated, capMs: number, gaveUp: (now: number) => void): void {
  const again = (now: number): void => {
    if (now >= what.giveUpAt) {
      what.timer = undefined;
      gaveUp(now);
      return;
    }
    // A 2xx is repeated over reliable transports too (§13.3.1.4).
    core.transmit(what.flow, what.bytes);
    what.intervalMs = Math.min(what.intervalMs * 2, capMs);
    what.timer = core.layer.timers.set(Math.min(now + what.intervalMs, what.giveUpAt), again);
  };
  what.timer = core.layer.timers.set(core.now() + what.intervalMs, again);
}

export function stopRepeating(core: Core, what: Repeated | undefined): void {
  if (!what) return;
  core.layer.timers.cancel(what.timer);
  what.timer = undefined;
}

export const GIVE_UP_MS = 64 * TIMERS.T1;
