import { LIMITS } from './limits.ts';
import { canonicalName, knownName, singleBit, singleName } from './names.ts';
import type { Limit, SipHeader } from './sip-message.ts';

/** Start line and header lines of one message, cut but not understood. */
export interface Head {
  readonly startLine: string;
  readonly headers: SipHeader[];
  /** What is wrong with the lines as such; the first that was found. */
  readonly problem: string | undefined;
  readonly limit: Limit | undefined;
  /** Where an empty line ended it before the end of the text; -1 without one. */
  readonly end: number;
}

const TOKEN = /^[A-Za-z0-9\-.!%*_+`'~]+$/;

export function isToken(text: string): boolean {
  return TOKEN.test(text);
}

/**
 * Cuts a text into lines and headers (RFC 3261 §7.3). Lines end with CRLF, or with LF from lenient peers. A line that
 * begins with white space goes on where the last one ended. Values are trimmed and otherwise left alone.
 */
export function readHead(text: string): Head {
  const headers: SipHeader[] = [];
  let startLine = '';
  let problem: string | undefined;
  let limit: Limit | undefined;
  let seen = 0;
  let cr = text.indexOf('\r');
  let end = -1;
  for (let at = 0, line = 0; at < text.length; line++) {
    const lf = text.indexOf('\n', at);
    const next = lf < 0 ? text.length : lf + 1;
    let stop = lf < 0 ? text.length : lf;
    if (cr >= 0 && cr < at) cr = text.indexOf('\r', at);
    if (cr >= 0 && cr < stop) {
      // A CR that ends no line would be an end of line to somebody else.
      if (cr !== stop - 1) problem ??= 'Stray CR In Header';
      stop--;
      if (text.charCodeAt(stop) !== 0x0d) stop++;
    }
    if (stop === at && line > 0) {
      end = next;
      break;
    }
    if (line === 0) startLine = text.slice(at, stop);
    else if (isBlank(text.charCodeAt(at))) {
      const last = headers.at(-1);
      if (last) headers[headers.length - 1] = { ...last, value: fold(last.value, text.slice(at, stop)) };
      else problem ??= 'Malformed Header Line';
      if (last && last.value.length + stop - at > LIMITS.lineBytes) limit ??= 'line';
    } else if (headers.length >= LIMITS.headers) limit ??= 'headers';
    else if (stop - at > LIMITS.lineBytes) limit ??= 'line';
    else {
      const colon = text.indexOf(':', at);
      let nameEnd = colon;
      while (nameEnd > at && isBlank(text.charCodeAt(nameEnd - 1))) nameEnd--;
      let from = colon + 1;
      while (from < stop && isBlank(text.charCodeAt(from))) from++;
      let to = stop;
      while (to > from && isBlank(text.charCodeAt(to - 1))) to--;
      const known = colon < stop ? knownName(text, at, nameEnd - at) : undefined;
      const name = known?.name ?? text.slice(at, Math.max(at, nameEnd));
      if (known === undefined && (colon >= stop || !TOKEN.test(name))) problem ??= 'Malformed Header Line';
      else {
        const key = known?.key ?? canonicalName(name);
        const single = known?.single ?? singleBit(key);
        if ((seen & single) !== 0) problem ??= `Repeated ${singleName(single)} Header`;
        seen |= single;
        headers.push({ name, value: text.slice(from, to), key });
      }
    }
    if (limit !== undefined) break;
    at = next;
  }
  return { startLine, headers, problem, limit, end };
}

function fold(value: string, more: string): string {
  const rest = more.trim();
  return value === '' || rest === '' ? value + rest : `${value} ${rest}`;
}

function isBlank(char: number): boolean {
  return char === 0x20 || char === 0x09;
}
