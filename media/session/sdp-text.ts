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
  const lines = [...body.matchAll(/([^\r\n]*)(\r\n|\n|\r|$)/g)]
    .map(([, text = '', end = '']): SdpLine => ({ text, end: end === '' ? '\r\n' : end }))
    .filter(({ text }) => text !== '');
  if (lines[0]?.text !== 'v=0' || lines.length > MAX_LINES) return undefined;
  if (lines.some(({ text }) => !/^[a-z]=/.test(text))) return undefined;
  const cut: SdpText = { session: [], media: [] };
  for (const line of lines) {
    if (line.text.startsWith('m=')) cut.media.push([line]);
    else (cut.media.at(-1) ?? cut.session).push(line);
  }
  return cut;
}

export function joinSdp(text: SdpText): string {
  return [...text.session, ...text.media.flat()].map((line) => line.text + line.end).join('');
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
  return /^a=([^:]*)/.exec(text)?.[1];
}

export function connectionOf(address: string): string {
  return `${address.includes(':') ? 'IP6' : 'IP4'} ${address}`;
}
