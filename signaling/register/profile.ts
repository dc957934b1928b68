import { PROFILES, RECOGNITIONS, type Profile } from './profiles.ts';

/** What is known of a client when its profile is asked for. */
export interface ClientTraits {
  readonly userAgent: string | undefined;
  /** First Contact of the message as it stands. */
  readonly contact: string | undefined;
  readonly supported: string | undefined;
  /** By the account, when somebody has set it there. */
  readonly override?: string | undefined;
}

const BY_NAME: ReadonlyMap<string, Profile> = new Map(PROFILES.map((profile) => [profile.name, profile]));
export const STANDARD = PROFILES[0] as Profile;

/** Where the CSeqs of our own requests begin: one range, out of the way of every client's, for all. */
export const FIRST_CSEQ = Math.max(1, ...PROFILES.map(({ firstCSeq }) => firstCSeq ?? 1));

/** For the configuration: what an account may name. */
export const PROFILE_NAMES = [...BY_NAME.keys()] as [string, ...string[]];

/** The profile of a client: what its account says, else its User-Agent, else how its messages look. */
export function profileOf(traits: ClientTraits): Profile {
  const { userAgent, contact, supported, override } = traits;
  const named = override === undefined ? undefined : BY_NAME.get(override);
  if (named) return named;
  for (const { profile, userAgent: pattern, looks } of RECOGNITIONS) {
    if (userAgent !== undefined && pattern.test(userAgent)) return BY_NAME.get(profile) ?? STANDARD;
    if (!looks || contact === undefined || !/\.invalid[;>]/i.test(contact)) continue;
    const fits =
      new RegExp(`;transport=${looks.transport}[;>]`, 'i').test(contact) &&
      /;\+sip\.instance=/i.test(contact) === looks.instance &&
      !/;reg-id=/i.test(contact) &&
      (supported !== undefined) === looks.supported;
    if (fits) return BY_NAME.get(profile) ?? STANDARD;
  }
  return STANDARD;
}

/** From the headers of a request, the engine's or drachtio-srf's. */
export function traitsOf(request: { get(name: string): string | undefined }, override?: string): ClientTraits {
  return {
    userAgent: request.get('user-agent'),
    contact: request.get('contact'),
    supported: request.get('supported'),
    override,
  };
}
