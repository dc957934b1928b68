import { SRTP_SUITES, type SrtpKey, type SrtpSuite } from '../dataplane/mod.ts';
import type { SdesFlags } from './flags.ts';
import { randomKey } from './random.ts';
import type { RemoteMedia, SdesLine } from './remote-media.ts';

export function freshKey(suite: SrtpSuite): SrtpKey {
  return { suite, keySalt: randomKey(keySaltLength(suite)) };
}

/** Bytes behind `inline:` (RFC 4568 §6.1). */
export function keySaltLength(suite: SrtpSuite): number {
  return SRTP_SUITES[suite].key + SRTP_SUITES[suite].salt;
}

/**
 * The crypto lines of an offer: first the offerer's own, with its keys, so that packets can pass unopened when one of
 * them is taken; then a fresh key for each suite that is not among them. Keys that this party has been told stay.
 */
export function offeredSdes(
  side: { readonly sdes: readonly SdesLine[] },
  incoming: RemoteMedia | undefined,
  flags: SdesFlags,
): { lines: SdesLine[]; foreign: Set<SrtpKey> } {
  const wanted = (suite: SrtpSuite) => !flags.without.has(suite) && (flags.only.size === 0 || flags.only.has(suite));
  const lines = (incoming?.sdes ?? []).filter(({ key }) => wanted(key.suite));
  const foreign = new Set(lines.map(({ key }) => key));
  const order = Object.keys(SRTP_SUITES) as SrtpSuite[];
  let tag = Math.max(0, ...lines.map((line) => line.tag));
  const fresh = order
    .filter((suite) => wanted(suite) && !lines.some(({ key }) => key.suite === suite))
    .map((suite): SdesLine => {
      const told = side.sdes.find(({ key }) => key.suite === suite);
      return { tag: ++tag, key: told?.key ?? freshKey(suite) };
    });
  return { lines: [...lines, ...fresh], foreign };
}

/** `a=crypto` without its name (RFC 4568 §9.1). */
export function cryptoLine({ tag, key }: SdesLine, flags: SdesFlags | undefined): string {
  const base64 = Buffer.from(key.keySalt).toString('base64');
  const inline = flags?.pad === true ? base64 : base64.replace(/=+$/, '');
  return `${tag} ${key.suite} inline:${inline}${flags?.lifetime === true ? '|2^31' : ''}`;
}
