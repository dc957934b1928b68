/** What we know of a codec: its names in SDP and what the packet path can do with it. */
export interface CodecFacts {
  /** As in rtpmap; compared without case (RFC 4855 §3). */
  readonly name: string;
  readonly clockRate: number;
  readonly channels: number;
  /** RFC 3551 §6. */
  readonly staticPt: number | undefined;
  /** The name by which the packet path decodes and encodes it. */
  readonly native: 'PCMU' | 'PCMA' | 'opus' | undefined;
  /** What we say of it when the line is ours. */
  readonly fmtp: string | undefined;
}

export const CODECS: readonly CodecFacts[] = [
  { name: 'PCMU', clockRate: 8000, channels: 1, staticPt: 0, native: 'PCMU', fmtp: undefined },
  { name: 'PCMA', clockRate: 8000, channels: 1, staticPt: 8, native: 'PCMA', fmtp: undefined },
  // RFC 7587 §7: always 48000/2 in SDP, whatever is spoken.
  {
    name: 'opus',
    clockRate: 48_000,
    channels: 2,
    staticPt: undefined,
    native: 'opus',
    fmtp: undefined,
  },
  { name: 'G722', clockRate: 8000, channels: 1, staticPt: 9, native: undefined, fmtp: undefined },
  { name: 'G729', clockRate: 8000, channels: 1, staticPt: 18, native: undefined, fmtp: undefined },
  { name: 'GSM', clockRate: 8000, channels: 1, staticPt: 3, native: undefined, fmtp: undefined },
  { name: 'telephone-event', clockRate: 8000, channels: 1, staticPt: undefined, native: undefined, fmtp: '0-15' },
  { name: 'CN', clockRate: 8000, channels: 1, staticPt: 13, native: undefined, fmtp: undefined },
];

export function factsOf(name: string): CodecFacts | undefined {
  const wanted = name.toLowerCase();
  return CODECS.find((facts) => facts.name.toLowerCase() === wanted);
}

export function factsOfStatic(pt: number): CodecFacts | undefined {
  return CODECS.find((facts) => facts.staticPt === pt);
}
