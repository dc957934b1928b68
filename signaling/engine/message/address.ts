import { endOfQuoted, findOutside, parseParams, unquote, type Params } from './list.ts';

/** From, To, Contact, Route, Refer-To …: `"name" <uri>;params` (RFC 3261 §20.10). */
export interface NameAddr {
  readonly displayName: string | undefined;
  readonly uri: string;
  readonly params: Params;
}

/** Where the parts of one address stand in a text: `uri` without brackets, `params` from the first semicolon on. */
interface Spans {
  readonly nameEnd: number;
  readonly uriStart: number;
  readonly uriEnd: number;
  readonly params: number;
}

const SCHEME = /^[A-Za-z][A-Za-z0-9+.-]*:\S/;

/** `undefined` when there is no URI to be found, or not one alone. */
export function parseNameAddr(value: string): NameAddr | undefined {
  const spans = findSpans(value);
  if (!spans) return undefined;
  const name = spans.nameEnd === 0 ? '' : unquote(value.slice(0, spans.nameEnd).trim());
  return {
    displayName: name === '' ? undefined : name,
    uri: value.slice(spans.uriStart, spans.uriEnd),
    params: spans.params < 0 ? new Map() : parseParams(value, spans.params),
  };
}

/** The tag of a From or To value; undefined when it has none. */
export function tagOf(value: string | undefined): string | undefined {
  if (value === undefined || !value.includes(';')) return undefined;
  const spans = findSpans(value);
  if (!spans || spans.params < 0) return undefined;
  // The usual place is the first parameter.
  if (value.startsWith(';tag=', spans.params) && value.charCodeAt(spans.params + 5) !== 0x22) {
    const end = value.indexOf(';', spans.params + 5);
    return value.slice(spans.params + 5, end < 0 ? undefined : end).trim() || undefined;
  }
  return parseParams(value, spans.params).get('tag') || undefined;
}

/**
 * What is wrong with a From or To value, in a word for a reason phrase (RFC 3261 §25.1). Unquoted display names of
 * other characters than a token's are let pass, as long as it is clear where they end.
 */
export function addressFault(value: string): string | undefined {
  if (value === '') return 'Empty';
  return findSpans(value) ? undefined : 'Malformed';
}

function findSpans(text: string): Spans | undefined {
  let open = -1;
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i);
    if (char === 0x22) {
      i = endOfQuoted(text, i);
      // An unterminated quotation swallows the address (RFC 4475 §3.1.2.6).
      if (i >= text.length) return undefined;
    } else if (char === 0x3c) {
      open = i;
      break;
    } else if (char === 0x2c) {
      // Two values where one belongs, or a display name that needed quotes (RFC 4475 §3.1.2.15).
      return undefined;
    } else if (char === 0x3b || char === 0x3f) return bareSpans(text);
  }
  if (open < 0) return bareSpans(text);
  const close = text.indexOf('>', open);
  if (close < 0 || !hasScheme(text, open + 1, close)) return undefined;
  let after = close + 1;
  while (after < text.length && isSpace(text.charCodeAt(after))) after++;
  if (after < text.length && text.charCodeAt(after) !== 0x3b) return undefined;
  return { nameEnd: open, uriStart: open + 1, uriEnd: close, params: after < text.length ? after : -1 };
}

/** Without brackets every parameter belongs to the header, and a '?' may not stand in the URI (§20). */
function bareSpans(text: string): Spans | undefined {
  let start = 0;
  while (start < text.length && isSpace(text.charCodeAt(start))) start++;
  const semicolon = text.indexOf(';', start);
  let end = semicolon < 0 ? text.length : semicolon;
  while (end > start && isSpace(text.charCodeAt(end - 1))) end--;
  if (!hasScheme(text, start, end)) return undefined;
  for (let i = start; i < end; i++) {
    const char = text.charCodeAt(i);
    if (char === 0x3f || char === 0x2c || char === 0x22 || char === 0x3c || char === 0x3e) return undefined;
  }
  return { nameEnd: 0, uriStart: start, uriEnd: end, params: semicolon };
}

/** A scheme and something after it, and no white space in all of it (RFC 4475 §3.1.2.14). */
function hasScheme(text: string, from: number, to: number): boolean {
  if (text.startsWith('sip:', from) && to > from + 4) {
    for (let i = from + 4; i < to; i++) if (isSpace(text.charCodeAt(i))) return false;
    return true;
  }
  const uri = text.slice(from, to);
  return SCHEME.test(uri) && !/\s/.test(uri);
}

function isSpace(char: number): boolean {
  return char === 0x20 || char === 0x09 || char === 0x0a || char === 0x0d;
}

/** Every address of the given header lines; `undefined` when one of them cannot be read. */
export function parseAddressList(values: readonly string[]): NameAddr[] | undefined {
  const addresses: NameAddr[] = [];
  for (const value of values) {
    for (let start = 0; start < value.length;) {
      const comma = findOutside(value, 0x2c, start);
      const part = (comma < 0 ? value.slice(start) : value.slice(start, comma)).trim();
      start = comma < 0 ? value.length : comma + 1;
      if (part === '') continue;
      const address = parseNameAddr(part);
      if (!address) return undefined;
      addresses.push(address);
    }
  }
  return addresses;
}

/** `type: 'all'` is `Contact: *` (§10.2.2). */
export function parseContacts(
  values: readonly string[],
): { readonly type: 'all' } | { readonly type: 'list'; readonly contacts: NameAddr[] } | undefined {
  if (values.length === 1 && values[0]?.trim() === '*') return { type: 'all' };
  const contacts = parseAddressList(values);
  return contacts && { type: 'list', contacts };
}
