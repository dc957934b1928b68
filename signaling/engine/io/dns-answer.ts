import { decode, type Answer, type DecodedPacket } from 'dns-packet';
import type { DnsRecord, Query } from '../targets/mod.ts';

/** What one server has said. `ttlSeconds` of an empty answer is that of RFC 2308 §5. */
export type DnsAnswer =
  | { readonly type: 'records'; readonly records: readonly DnsRecord[]; readonly ttlSeconds: number }
  | { readonly type: 'failed'; readonly why: string };

const NO_ERROR = 0;
const NO_SUCH_NAME = 3;
const MAX_ALIASES = 8;
/** Seconds, where a zone does not say it. */
const NEGATIVE_TTL = 30;

/** The answer to our question; `undefined` when it is something else, or nothing that can be read. */
export function answerTo(bytes: Buffer, id: number, query: Query): DecodedPacket | undefined {
  try {
    const packet = decode(bytes);
    const [question] = packet.questions ?? [];
    const ours = packet.type === 'response' && packet.id === id && question?.type === query.type;
    return ours && plainName(question.name) === query.name ? packet : undefined;
  } catch {
    return undefined;
  }
}

/** The records for the query, aliases followed (RFC 1034 §3.6.2). */
export function readAnswer(packet: DecodedPacket, query: Query): DnsAnswer {
  const code = (packet.flags ?? 0) & 0x0f;
  if (code !== NO_ERROR && code !== NO_SUCH_NAME)
    return { type: 'failed', why: `the server answered with code ${code}` };
  const answers = packet.answers ?? [];
  let name = query.name;
  let ttlSeconds = Infinity;
  for (let i = 0; i < MAX_ALIASES; i++) {
    const alias = answers.find((answer) => answer.type === 'CNAME' && sameName(answer.name, name));
    if (alias?.type !== 'CNAME') break;
    name = plainName(alias.data);
    ttlSeconds = Math.min(ttlSeconds, alias.ttl ?? 0);
  }
  const records: DnsRecord[] = [];
  for (const answer of answers) {
    if (answer.type !== query.type || !sameName(answer.name, name)) continue;
    const record = recordOf(answer);
    if (!record) continue;
    records.push(record);
    ttlSeconds = Math.min(ttlSeconds, 'ttl' in answer ? (answer.ttl ?? 0) : 0);
  }
  if (records.length > 0) return { type: 'records', records, ttlSeconds };
  const soa = packet.authorities?.find((answer) => answer.type === 'SOA');
  const negative =
    soa?.type === 'SOA' ? Math.min(soa.ttl ?? NEGATIVE_TTL, soa.data.minimum ?? NEGATIVE_TTL) : NEGATIVE_TTL;
  return { type: 'records', records, ttlSeconds: negative };
}

function recordOf(answer: Answer): DnsRecord | undefined {
  switch (answer.type) {
    case 'A':
    case 'AAAA':
      return { type: answer.type, address: answer.data };
    case 'SRV': {
      const { priority = 0, weight = 0, port, target } = answer.data;
      return { type: 'SRV', priority, weight, port, target: plainName(target) };
    }
    case 'NAPTR': {
      const { order, preference, flags, services, regexp, replacement } = answer.data;
      return {
        type: 'NAPTR',
        ...{ order, preference, regexp: String(regexp) },
        ...{ flags: String(flags), service: String(services), replacement: plainName(replacement) },
      };
    }
    default:
      return undefined;
  }
}

/** Lower case, without the last dot; the root is empty. */
export function plainName(name: string): string {
  return name.toLowerCase().replace(/\.$/, '');
}

function sameName(a: string, b: string): boolean {
  return plainName(a) === b;
}
