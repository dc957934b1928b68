import type { Binding, Source } from './binding.ts';
import { PROFILES } from './profiles.ts';

export interface Move {
  /** From the beginning of the drain. */
  readonly afterMs: number;
  readonly source: Source;
}

/** Connections a second that are ended when there is time enough. */
const PER_SECOND = 100;
const CLOSED = new Set(PROFILES.filter(({ move }) => move === 'close').map(({ name }) => name));

/**
 * When whose connection is ended so that it goes to another node: clients that come back at once, and all after the
 * same time, must not come back together. Evenly over as long as it takes, at most over `overMs`. Who is in a call stays.
 */
export function moves(bindings: Iterable<Binding>, busy: (source: Source) => boolean, overMs: number): readonly Move[] {
  const connections = new Map<string, Source>();
  for (const { source, profile, asleep } of bindings) {
    if (source.protocol === 'udp' || asleep === true || profile === undefined || !CLOSED.has(profile)) continue;
    if (!busy(source)) connections.set(`${source.protocol} ${source.address} ${source.port}`, source);
  }
  const order = [...connections.values()];
  const span = Math.min(overMs, (order.length * 1000) / PER_SECOND);
  return order.map((source, index) => ({ source, afterMs: Math.floor((index / order.length) * span) }));
}
