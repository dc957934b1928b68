import { randomBytes } from 'node:crypto';
import type { MediaFlags } from './flags.ts';
import { added, type SdpText } from './sdp-text.ts';
import type { Heading } from './session.ts';

/** Longer ones are not kept. */
const MAX_HEADING = 256;

/** Copies that do not hold on to the text which they are cut from. */
export function headingOf(text: SdpText): Heading | undefined {
  const value = (start: string) => text.session.find((line) => line.text.startsWith(start))?.text.slice(2) ?? '-';
  const heading = { origin: value('o='), name: value('s=') };
  if (heading.origin.length + heading.name.length > MAX_HEADING) return undefined;
  return { origin: Buffer.from(heading.origin).toString(), name: Buffer.from(heading.name).toString() };
}

/** For what nobody has said before (RFC 8866 §5.2). */
export function newHeading(): Heading {
  const id = randomBytes(8).readBigUInt64BE() >> 1n;
  return { origin: `- ${id} ${id} IN IP4 0.0.0.0`, name: 'causeway' };
}

/** The address in o= and the direction are ours to say. */
export function ofOurs(flags: MediaFlags): MediaFlags {
  const said = new Set(flags.flags);
  said.delete('original-sendrecv');
  return { ...flags, flags: said, replace: new Set([...flags.replace, 'origin']) };
}

/**
 * A text for `compose` to work on: media parts without formats and addresses. `shared`: one c= line for all, as in the
 * text of a party whose heading it has; else the lines have their own.
 */
export function plainText(
  heading: Heading,
  media: readonly { readonly kind: string; readonly attributes: readonly string[] }[],
  shared: boolean,
): SdpText {
  const nowhere = added('c=IN IP4 0.0.0.0');
  return {
    session: [
      ...['v=0', `o=${heading.origin}`, `s=${heading.name}`].map((line) => added(line)),
      ...(shared ? [nowhere] : []),
      added('t=0 0'),
    ],
    media: media.map(({ kind, attributes }) => [
      added(`m=${kind} 0 RTP/AVP 0`),
      ...(shared ? [] : [nowhere]),
      ...attributes.map((line) => added(`a=${line}`)),
    ]),
  };
}
