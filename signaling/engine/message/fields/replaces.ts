import { parseNameAddr } from '../address.ts';
import { parseParams } from '../list.ts';
import { headOf } from './seconds.ts';

/** Replaces (RFC 3891 §6.1): the dialog whose place an INVITE takes, as its receiver sees it. */
export interface Replaces {
  readonly callId: string;
  /** The receiver's own tag. */
  readonly toTag: string;
  readonly fromTag: string;
  /** Only while it is not answered. */
  readonly earlyOnly: boolean;
}

/** `undefined` when it is malformed: both tags and one of each are a must (§3). */
export function parseReplaces(value: string): Replaces | undefined {
  const { head, rest } = headOf(value);
  const params = parseParams(value, rest);
  const toTag = params.get('to-tag');
  const fromTag = params.get('from-tag');
  if (!head || /[\s,]/.test(head) || !toTag || !fromTag) return undefined;
  return { callId: head, toTag, fromTag, earlyOnly: params.has('early-only') };
}

export function formatReplaces({ callId, toTag, fromTag, earlyOnly }: Replaces): string {
  return `${callId};to-tag=${toTag};from-tag=${fromTag}${earlyOnly ? ';early-only' : ''}`;
}

/** Refer-To (RFC 3515 §2.1), with what its URI wants of the request that follows. */
export interface ReferTo {
  /** Without `method` and headers: the Request-URI of what follows. */
  readonly uri: string;
  /** INVITE unless the URI says otherwise. */
  readonly method: string;
  /** An attended transfer (RFC 5589 §7). */
  readonly replaces: Replaces | undefined;
  /** The URI's headers, unescaped, in lower case; Replaces among them. */
  readonly headers: ReadonlyMap<string, string>;
}

/** `undefined` when there is no address, or a Replaces in it that cannot be read. */
export function parseReferTo(value: string): ReferTo | undefined {
  const address = parseNameAddr(value);
  if (!address) return undefined;
  const question = address.uri.indexOf('?');
  const base = question < 0 ? address.uri : address.uri.slice(0, question);
  const headers = new Map<string, string>();
  for (const part of question < 0 ? [] : address.uri.slice(question + 1).split('&')) {
    const equals = part.indexOf('=');
    const name = unescape(part.slice(0, Math.max(equals, 0)))?.toLowerCase();
    const said = unescape(part.slice(equals + 1));
    // A line end in it would be another header.
    if (!name || said === undefined || /[\r\n\0]/.test(said)) continue;
    if (!headers.has(name)) headers.set(name, said);
  }
  const written = headers.get('replaces');
  const replaces = written === undefined ? undefined : parseReplaces(written);
  if (written !== undefined && replaces === undefined) return undefined;
  const method = /;method=([A-Za-z]+)(?=;|$)/i.exec(base);
  return { uri: base.replace(/;method=[^;]*/i, ''), method: method?.[1]?.toUpperCase() ?? 'INVITE', replaces, headers };
}

/** `<sip:bob@example.test?Replaces=…>`: everything that has a meaning in a URI is escaped. */
export function formatReferTo(uri: string, replaces?: Replaces): string {
  if (!replaces) return `<${uri}>`;
  return `<${uri}?Replaces=${encodeURIComponent(formatReplaces(replaces))}>`;
}

function unescape(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
