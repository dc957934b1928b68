import type { SipUri } from '../uri.ts';

/** How a sleeping phone is woken (RFC 8599 §4.1): parameters of the URI of its Contact. */
export interface PushTarget {
  /** `apns`, `fcm`, `webpush` or another, lower case. */
  readonly provider: string;
  /** The device, for the provider; private. */
  readonly prid: string;
  /** What else the provider wants, such as the app's identifier. */
  readonly param: string | undefined;
  /** The proxy's reference to this binding for requests in its dialogs (§6.1). */
  readonly purr: string | undefined;
}

const LIMIT = 2048;

/** `undefined` when the contact does not want to be woken: without provider or device. */
export function pushOf(uri: SipUri): PushTarget | undefined {
  const get = (name: string) => decoded(uri.params.get(name) ?? '');
  const provider = get('pn-provider')?.toLowerCase();
  const prid = get('pn-prid');
  if (!provider || !prid || provider.length > 64) return undefined;
  return { provider, prid, param: get('pn-param') || undefined, purr: get('pn-purr') || undefined };
}

/** The URI without what only the registrar may know (RFC 8599 §4.1.1): for contacts that are shown to others. */
export function withoutPush(uri: SipUri): SipUri {
  const params = new Map([...uri.params].filter(([name]) => name !== 'pn-prid' && name !== 'pn-param'));
  return { ...uri, params };
}

function decoded(text: string): string | undefined {
  if (text.length > LIMIT) return undefined;
  try {
    const value = decodeURIComponent(text);
    return /[\r\n\0]/.test(value) ? undefined : value;
  } catch {
    return undefined;
  }
}
