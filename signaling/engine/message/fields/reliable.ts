import { parseCSeq } from '../headers.ts';

/** RAck (RFC 3262 §7.2): the provisional answer that a PRACK is for. */
export interface RAck {
  readonly rseq: number;
  readonly cseq: number;
  readonly method: string;
}

export function parseRAck(value: string): RAck | undefined {
  const match = /^\s*(\d{1,10})\s+(\d.*)$/s.exec(value);
  const rseq = match && parseRSeq(match[1] as string);
  const cseq = match && parseCSeq(match[2] as string);
  return rseq && cseq ? { rseq, cseq: cseq.number, method: cseq.method } : undefined;
}

/** RSeq (RFC 3262 §7.1): 1 to 2^32 - 1. */
export function parseRSeq(value: string): number | undefined {
  const text = value.trim();
  if (!/^\d{1,10}$/.test(text)) return undefined;
  const number = Number(text);
  return number >= 1 && number <= 0xffff_ffff ? number : undefined;
}
