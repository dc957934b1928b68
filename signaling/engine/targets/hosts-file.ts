import { isIP } from 'node:net';
import type { AddressRecord, Query } from './records.ts';

export type Hosts = ReadonlyMap<string, readonly AddressRecord[]>;

/** `/etc/hosts`: an address and its names a line; it comes before DNS. */
export function parseHosts(text: string): Hosts {
  const hosts = new Map<string, AddressRecord[]>();
  for (const line of text.split('\n')) {
    const [address = '', ...names] = (line.split('#')[0] as string).trim().split(/\s+/);
    const version = isIP(address);
    if (version === 0) continue;
    for (const name of names) {
      const record: AddressRecord = { type: version === 6 ? 'AAAA' : 'A', address };
      const known = hosts.get(name.toLowerCase());
      if (known) known.push(record);
      else hosts.set(name.toLowerCase(), [record]);
    }
  }
  return hosts;
}

/** `undefined`: DNS is to be asked. What the file names is there and nowhere else: it has no other family, and no services. */
export function fromHosts(hosts: Hosts, query: Query): readonly AddressRecord[] | undefined {
  const known = hosts.get(query.name.replace(/^(?:_[^.]+\.)+/, ''));
  return known?.filter(({ type }) => type === query.type);
}
