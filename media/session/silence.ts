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

/**
 * Whether nobody has been heard for long enough. `idle`: the endpoints at which nobody was, for the time-out; `signalled`:
 * how many time-outs ago signaling had its last word, for a call that comes back from hold has been silent for long.
 */
export function isDead(session: Session, idle: ReadonlySet<number>, signalled: number): boolean {
  const sides = session.dialogues.flatMap(({ lines }) => lines.flatMap(({ a, b }) => [a, b]));
  const open = sides.flatMap(({ endpoint }) => endpoint ?? []);
  if (open.length === 0) return signalled > 1;
  if (!open.every(({ id }) => idle.has(id))) return false;
  return signalled > (whySilent(session) === 'timeout' ? 1 : PATIENCE);
}
