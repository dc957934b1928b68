/** What is asked of DNS. Names are lower case, without the last dot. */
export interface Query {
  readonly type: 'NAPTR' | 'SRV' | 'A' | 'AAAA';
  readonly name: string;
}

/** RFC 3403 §4.1. */
export interface NaptrRecord {
  readonly type: 'NAPTR';
  readonly order: number;
  readonly preference: number;
  readonly flags: string;
  readonly service: string;
  readonly regexp: string;
  readonly replacement: string;
}

/** RFC 2782. `target` is empty where the domain says that there is no such service. */
export interface SrvRecord {
  readonly type: 'SRV';
  readonly priority: number;
  readonly weight: number;
  readonly port: number;
  readonly target: string;
}

export interface AddressRecord {
  readonly type: 'A' | 'AAAA';
  readonly address: string;
}

export type DnsRecord = NaptrRecord | SrvRecord | AddressRecord;

export function queryKey({ type, name }: Query): string {
  return `${type} ${name}`;
}
