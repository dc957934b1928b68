import { canonicalName, Message, type SipHeader } from '../message/mod.ts';

/** A SIP message as an application writes it: no Via, maybe no From, and a Content-Length that counts characters. */
export function parseAppMessage(text: string): Message | undefined {
  const split = text.indexOf('\r\n\r\n');
  const head = split < 0 ? text : text.slice(0, split);
  const lines = head.split('\r\n');
  const headers: SipHeader[] = [];
  for (const line of lines.slice(1)) {
    const colon = line.indexOf(':');
    const name = colon < 0 ? '' : line.slice(0, colon).trim();
    // A line that is no header is left out; the rest is sent.
    if (!/^[A-Za-z0-9\-.!%*_+`'~]+$/.test(name)) continue;
    headers.push({ name, value: line.slice(colon + 1).trim() });
  }
  const body = Buffer.from(split < 0 ? '' : text.slice(split + 4), 'utf8');
  const start = lines[0] ?? '';
  const response = /^SIP\/2\.0 (\d{3})(?: (.*))?$/i.exec(start);
  if (response) return Message.response(Number(response[1]), response[2] || undefined, headers, body);
  const request = /^([A-Za-z]+) (\S+)(?: SIP\/2\.0)?$/i.exec(start);
  if (!request) return undefined;
  return Message.request((request[1] as string).toUpperCase(), request[2] as string, headers, body);
}

/** Spelled the usual way: these come from applications in lower case. */
const SPELLING: ReadonlyMap<string, string> = new Map(
  Object.entries({
    'call-id': 'Call-ID',
    cseq: 'CSeq',
    'www-authenticate': 'WWW-Authenticate',
    'mime-version': 'MIME-Version',
    rseq: 'RSeq',
    rack: 'RAck',
    'sip-etag': 'SIP-ETag',
    'sip-if-match': 'SIP-If-Match',
  }),
);

const KEEP = new Set(
  (process.env.DRACHTIO_PRESERVE_HEADER_NAMES ?? '').split(',').map((name) => name.trim().toLowerCase()),
);

/** Capital letters where the field expects them; `X-` names and those that are to be preserved stay as they are. */
export function spellName(name: string): string {
  const lower = name.toLowerCase();
  if (lower.startsWith('x-') || KEEP.has(lower)) return name;
  return (
    SPELLING.get(canonicalName(name)) ??
    name.replace(/(^|-)([a-z])/g, (_, dash: string, letter: string) => dash + letter.toUpperCase())
  );
}
