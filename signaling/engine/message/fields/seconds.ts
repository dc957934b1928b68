/** 2^32 - 1: what delta-seconds can say (RFC 3261 §20.19, §25.1). */
const MOST_SECONDS = 0xffff_ffff;

/** `delta-seconds`; `undefined` for what is no number, or too large to be one. */
export function parseSeconds(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,10}$/.test(text)) return undefined;
  const seconds = Number(text);
  return seconds > MOST_SECONDS ? undefined : seconds;
}

/** A value with parameters, `token;a=b`: where the first semicolon outside of quotes stands. */
export function headOf(value: string): { readonly head: string; readonly rest: number } {
  const semicolon = value.indexOf(';');
  const rest = semicolon < 0 ? value.length : semicolon;
  return { head: value.slice(0, rest).trim(), rest };
}
