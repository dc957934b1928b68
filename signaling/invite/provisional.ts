import type { Profile } from '../register/mod.ts';

/** What of the set-up the caller has heard so far. `alone`: a single phone rings. */
export interface Heard {
  readonly rang: boolean;
  readonly early: boolean;
  readonly alone: boolean;
}

/** What an 18x of a phone becomes for the caller: ringing once, early media once and only of a single phone. */
export function provisional(wanted: Profile['provisional'], heard: Heard, sdp: boolean): 'ring' | 'early' | 'none' {
  const media = sdp && heard.alone && !heard.early;
  if (wanted === 'with-sdp') return media ? 'early' : 'none';
  if (wanted === 'one' && heard.rang) return 'none';
  if (media) return 'early';
  return heard.rang ? 'none' : 'ring';
}
