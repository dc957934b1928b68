import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

/** One machine of the suite's own compose file. */
export interface Host {
  readonly name: string;
  readonly address: string;
  /** SIPp's scenario, when it is a SIPp. */
  readonly scenario: string | undefined;
}

/** A SIPp that a test starts by itself, under a name that calls are sent to. */
const STARTED_BY_TESTS: readonly Host[] = [
  { name: 'sipp-uas-b-teardown', address: '172.29.0.30', scenario: undefined },
];

export const NETWORK = '172.29.0.0/24';
/** Callers get these, one after another. */
export const CALLERS = { prefix: '172.29.0.', first: 100, last: 249 } as const;

interface Service {
  readonly command?: string;
  readonly networks?: { readonly testbed?: { readonly ipv4_address?: string } };
}

/** Everything that the suite expects on its network, read from the file that would start its containers. */
export function topology(suite: string): readonly Host[] {
  const file = readFileSync(join(suite, 'test/docker-compose-testbed.yaml'), 'utf8');
  const { services } = parse(file) as { readonly services: Readonly<Record<string, Service>> };
  const hosts = Object.entries(services).map(([name, { command, networks }]): Host => {
    const scenario = /-sf \/tmp\/(\S+)/.exec(command ?? '')?.[1];
    return { name, address: networks?.testbed?.ipv4_address ?? '', scenario };
  });
  return [...hosts.filter(({ address }) => address !== ''), ...STARTED_BY_TESTS];
}
