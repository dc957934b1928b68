import { isIPv6 } from 'node:net';
import type { MediaFlags } from './flags.ts';
import type { RemoteMedia } from './remote-media.ts';

/**
 * `direction` names the interface towards the sender of the offer, then the one towards the other party. The family is
 * the one asked for, else that of the party which speaks now.
 */
export function chooseInterface(
  interfaces: readonly string[],
  flags: Pick<MediaFlags, 'direction' | 'addressFamily'>,
  which: 0 | 1,
  media: RemoteMedia,
): string {
  const [first = 'default'] = interfaces;
  const logical = (name: string) => name.split('/')[0] as string;
  const wanted = flags.direction[which];
  const name = interfaces.some((own) => logical(own) === wanted) ? (wanted as string) : logical(first);
  const theirs = media.rtp && isIPv6(media.rtp.address) ? 'IP6' : 'IP4';
  const family = (which === 1 ? flags.addressFamily : undefined) ?? theirs;
  const exact = family === 'IP6' ? `${name}/IP6` : name;
  return interfaces.includes(exact) ? exact : (interfaces.find((own) => logical(own) === name) ?? first);
}
