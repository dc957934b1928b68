import { attributeName, type SdpLine, type SdpText } from './sdp-text.ts';

/** Whose ng is spoken where releases of rtpengine contradict each other (docs/ng.md, "Dialects"). */
export type Dialect = '10.5' | '26';

/** The attributes of a media part in the order in which newer releases write them; those not named stand at `*`. */
const ORDER: readonly (readonly string[])[] = [
  ['mid'],
  ['label'],
  ['bundle-only'],
  ['rtpmap', 'fmtp', 'rtcp-fb'],
  ['extmap'],
  ['*'],
  ['sendrecv', 'sendonly', 'recvonly', 'inactive'],
  ['rtcp'],
  ['rtcp-mux'],
  ['crypto'],
  ['setup'],
  ['fingerprint'],
  ['tls-id'],
  ['ptime'],
  ['maxptime'],
  ['ice-ufrag'],
  ['ice-pwd'],
  ['ice-options'],
  ['candidate'],
  ['remote-candidates'],
  ['end-of-candidates'],
];

const RANKS: ReadonlyMap<string, number> = new Map(
  ORDER.flatMap((names, rank) => names.map((name): [string, number] => [name, rank])),
);
const OTHERS = RANKS.get('*') ?? 0;

/** 10.5 edits what came; newer releases write it anew: c= in every media part and never before, attributes by {@link ORDER}. */
export function inNewerOrder({ session, media }: SdpText): SdpText {
  const shared = session.find(({ text }) => text.startsWith('c='));
  return {
    session: session.filter((line) => line !== shared),
    media: media.map((part) => ordered(part, shared)),
  };
}

function ordered(part: readonly SdpLine[], shared: SdpLine | undefined): SdpLine[] {
  const [head, ...rest] = part;
  if (!head) return [];
  const is = (start: string) => (line: SdpLine) => line.text.startsWith(start);
  const connection = rest.find(is('c=')) ?? shared;
  const fields = rest.filter((line) => !is('c=')(line) && !is('a=')(line));
  const attributes = rest.filter(is('a=')).toSorted((one, other) => rankOf(one) - rankOf(other));
  return [
    head,
    // RFC 8866 §5: the title is before it.
    ...fields.filter(is('i=')),
    ...(connection ? [connection] : []),
    ...fields.filter((line) => !is('i=')(line)),
    ...attributes,
  ];
}

function rankOf({ text }: SdpLine): number {
  return RANKS.get(attributeName(text) ?? '') ?? OTHERS;
}
