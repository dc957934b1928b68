import type { MediaFlags } from './flags.ts';
import { changed, joinSdp, type SdpText } from './sdp-text.ts';
import type { Party } from './session.ts';

/**
 * The text as it goes to a party. Where `replace` asks for it, the party sees one user, one session name and a version
 * that grows by one when, and only when, the body is another (RFC 8866 §5.2), whoever writes behind us.
 */
export function tell(party: Party, text: SdpText, { replace }: MediaFlags): string {
  const steady = ['username', 'session-name', 'sdp-version', 'force-increment-sdp-ver'];
  if (!steady.some((word) => replace.has(word))) return joinSdp(text);
  const origin = lineOf(text, 'o=').slice(2).split(' ');
  const told = party.told;
  const username = replace.has('username') ? (told?.username ?? origin[0] ?? '-') : (origin[0] ?? '-');
  const name = lineOf(text, 's=').slice(2);
  const sessionName = replace.has('session-name') ? (told?.sessionName ?? name) : name;
  const counted = replace.has('sdp-version') || replace.has('force-increment-sdp-ver');
  const theirs = /^\d{1,20}$/.test(origin[2] ?? '') ? BigInt(origin[2] as string) : 1n;
  let version = counted ? (told?.version ?? theirs) : theirs;
  const written = () => joinSdp(withOrigin(text, username, sessionName, version));
  let body = written();
  if (counted && told && (body !== told.body || replace.has('force-increment-sdp-ver'))) {
    version++;
    body = written();
  }
  party.told = { username, sessionName, version, body };
  return body;
}

function lineOf(text: SdpText, start: string): string {
  return text.session.find((line) => line.text.startsWith(start))?.text ?? start;
}

function withOrigin(text: SdpText, username: string, sessionName: string, version: bigint): SdpText {
  const session = text.session.map((line) => {
    if (line.text.startsWith('s=')) return changed(line, `s=${sessionName}`);
    if (!line.text.startsWith('o=')) return line;
    const [, id = '0', , ...rest] = line.text.slice(2).split(' ');
    return changed(line, `o=${[username, id, version, ...rest].join(' ')}`);
  });
  return { ...text, session };
}
