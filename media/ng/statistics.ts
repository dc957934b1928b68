import type { Bencode } from '../../vocabulary/mod.ts';
import type { Dialect } from '../session/mod.ts';
import type { DataplaneTotals } from '../dataplane/mod.ts';
import { ControlCounters } from './control-counters.ts';
import type { Description } from './describe.ts';
import type { Dictionary } from './message.ts';

export type Ending = 'regular' | 'timeout' | 'silent-timeout' | 'offer-timeout' | 'forced';

export interface InterfacePorts {
  readonly name: string;
  readonly address: string;
  readonly min: number;
  readonly max: number;
}

interface Rates {
  readonly packets: number;
  readonly bytes: number;
  readonly errors: number;
}

/** Counters of the node in the shape of ng's `statistics`. Times are ms of the monotonic clock. */
export class NgStatistics {
  readonly control = new ControlCounters();
  readonly #startedAt: number;
  readonly #endings: Record<Ending, number> = {
    regular: 0,
    timeout: 0,
    'silent-timeout': 0,
    'offer-timeout': 0,
    forced: 0,
  };
  readonly #calls = { managed: 0, rejected: 0, seconds: 0, squares: 0, zeroWay: 0, oneWay: 0 };
  readonly #mos = { sum: 0, squares: 0, samples: 0 };
  #before: Rates = { packets: 0, bytes: 0, errors: 0 };
  #rates: Rates = { packets: 0, bytes: 0, errors: 0 };
  #minute = { least: 0, most: 0, seconds: 0 };
  #lastMinute = { least: 0, most: 0, seconds: 0 };

  readonly #dialect: Dialect;

  constructor(startedAt: number, dialect: Dialect = '10.5') {
    this.#startedAt = startedAt;
    this.#dialect = dialect;
  }

  rejected(): void {
    this.#calls.rejected++;
  }

  /** A call has ended. `about`: its last description, where there is one. */
  ended(ending: Ending, seconds: number, about?: Pick<Description, 'zeroWay' | 'oneWay'>): void {
    this.#endings[ending]++;
    this.#calls.managed++;
    this.#calls.seconds += seconds;
    this.#calls.squares += seconds * seconds;
    this.#calls.zeroWay += about?.zeroWay ?? 0;
    this.#calls.oneWay += about?.oneWay ?? 0;
    this.#minute.seconds += seconds;
  }

  sampled(mos: number): void {
    this.#mos.sum += mos;
    this.#mos.squares += mos * mos;
    this.#mos.samples++;
  }

  /** Once a second. */
  tick(totals: DataplaneTotals, sessions: number): void {
    const after = ratesOf(totals);
    this.#rates = {
      packets: after.packets - this.#before.packets,
      bytes: after.bytes - this.#before.bytes,
      errors: after.errors - this.#before.errors,
    };
    this.#before = after;
    this.#minute.least = Math.min(this.#minute.least, sessions);
    this.#minute.most = Math.max(this.#minute.most, sessions);
    if (!this.control.tick()) return;
    this.#lastMinute = this.#minute;
    this.#minute = { least: sessions, most: sessions, seconds: 0 };
  }

  reply(totals: DataplaneTotals, sessions: number, interfaces: readonly InterfacePorts[], now: number): Dictionary {
    const relayed = ratesOf(totals);
    const { packets, bytes, errors } = this.#rates;
    const { managed, rejected, seconds, squares, zeroWay, oneWay } = this.#calls;
    return {
      currentstatistics: {
        sessionsown: sessions,
        sessionsforeign: 0,
        sessionstotal: sessions,
        transcodedmedia: totals.transcoders,
        ...(this.#dialect === '26' ? { mediacache: 0, playercache: 0 } : {}),
        packetrate_user: packets,
        byterate_user: bytes,
        errorrate_user: errors,
        packetrate_kernel: 0,
        byterate_kernel: 0,
        errorrate_kernel: 0,
        packetrate: packets,
        byterate: bytes,
        errorrate: errors,
        media_userspace: totals.paths,
        media_kernel: 0,
        media_mixed: 0,
      },
      totalstatistics: {
        uptime: String(Math.floor((now - this.#startedAt) / 1000)),
        managedsessions: managed,
        rejectedsessions: rejected,
        timeoutsessions: this.#endings.timeout,
        silenttimeoutsessions: this.#endings['silent-timeout'],
        finaltimeoutsessions: 0,
        offertimeoutsessions: this.#endings['offer-timeout'],
        regularterminatedsessions: this.#endings.regular,
        forcedterminatedsessions: this.#endings.forced,
        relayedpackets_user: relayed.packets,
        relayedpacketerrors_user: relayed.errors,
        relayedbytes_user: relayed.bytes,
        relayedpackets_kernel: 0,
        relayedpacketerrors_kernel: 0,
        relayedbytes_kernel: 0,
        relayedpackets: relayed.packets,
        relayedpacketerrors: relayed.errors,
        relayedbytes: relayed.bytes,
        zerowaystreams: zeroWay,
        onewaystreams: oneWay,
        avgcallduration: (managed === 0 ? 0 : seconds / managed).toFixed(6),
        totalcallsduration: seconds.toFixed(6),
        totalcallsduration2: squares.toFixed(6),
        totalcallsduration_stddev: deviation(seconds, squares, managed).toFixed(6),
      },
      intervalstatistics: {
        totalcallsduration: this.#lastMinute.seconds.toFixed(6),
        minmanagedsessions: this.#lastMinute.least,
        maxmanagedsessions: this.#lastMinute.most,
        ...this.control.interval(),
      },
      mos: this.#mosReply(),
      controlstatistics: this.control.control(),
      interfaces: interfaces.map((one) => portsOf(one, totals, interfaces.length === 1)),
      transcoders: [],
    };
  }

  #mosReply(): Bencode {
    const { sum, squares, samples } = this.#mos;
    return {
      mos_total: sum.toFixed(6),
      mos2_total: squares.toFixed(6),
      mos_samples_total: samples,
      mos_average: (samples === 0 ? 0 : sum / samples).toFixed(6),
      mos_stddev: deviation(sum, squares, samples).toFixed(6),
    };
  }
}

function ratesOf(totals: DataplaneTotals): Rates {
  return {
    packets: totals.packetsSent,
    bytes: totals.bytesSent,
    errors: Object.values(totals.dropped).reduce((sum, count) => sum + count, 0),
  };
}

function deviation(sum: number, squares: number, count: number): number {
  return count === 0 ? 0 : Math.sqrt(Math.max(0, squares / count - (sum / count) ** 2));
}

/** A port that is in use on one interface is used on none of the others, so that all have the same number to give. */
function portsOf({ name, address, min, max }: InterfacePorts, totals: DataplaneTotals, alone: boolean): Bencode {
  const { portsInUse, portsTotal, portsByInterface } = totals;
  const used = alone ? portsInUse : (portsByInterface?.[name] ?? 0);
  const percent = portsTotal === 0 ? 0 : (used / portsTotal) * 100;
  const ports = { min, max, used, used_pct: percent.toFixed(2), free: portsTotal - portsInUse, totals: portsTotal };
  return { name, address, ports };
}
