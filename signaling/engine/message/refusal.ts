import { parseNameAddr, tagOf } from './address.ts';
import { parseMaxForwards, parseTokens } from './headers.ts';
import type { SipHeader, SipMessage } from './sip-message.ts';
import { isKnownMethod } from './validate.ts';

/** Why a request goes no further, as the answer to it. */
export interface Refusal {
  readonly status: number;
  readonly reason?: string;
  readonly headers: readonly SipHeader[];
}

export const ALLOW =
  'INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, MESSAGE, NOTIFY, REFER, REGISTER, SUBSCRIBE, PUBLISH, UPDATE, PRACK';

/**
 * Option tags that have an RFC (IANA's registry). Which of them are supported is for the application to say; one that
 * nobody has heard of is supported by no application either.
 */
export const OPTION_TAGS: ReadonlySet<string> = new Set(
  (
    '100rel 199 answermode early-session eventlist explicitsub from-change geolocation-http geolocation-sip gin gruu ' +
    'histinfo ice join multiple-refer norefersub nosub outbound path policy precondition pref privacy ' +
    'recipient-list-invite recipient-list-message recipient-list-subscribe record-aware replaces resource-priority ' +
    'sdp-anat sec-agree siprec tdialog timer trickle-ice uui'
  ).split(' '),
);

/** `urn` is for emergency services (RFC 5031), `tel` for numbers (RFC 3966). */
const SCHEME = /^(?:sips?|tel|urn):/i;

/**
 * What a server says before it looks at who asks: unknown methods (RFC 3261 §8.2.1), foreign schemes (§8.2.2.1), no
 * hops left (§16.3), extensions that must be understood and are not (§8.2.2.3). Not for ACK and CANCEL, which are
 * never refused so. `undefined`: nothing is wrong.
 */
export function refusalOf(request: SipMessage): Refusal | undefined {
  const { method, uri } = request;
  if (!isKnownMethod(method)) return { status: 501, headers: [{ name: 'Allow', value: ALLOW }] };
  if (!SCHEME.test(uri)) return { status: 416, headers: [] };
  const outside = tagOf(request.get('to')) === undefined;
  if (outside && parseMaxForwards(request.get('max-forwards')) === 0) return { status: 483, headers: [] };
  const unsupported = unsupportedTags(request);
  if (unsupported.length > 0) return { status: 420, headers: [{ name: 'Unsupported', value: unsupported.join(', ') }] };
  if (method === 'REGISTER' && !/^sips?:/i.test(parseNameAddr(request.get('to') ?? '')?.uri ?? ''))
    return { status: 400, reason: 'To Is Not A SIP URI', headers: [] };
  return undefined;
}

/** The tags of Require and Proxy-Require that have no RFC: this engine stands for both kinds of server. */
function unsupportedTags(request: SipMessage): string[] {
  const required = request.get('require') ?? request.get('proxy-require');
  if (required === undefined) return [];
  const tags = parseTokens([...request.getAll('require'), ...request.getAll('proxy-require')]);
  return [...new Set(tags.filter((tag) => !OPTION_TAGS.has(tag.toLowerCase())))].slice(0, 32);
}

/**
 * True when an answer may carry a session description: what an application that has nothing else to say asks before it
 * accepts an INVITE, or refuses it with 406 (RFC 4475 §3.3.15). Without Accept, SDP is meant (RFC 3261 §20.1).
 */
export function acceptsSdp(request: Pick<SipMessage, 'getAll'>): boolean {
  const types = parseTokens(request.getAll('accept')).map((type) =>
    (type.split(';')[0] as string).trim().toLowerCase(),
  );
  return (
    types.length === 0 || types.some((type) => type === 'application/sdp' || type === 'application/*' || type === '*/*')
  );
}
