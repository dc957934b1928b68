import type { NameAddr } from '../address.ts';
import type { Params } from '../list.ts';
import { formatUri, parseUri, type SipUri } from '../uri.ts';
import { parseSeconds } from './seconds.ts';

/** What a Contact says of the flow it was registered by (RFC 5626 §4, §11). */
export interface OutboundContact {
  /** `+sip.instance` without its angle brackets: a URN, the same over restarts of the device. */
  readonly instance: string | undefined;
  /** One flow of several to the same instance; `undefined` without an instance, where it has no meaning. */
  readonly regId: number | undefined;
  /** The URI has `ob`: what is sent there takes the flow (§4.3). */
  readonly ob: boolean;
}

export function outboundOf(contact: Pick<NameAddr, 'uri' | 'params'>): OutboundContact {
  const instance = instanceOf(contact.params);
  const number = parseSeconds(contact.params.get('reg-id'));
  const regId = instance !== undefined && number !== undefined && number >= 1 && number < 2 ** 31 ? number : undefined;
  return { instance, regId, ob: parseUri(contact.uri)?.params.has('ob') ?? false };
}

/** `+sip.instance="<urn:…>"`; equal instances have equal text here, whatever the case of their letters. */
export function instanceOf(params: Params): string | undefined {
  const match = /^<([^<>\s"]{1,256})>$/.exec(params.get('+sip.instance') ?? '');
  return match?.[1]?.toLowerCase();
}

/** Globally routable: to one instance of an AoR, or hiding which (RFC 5627 §3.1). */
export type Gruu = { readonly type: 'public'; readonly instance: string } | { readonly type: 'temporary' };

/** `gr` with a value names the instance, without one it is a temporary GRUU; `undefined` for any other URI. */
export function gruuOf(uri: SipUri): Gruu | undefined {
  const gr = uri.params.get('gr');
  if (gr === undefined) return undefined;
  if (gr === '') return { type: 'temporary' };
  return { type: 'public', instance: decoded(gr).toLowerCase() };
}

/** The public GRUU of an instance: the AoR with `gr` (RFC 5627 §5.1). What a parameter may not hold is escaped. */
export function publicGruu(aor: SipUri, instance: string): string {
  const escaped = instance.replace(/[^A-Za-z0-9\-_.!~*'()[\]/:&+$]/gu, (char) => encodeURIComponent(char));
  return formatUri({ ...aor, port: undefined, params: new Map([['gr', escaped]]), headers: undefined });
}

/** `pub-gruu` and `temp-gruu` of a Contact in the answer to REGISTER (RFC 5627 §8.2): URIs as they stand. */
export function gruusOf(params: Params): { readonly publicGruu?: string; readonly temporaryGruu?: string } {
  const [open, hidden] = [params.get('pub-gruu'), params.get('temp-gruu')];
  return { ...(open && { publicGruu: open }), ...(hidden && { temporaryGruu: hidden }) };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
