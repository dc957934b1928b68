import type { Bencode } from '../../vocabulary/mod.ts';
import type { Dictionary } from './message.ts';
import { COMMANDS, type CommandName } from './spelling.ts';

type Counted = keyof typeof COMMANDS;
const NAMES = Object.keys(COMMANDS) as Counted[];
const MAX_PEERS = 256;
/** What more peers than that have sent is counted together. */
const OTHERS = 'others';
const INTERVAL_SECONDS = 60;

interface Peer {
  readonly counts: Record<string, { count: number; seconds: number }>;
  errors: number;
}

interface Interval {
  count: number;
  inThisSecond: number;
  minRate: number;
  maxRate: number;
  seconds: number;
  minSeconds: number;
  maxSeconds: number;
}

/**
 * How often each control address has asked for what, and how long that took: `controlstatistics`, and of the last full
 * minute `intervalstatistics`.
 */
export class ControlCounters {
  readonly #peers = new Map<string, Peer>();
  readonly #now = new Map<Counted, Interval>(NAMES.map((name) => [name, emptyInterval()]));
  #last: Readonly<Record<string, Bencode>> = intervalReply(this.#now, 0);
  #ticks = 0;

  get peers(): number {
    return this.#peers.size;
  }

  /** `command`: absent when the request could not be read. */
  count(address: string, command: CommandName | undefined, failed: boolean, seconds: number): void {
    const known = this.#peers.has(address) || this.#peers.size < MAX_PEERS ? address : OTHERS;
    let peer = this.#peers.get(known);
    if (!peer) {
      peer = { counts: Object.fromEntries(NAMES.map((name) => [name, { count: 0, seconds: 0 }])), errors: 0 };
      this.#peers.set(known, peer);
    }
    if (failed) peer.errors++;
    const entry = command === undefined ? undefined : peer.counts[command];
    if (!entry) return;
    entry.count++;
    entry.seconds += seconds;
    const interval = this.#now.get(command as Counted) as Interval;
    interval.minSeconds = interval.count === 0 ? seconds : Math.min(interval.minSeconds, seconds);
    interval.maxSeconds = Math.max(interval.maxSeconds, seconds);
    interval.seconds += seconds;
    interval.count++;
    interval.inThisSecond++;
  }

  /** Once a second. @returns whether a minute is full */
  tick(): boolean {
    for (const interval of this.#now.values()) {
      interval.minRate = Math.min(interval.minRate, interval.inThisSecond);
      interval.maxRate = Math.max(interval.maxRate, interval.inThisSecond);
      interval.inThisSecond = 0;
    }
    if (++this.#ticks < INTERVAL_SECONDS) return false;
    this.#last = intervalReply(this.#now, this.#ticks);
    for (const name of NAMES) this.#now.set(name, emptyInterval());
    this.#ticks = 0;
    return true;
  }

  interval(): Dictionary {
    return this.#last;
  }

  control(): Dictionary {
    const proxies = [...this.#peers].map(([proxy, peer]): Bencode => {
      const counts: Record<string, Bencode> = {};
      for (const name of NAMES) {
        counts[`${COMMANDS[name]}count`] = peer.counts[name]?.count ?? 0;
        counts[`${COMMANDS[name]}duration`] = (peer.counts[name]?.seconds ?? 0).toFixed(6);
      }
      return { proxy, ...counts, errorcount: peer.errors };
    });
    const totals: Record<string, Bencode> = {};
    for (const name of NAMES) {
      let total = 0;
      for (const peer of this.#peers.values()) total += peer.counts[name]?.count ?? 0;
      totals[`total${COMMANDS[name]}count`] = total;
    }
    return { proxies, ...totals };
  }
}

function emptyInterval(): Interval {
  return { count: 0, inThisSecond: 0, minRate: Infinity, maxRate: 0, seconds: 0, minSeconds: 0, maxSeconds: 0 };
}

function intervalReply(intervals: ReadonlyMap<Counted, Interval>, ticks: number): Dictionary {
  const reply: Record<string, Bencode> = {};
  for (const [name, { count, seconds, minSeconds, maxSeconds }] of intervals) {
    reply[`min${name}delay`] = minSeconds.toFixed(6);
    reply[`max${name}delay`] = maxSeconds.toFixed(6);
    reply[`avg${name}delay`] = (count === 0 ? 0 : seconds / count).toFixed(6);
  }
  for (const [name, { count, minRate, maxRate }] of intervals) {
    reply[`min${name}requestrate`] = String(Number.isFinite(minRate) ? minRate : 0);
    reply[`max${name}requestrate`] = String(maxRate);
    reply[`avg${name}requestrate`] = String(ticks === 0 ? 0 : Math.round(count / ticks));
  }
  return reply;
}
