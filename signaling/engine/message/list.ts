/** `;name=value` parameters: names in lower case, quoted values without their quotes, flags as ''. */
export type Params = Map<string, string>;

/**
 * Splits a header value at top-level commas: not inside quotes, and not inside `<…>` (RFC 3261 §7.3.1).
 * Headers whose grammar has other commas (digest, dates) are not for this.
 */
export function splitHeaderList(value: string): string[] {
  return splitOutside(value, ',').filter((part) => part !== '');
}

/** Splits at `separator` outside of quoted strings and angle brackets; the parts are trimmed. */
export function splitOutside(value: string, separator: string): string[] {
  const parts: string[] = [];
  let quoted = false;
  let angle = false;
  let start = 0;
  for (let i = 0; i < value.length; i++) {
    const char = value[i];
    if (quoted) {
      if (char === '\\') i++;
      else if (char === '"') quoted = false;
    } else if (char === '"') quoted = true;
    else if (char === '<') angle = true;
    else if (char === '>') angle = false;
    else if (char === separator && !angle) {
      parts.push(value.slice(start, i).trim());
      start = i + 1;
    }
  }
  parts.push(value.slice(start).trim());
  return parts;
}

/** Reads `a=b;c;d="e"`, with or without a leading semicolon. */
export function parseParams(text: string): Params {
  const params: Params = new Map();
  for (const part of splitOutside(text, ';')) {
    if (part === '') continue;
    const equals = part.indexOf('=');
    const name = (equals < 0 ? part : part.slice(0, equals)).trim().toLowerCase();
    if (name !== '' && !params.has(name)) params.set(name, equals < 0 ? '' : unquote(part.slice(equals + 1).trim()));
  }
  return params;
}

/** `;a=b;c`; values that are not tokens are quoted. */
export function formatParams(params: Params): string {
  let text = '';
  for (const [name, value] of params) text += value === '' ? `;${name}` : `;${name}=${quoteIfNeeded(value)}`;
  return text;
}

/** The value of a quoted string (§25.1), or the text as it is. */
export function unquote(text: string): string {
  if (text.length < 2 || !text.startsWith('"') || !text.endsWith('"')) return text;
  return text.slice(1, -1).replace(/\\(.)/gs, '$1');
}

export function quote(text: string): string {
  return `"${text.replace(/[\\"]/g, '\\$&')}"`;
}

function quoteIfNeeded(value: string): string {
  return /^[A-Za-z0-9\-.!%*_+`'~:[\]@/]+$/.test(value) ? value : quote(value);
}
