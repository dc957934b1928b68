import type { Message } from '../message/mod.ts';

/** Within the 4xx these are worth more: they tell how a request could succeed (RFC 3261 §16.7 step 6). */
const HELPFUL = [401, 407, 415, 420, 484];
/** These say nothing about the target itself. */
const POOR = [487, 408];

/**
 * The final answer that goes back when no target has accepted (§16.7 steps 6 and 7): a 6xx before all, else the lowest
 * class. 503 is for the next hop only, the caller gets 500. Challenges of all targets go together in one answer.
 * Undefined when nobody has answered: that is a 408.
 */
export function chooseBest(finals: readonly Message[]): Message | undefined {
  let best: Message | undefined;
  for (const final of finals) if (!best || rank(final.status) < rank(best.status)) best = final;
  if (!best) return undefined;
  const answer = best.clone();
  if (answer.status === 503) {
    answer.status = 500;
    answer.reason = 'Server Internal Error';
    answer.remove('retry-after');
  }
  if (answer.status === 401 || answer.status === 407) {
    for (const other of finals) {
      if (other === best || (other.status !== 401 && other.status !== 407)) continue;
      for (const name of ['WWW-Authenticate', 'Proxy-Authenticate'])
        for (const value of other.getAll(name)) answer.append(name, value);
    }
  }
  return answer;
}

/** The lower the better. */
function rank(status: number): number {
  if (status >= 600) return 0;
  const within = HELPFUL.includes(status) ? 0 : POOR.includes(status) ? 2 : 1;
  return Math.floor(status / 100) * 10 + within;
}
