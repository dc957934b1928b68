import type { Session } from './session.ts';

/** A call on hold, or one that still rings, may be silent for so much longer. */
const PATIENCE = 60;

/** Why a sweep ends something: asked for; silent; silent on hold; never answered. */
export type Ending = 'deleted' | 'timeout' | 'silent-timeout' | 'offer-timeout';

/** Whether it is no wonder that a call is silent. */
export function whySilent({ dialogues }: Session): Exclude<Ending, 'deleted'> {
  const talks = dialogues.filter(({ published }) => !published);
  // Who only publishes has no reason to be silent.
  if (talks.length === 0) return 'timeout';
  const lines = talks.flatMap((dialogue) => dialogue.lines);
  if (!lines.some(({ a, b }) => a.remote && b.remote)) return 'offer-timeout';
  const open = lines.flatMap(({ a, b }) => [a, b]).filter(({ endpoint }) => endpoint !== undefined);
  const held = open.some(({ remote }) => remote !== undefined && remote.direction !== 'sendrecv');
  return held ? 'silent-timeout' : 'timeout';
}

/** Nobody is heard any more. `idle`: endpoints that have been silent for the time-out; times are ms. */
export function isDead(session: Session, idle: ReadonlySet<number>, now: number, timeoutMs: number): boolean {
  const sides = session.dialogues.flatMap(({ lines }) => lines.flatMap(({ a, b }) => [a, b]));
  const open = sides.filter((side) => side.endpoint !== undefined);
  if (open.length === 0) return now - session.lastSignalAt > timeoutMs;
  if (!open.every((side) => idle.has(side.endpoint?.id ?? -1))) return false;
  // Counted from the last signal too: a call that comes back from hold has been silent for long.
  const patience = whySilent(session) === 'timeout' ? 1 : PATIENCE;
  return now - session.lastSignalAt > timeoutMs * patience;
}
