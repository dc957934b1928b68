import type { SipUri } from '../engine/mod.ts';

/** By whom and as whom a device is woken (RFC 8599 §6): parameters of its Contact URI. */
export interface Push {
  readonly provider: string;
  /** Missing: it only asks who is known, or wants no pushes any more. */
  readonly prid: string | undefined;
  readonly param: string | undefined;
  /** It refreshes by itself, and asks when it must (§4.1.4). */
  readonly wakesItself: boolean;
}

/** `undefined`: the contact knows nothing of pushes. An empty provider asks for those that we know (§4.1.1). */
export function readPush(uri: SipUri | undefined, feature: string | undefined): Push | undefined {
  const provider = uri?.params.get('pn-provider');
  if (uri === undefined || provider === undefined) return undefined;
  return {
    provider: provider.toLowerCase(),
    prid: uri.params.get('pn-prid') || undefined,
    param: uri.params.get('pn-param') || undefined,
    wakesItself: feature !== undefined,
  };
}

/** Feature-Caps of the 2xx (§4.1.1, §4.1.4): the services that we can use, and when a device that can must refresh. */
export function featureCaps(pushes: readonly Push[], known: readonly string[], refreshSeconds: number): string[] {
  const named = new Set(pushes.map(({ provider }) => provider).filter((provider) => provider !== ''));
  const told = named.size > 0 ? [...named].filter((provider) => known.includes(provider)) : known;
  const itself = pushes.some(({ wakesItself }) => wakesItself) ? `;+sip.pnsreg="${refreshSeconds}"` : '';
  return told.map((provider) => `*;+sip.pns="${provider}"${itself}`);
}
