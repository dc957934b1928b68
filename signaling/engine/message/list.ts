/** `;name=value` parameters: names in lower case, quoted values without their quotes, flags as ''. */
export type Params = Map<string, string>;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN = 0x3c;
const CLOSE = 0x3e;
const SEMICOLON = 0x3b;

/**
 * Splits a header value at top-level commas: not inside quotes, and not inside `<…>` (RFC 3261 §7.3.1).
 * Headers whose grammar has other commas (digest, dates) are not for this.
 */
export function splitHeaderList(value: string): string[] {
  return splitOutside(value, ',').filter((part) => part !== '');
}

/** Splits at `separator` outside of quoted strings and angle brackets; the parts are trimmed. */
export function splitOutside(value: string, separator: string): string[] {
  if (!value.includes(separator)) return [value.trim()];
  const code = separator.charCodeAt(0);
  const parts: string[] = [];
  for (let start = 0; ;) {
    const end = findOutside(value, code, start);
    parts.push(value.slice(start, end < 0 ? undefined : end).trim());
    if (end < 0) return parts;
    start = end + 1;
  }
}

/** Where `code` stands next outside of quoted strings and angle brackets, from a place that is outside; -1: nowhere. */
export function findOutside(value: string, code: number, from: number): number {
  let angle = false;
  for (let i = from; i < value.length; i++) {
    const char = value.charCodeAt(i);
    if (char === QUOTE) i = endOfQuoted(value, i);
    else if (char === OPEN) angle = true;
    else if (char === CLOSE) angle = false;
    else if (char === code && !angle) return i;
  }
  return -1;
}

/** Where the quoted string that begins at `from` has its closing quote; the text's length when it has none. */
export function endOfQuoted(text: string, from: number): number {
  for (let i = from + 1; i < text.length; i++) {
    const char = text.charCodeAt(i);
    if (char === BACKSLASH) i++;
    else if (char === QUOTE) return i;
  }
  return text.length;
}

/** Reads `a=b;c;d="e"` from `from` on, with or without a leading semicolon. */
export function parseParams(text: string, from = 0): Params {
  const params: Params = new Map();
  for (let start = from; start < text.length;) {
    let end = start;
    let equals = -1;
    for (; end < text.length; end++) {
      const char = text.charCodeAt(end);
      if (char === QUOTE) end = endOfQuoted(text, end);
      else if (char === SEMICOLON) break;
      else if (char === 0x3d && equals < 0) equals = end;
    }
    const name = text
      .slice(start, equals < 0 ? end : equals)
      .trim()
      .toLowerCase();
    if (name !== '' && !params.has(name))
      params.set(name, equals < 0 ? '' : unquote(text.slice(equals + 1, end).trim()));
    start = end + 1;
  }
  return params;
}

/** `;a=b;c`; values that are not tokens are quoted, and what is no name is left out. */
export function formatParams(params: Params): string {
  let text = '';
  for (const [name, value] of params)
    if (/^[a-z0-9\-.!%*_+`'~]+$/.test(name)) text += value === '' ? `;${name}` : `;${name}=${quoteIfNeeded(value)}`;
  return text;
}

/** The value of a quoted string (§25.1), or the text as it is. */
export function unquote(text: string): string {
  if (text.length < 2 || text.charCodeAt(0) !== QUOTE || text.charCodeAt(text.length - 1) !== QUOTE) return text;
  const inner = text.slice(1, -1);
  return inner.includes('\\') ? inner.replace(/\\(.)/gs, '$1') : inner;
}

export function quote(text: string): string {
  return `"${text.replace(/[\\"]/g, '\\$&')}"`;
}

export function quoteIfNeeded(value: string): string {
  return /^[A-Za-z0-9\-.!%*_+`'~:[\]@/]+$/.test(value) ? value : quote(value);
}
