/**
 * SDP as lines, cut into its session part and its media parts (RFC 8866 §5). Rewriting replaces and removes lines;
 * whatever is not touched stays as it came, in its place.
 */
export interface SdpText {
  session: string[];
  media: string[][];
}

export function cutSdp(text: string): SdpText | undefined {
  const lines = text.split(/\r\n|\n|\r/).filter((line) => line !== '');
  if (lines[0] !== 'v=0' || lines.length > 2000 || lines.some((line) => !/^[a-z]=/.test(line))) return undefined;
  const cut: SdpText = { session: [], media: [] };
  for (const line of lines) {
    if (line.startsWith('m=')) cut.media.push([line]);
    else (cut.media.at(-1) ?? cut.session).push(line);
  }
  return cut;
}

export function joinSdp(text: SdpText): string {
  return [...text.session, ...text.media.flat()].map((line) => `${line}\r\n`).join('');
}

/** Removes attributes by name: `a=name` and `a=name:…`. */
export function withoutAttributes(lines: readonly string[], names: ReadonlySet<string>): string[] {
  return lines.filter((line) => !line.startsWith('a=') || !names.has(attributeName(line)));
}

export function attributeName(line: string): string {
  const colon = line.indexOf(':');
  return colon < 0 ? line.slice(2) : line.slice(2, colon);
}

/** Replaces every `c=` line; a media part without one gets none. */
export function withConnection(lines: readonly string[], address: string): string[] {
  const family = address.includes(':') ? 'IP6' : 'IP4';
  return lines.map((line) => (line.startsWith('c=') ? `c=IN ${family} ${address}` : line));
}

export function withOrigin(lines: readonly string[], address: string): string[] {
  const family = address.includes(':') ? 'IP6' : 'IP4';
  return lines.map((line) => {
    if (!line.startsWith('o=')) return line;
    const [user = '-', id = '0', version = '0'] = line.slice(2).split(' ');
    return `o=${user} ${id} ${version} IN ${family} ${address}`;
  });
}
