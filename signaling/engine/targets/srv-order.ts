import type { SrvRecord } from './records.ts';

/**
 * The order in which servers are tried (RFC 2782): by priority; within one, drawn by weight without putting back,
 * so that the first place is theirs in proportion and failover still knows the others.
 * `random` gives numbers from 0 up to, not with, 1.
 */
export function srvOrder(records: readonly SrvRecord[], random: () => number): SrvRecord[] {
  const order: SrvRecord[] = [];
  const priorities = [...new Set(records.map(({ priority }) => priority))].sort((a, b) => a - b);
  for (const priority of priorities) {
    // Those without weight stand first, so that a draw of exactly zero can be theirs.
    const left = records.filter((record) => record.priority === priority).sort((a, b) => a.weight - b.weight);
    while (left.length > 0) order.push(draw(left, random));
  }
  return order;
}

function draw(left: SrvRecord[], random: () => number): SrvRecord {
  const sum = left.reduce((total, { weight }) => total + weight, 0);
  // With no weights at all every one has the same chance.
  let at = sum === 0 ? Math.floor(random() * left.length) : -1;
  if (at < 0) {
    const wanted = Math.floor(random() * (sum + 1));
    let running = 0;
    at = left.findIndex(({ weight }) => (running += weight) >= wanted);
  }
  return left.splice(Math.max(0, at), 1)[0] as SrvRecord;
}
