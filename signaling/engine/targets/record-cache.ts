import { queryKey, type DnsRecord, type Query } from './records.ts';

/** Seconds. A zone may say 0 or years; both are read as something that can be lived with. */
const TTL = { least: 1, most: 86_400, mostNegative: 300 } as const;
/** How long after its end a record is still better than no answer at all (RFC 8767). */
const STALE_MS = 3_600_000;

interface Entry {
  readonly records: readonly DnsRecord[];
  /** Where the records end. */
  readonly until: number;
  /** When DNS is to be asked again: the same, or earlier should it not have answered. */
  readonly askAt: number;
}

/** Answers of DNS for as long as they say (RFC 1035 §3.2.1, RFC 2308). Bounded: what was used longest ago goes. */
export class RecordCache {
  readonly #entries = new Map<string, Entry>();
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** `undefined`: not known, or not any more. */
  get(query: Query, now: number): readonly DnsRecord[] | undefined {
    const key = queryKey(query);
    const entry = this.#entries.get(key);
    if (!entry || entry.askAt <= now) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.records;
  }

  /** `ttlSeconds`: the least of the records', or what the zone says about names that are not there. */
  put(query: Query, records: readonly DnsRecord[], ttlSeconds: number, now: number): void {
    const most = records.length === 0 ? TTL.mostNegative : TTL.most;
    const until = now + Math.min(Math.max(ttlSeconds, TTL.least), most) * 1000;
    this.#set(queryKey(query), { records, until, askAt: until });
  }

  /** DNS did not answer and is left alone for so many seconds: what was known before holds a little longer. */
  failed(query: Query, seconds: number, now: number): readonly DnsRecord[] {
    const key = queryKey(query);
    const before = this.#entries.get(key);
    const kept = before && before.until + STALE_MS > now ? before : { records: [], until: now };
    this.#set(key, { ...kept, askAt: now + seconds * 1000 });
    return kept.records;
  }

  #set(key: string, entry: Entry): void {
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    if (this.#entries.size <= this.#limit) return;
    const oldest = this.#entries.keys().next().value;
    if (oldest !== undefined) this.#entries.delete(oldest);
  }
}
