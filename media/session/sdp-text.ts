/**
 * SDP as lines with their line ends, cut into its session part and its media parts (RFC 8866 §5). Rewriting replaces and
 * removes lines; whatever is not touched stays as it came, in its place.
 */
export interface SdpText {
  session: SdpLine[];
  media: SdpLine[][];
}

export interface SdpLine {
  readonly text: string;
  readonly end: string;
}

const MAX_LINES = 2000;

/** `undefined` when it is no SDP. Never throws. */
export function cutSdp(body: string): SdpText | undefined {
  const cut: SdpText = { session: [], media: [] };
  let part = cut.session;
  let count = 0;
  for (let at = 0; at < body.length;) {
    const to = lineEnd(body, at);
    const next = body.charCodeAt(to) === CR && body.charCodeAt(to + 1) === LF ? to + 2 : Math.min(to + 1, body.length);
    if (to > at) {
      const line: SdpLine = { text: body.slice(at, to), end: next === to ? '\r\n' : body.slice(to, next) };
      if (++count > MAX_LINES || (count === 1 && line.text !== 'v=0') || !isField(line.text)) return undefined;
      if (line.text.startsWith('m=')) cut.media.push((part = [line]));
      else part.push(line);
    }
    at = next;
  }
  return count === 0 ? undefined : cut;
}

const CR = 0x0d;
const LF = 0x0a;

/** Where the line that begins at `at` ends: at CR, LF or the end of all. */
function lineEnd(body: string, at: number): number {
  for (let to = at; to < body.length; to++) {
    const code = body.charCodeAt(to);
    if (code === CR || code === LF) return to;
  }
  return body.length;
}

/** One small letter and `=`. */
function isField(text: string): boolean {
  const letter = text.charCodeAt(0);
  return letter >= 0x61 && letter <= 0x7a && text.charCodeAt(1) === 0x3d;
}

export function joinSdp(text: SdpText): string {
  let body = '';
  for (const part of [text.session, ...text.media]) for (const line of part) body += line.text + line.end;
  return body;
}

/** A line of ours. */
export function added(text: string): SdpLine {
  return { text, end: '\r\n' };
}

/** The same line with other words. */
export function changed(line: SdpLine, text: string): SdpLine {
  return { ...line, text };
}

export function attributeName(text: string): string | undefined {
  if (!text.startsWith('a=')) return undefined;
  const colon = text.indexOf(':');
  return colon < 0 ? text.slice(2) : text.slice(2, colon);
}

export function connectionOf(address: string): string {
  return `${address.includes(':') ? 'IP6' : 'IP4'} ${address}`;
}
