import type { Session } from './session.ts';

/** A call on hold, or one that still rings, may be silent for so much longer. */
export const PATIENCE = 60;

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
