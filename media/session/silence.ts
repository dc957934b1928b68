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

/** Nothing has been heard at any of its endpoints, of which `idle` has those that are silent, for the time-out. */
export function isDead(session: Session, idle: ReadonlySet<number>, now: number, timeoutMs: number): boolean {
  let open = false;
  for (const { lines } of session.dialogues)
    for (const { a, b } of lines)
      for (const { endpoint } of [a, b]) {
        if (!endpoint) continue;
        if (!idle.has(endpoint.id)) return false;
        open = true;
      }
  if (!open) return now - session.lastSignalAt > timeoutMs;
  // Counted from the last signal too: a call that comes back from hold has been silent for long.
  const patience = whySilent(session) === 'timeout' ? 1 : PATIENCE;
  return now - session.lastSignalAt > timeoutMs * patience;
}
