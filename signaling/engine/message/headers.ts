export interface CSeq {
  readonly number: number;
  readonly method: string;
}

/** `undefined` when it is malformed or beyond 32 bits (RFC 3261 §8.1.1.5). */
export function parseCSeq(value: string): CSeq | undefined {
  let i = 0;
  let number = 0;
  for (; i < value.length; i++) {
    const digit = value.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) break;
    number = number * 10 + digit;
    if (number > 0xffff_ffff) return undefined;
  }
  const gap = i;
  while (i < value.length && isSpace(value.charCodeAt(i))) i++;
  if (gap === 0 || i === gap || i === value.length)
    return gap === 0 && i < value.length ? trimmedCSeq(value) : undefined;
  const method = value.slice(i);
  return /\s/.test(method) ? trimmedCSeq(value) : { number, method };
}

/** With white space around it, which parsers do not leave there. */
function trimmedCSeq(value: string): CSeq | undefined {
  const trimmed = value.trim();
  return trimmed === value ? undefined : parseCSeq(trimmed);
}

function isSpace(char: number): boolean {
  return char === 0x20 || char === 0x09 || char === 0x0d || char === 0x0a;
}

/** The hops that are left, 255 at most (§20.22); `undefined` when the header is missing or is no number. */
export function parseMaxForwards(value: string | undefined): number | undefined {
  if (value === undefined || !/^\d+$/.test(value)) return undefined;
  return Math.min(Number(value), 255);
}

/** The tokens of a list: Supported, Require, Allow, Privacy … As written, without empty ones. */
export function parseTokens(values: readonly string[]): string[] {
  return values.flatMap((value) => value.split(',')).flatMap((token) => token.trim() || []);
}
