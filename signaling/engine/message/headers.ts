import { parseParams, splitHeaderList, splitOutside, unquote, type Params } from './list.ts';

/** From, To, Contact, Route, Refer-To …: `"name" <uri>;params` (RFC 3261 §20.10). */
export interface NameAddr {
  readonly displayName: string | undefined;
  readonly uri: string;
  readonly params: Params;
}

/** `undefined` when there is no URI to be found. */
export function parseNameAddr(value: string): NameAddr | undefined {
  const text = value.trim();
  const open = angleOpen(text);
  if (open < 0) {
    // Without brackets every parameter belongs to the header (§20).
    const semicolon = text.indexOf(';');
    const uri = (semicolon < 0 ? text : text.slice(0, semicolon)).trim();
    if (!/^[A-Za-z][A-Za-z0-9+.-]*:\S/.test(uri) || /\s/.test(uri)) return undefined;
    return { displayName: undefined, uri, params: semicolon < 0 ? new Map() : parseParams(text.slice(semicolon)) };
  }
  const close = text.indexOf('>', open);
  if (close < 0) return undefined;
  const name = unquote(text.slice(0, open).trim());
  const uri = text.slice(open + 1, close).trim();
  if (uri === '') return undefined;
  const rest = text.slice(close + 1).trim();
  if (rest !== '' && !rest.startsWith(';')) return undefined;
  return { displayName: name === '' ? undefined : name, uri, params: parseParams(rest) };
}

/** The '<' that opens the address: not one inside a quoted display name. */
function angleOpen(text: string): number {
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (quoted) {
      if (char === '\\') i++;
      else if (char === '"') quoted = false;
    } else if (char === '"') quoted = true;
    else if (char === '<') return i;
  }
  return -1;
}

/** Every address of the given header lines; `undefined` when one of them cannot be read. */
export function parseAddressList(values: readonly string[]): NameAddr[] | undefined {
  const addresses: NameAddr[] = [];
  for (const value of values) {
    for (const part of splitHeaderList(value)) {
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

/** One hop (§20.42). `host` keeps IPv6 brackets. */
export interface Via {
  readonly transport: string;
  readonly host: string;
  readonly port: number | undefined;
  readonly params: Params;
}

const VIA =
  /^SIP\s*\/\s*2\.0\s*\/\s*([A-Za-z0-9-]+)\s+(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)\s*(?::\s*(\d{1,5}))?\s*(;.*)?$/i;

export function parseVia(value: string): Via | undefined {
  const match = VIA.exec(value.trim());
  if (!match) return undefined;
  const port = match[3] === undefined ? undefined : Number(match[3]);
  if (port !== undefined && port > 65_535) return undefined;
  return {
    transport: (match[1] as string).toUpperCase(),
    host: (match[2] as string).toLowerCase(),
    port,
    params: match[4] === undefined ? new Map() : parseParams(match[4]),
  };
}

/** The topmost Via of a message's first Via line, with what is left of that line. */
export function topVia(value: string): {
  readonly via: Via | undefined;
  readonly first: string;
  readonly rest: string;
} {
  const parts = splitHeaderList(value);
  const first = parts[0] ?? '';
  return { via: parseVia(first), first, rest: parts.slice(1).join(', ') };
}

export function parseCSeq(value: string): { readonly number: number; readonly method: string } | undefined {
  const match = /^(\d{1,10})\s+(\S+)$/.exec(value.trim());
  if (!match) return undefined;
  const number = Number(match[1]);
  return number > 0xffff_ffff ? undefined : { number, method: match[2] as string };
}

/** The tag of a From or To value; undefined when it has none. */
export function tagOf(value: string | undefined): string | undefined {
  if (value === undefined) return undefined;
  return parseNameAddr(value)?.params.get('tag') || undefined;
}

/** `Digest a=b, c="d"`: the scheme in lower case and the parameters. */
export function parseAuth(value: string): { readonly scheme: string; readonly params: Params } | undefined {
  const match = /^([A-Za-z]+)\s+(.*)$/s.exec(value.trim());
  if (!match) return undefined;
  const params: Params = new Map();
  // One by one: a pattern over all of it would try every letter of what has no `=` as a beginning.
  for (const part of splitOutside(match[2] as string, ',')) {
    const [, written = '', said = ''] = /^([A-Za-z0-9_-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s"]*)$/s.exec(part) ?? [];
    const name = written.toLowerCase();
    if (name !== '' && !params.has(name)) params.set(name, unquote(said));
  }
  return { scheme: (match[1] as string).toLowerCase(), params };
}
