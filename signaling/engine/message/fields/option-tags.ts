import { parseTokens } from '../headers.ts';
import type { SipMessage } from '../sip-message.ts';

/** The option tags (RFC 3261 §19.2) of all lines of a header, in lower case. */
export function optionTags(
  message: Pick<SipMessage, 'getAll'>,
  header: 'supported' | 'require' | 'proxy-require',
): Set<string> {
  return new Set(parseTokens(message.getAll(header)).map((tag) => tag.toLowerCase()));
}

/** What is required is supported too (RFC 3262 §3). */
export function supports(message: Pick<SipMessage, 'getAll'>, tag: string): boolean {
  return optionTags(message, 'supported').has(tag) || optionTags(message, 'require').has(tag);
}

export function requires(message: Pick<SipMessage, 'getAll'>, tag: string): boolean {
  return optionTags(message, 'require').has(tag);
}

/** What of the required is missing among `able`: for Unsupported in a 420 (RFC 3261 §8.2.2.3). */
export function unsupportedOf(
  message: Pick<SipMessage, 'getAll'>,
  header: 'require' | 'proxy-require',
  able: ReadonlySet<string>,
): string[] {
  return [...optionTags(message, header)].filter((tag) => !able.has(tag));
}
