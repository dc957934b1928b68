import { readFileSync } from 'node:fs';

/** One request to an rtpengine 10.5 and what it replied. */
export interface Exchange {
  /** The last heading before it. */
  readonly heading: string;
  readonly number: number;
  readonly request: Readonly<Record<string, unknown>>;
  readonly sdp: string | undefined;
  readonly reply: Readonly<Record<string, unknown>>;
  readonly replySdp: string | undefined;
}

/** Reads a recorded conversation: `>>> request N`, JSON, SDP behind bars (each a line with CRLF), `<<< reply`, the same. */
export function readTranscript(name: string): Exchange[] {
  const text = readFileSync(new URL(`./transcripts/${name}.txt`, import.meta.url), 'utf8');
  const exchanges: Exchange[] = [];
  let heading = '';
  for (const part of text.split(/^(?=>>> request |==+ |## )/m)) {
    const title = /^(?:==+|##) (.*)/.exec(part);
    if (title) heading = title[1] as string;
    const number = /^>>> request (\d+)\n/.exec(part);
    if (!number) continue;
    const [asked = '', answered = ''] = part.slice(number[0].length).split(/^<<< reply\n/m);
    const request = cut(asked);
    const reply = cut(answered);
    exchanges.push({
      ...{ heading, number: Number(number[1]) },
      ...{ request: request.json, sdp: request.sdp, reply: reply.json, replySdp: reply.sdp },
    });
  }
  return exchanges;
}

function cut(text: string): { json: Record<string, unknown>; sdp: string | undefined } {
  const at = text.search(/^ {2}\| /m);
  const head = at < 0 ? text : text.slice(0, at);
  // Behind the JSON stand remarks about packets.
  const end = Math.max(head.lastIndexOf('\n}'), head.startsWith('  {"') ? head.indexOf('}\n') : -1);
  const json = JSON.parse(head.slice(0, head.startsWith('  {\n') ? end + 2 : lineEnd(head))) as Record<string, unknown>;
  if (at < 0) return { json, sdp: undefined };
  // Behind it stand remarks about packets.
  const body = text.slice(at).split(/\n(?! {2}\| |[a-z]=)/)[0] as string;
  // A line without bar goes on from the one before: it had a bare LF.
  const lines = body.replace(/\n$/, '').split(/\n(?= {2}\| )/);
  return { json, sdp: lines.map((line) => `${line.slice(4)}\r\n`).join('') };
}

function lineEnd(text: string): number {
  const end = text.indexOf('\n');
  return end < 0 ? text.length : end;
}

/**
 * SDP with what differs from run to run put into general terms: our ports by their relation to the m= line, keys and
 * names by their length. `known`: texts of the parties, which stay.
 */
export function general(sdp: string, known: string): string[] {
  let port = '';
  const relation = (value: string) =>
    value === port ? 'RTP' : Number(value) === Number(port) + 1 ? 'RTP+1' : known.includes(` ${value} `) ? value : '?';
  const secret = (value: string) => (known.includes(value) ? value : `<${value.length}>`);
  return sdp.split('\r\n').map((block) =>
    block
      .split('\n')
      .map((line) => {
        const media = /^(m=\S+) (\d+) (.*)$/.exec(line);
        if (media) {
          port = media[2] as string;
          const shown = port === '0' ? '0' : known.includes(`${media[1]} ${port} `) ? `theirs ${port}` : 'RTP';
          return `${media[1]} ${shown} ${media[3]}`;
        }
        return line
          .replace(/^o=- \d{10,} \d{10,} /, 'o=- <id> <id> ')
          .replace(/^s=(rtpengine-\S+|causeway)$/, 's=<product>')
          .replace(/^a=rtcp:(\d+)/, (_, value: string) => `a=rtcp:${relation(value)}`)
          .replace(
            /^a=candidate:(\S+) (\d+ \S+ \d+ \S+) (\d+) (.*)$/,
            (_, foundation: string, middle: string, value: string, rest: string) =>
              known.includes(line)
                ? line
                : `a=candidate:${secret(foundation)} ${middle} ${relation(value)} ${rest.replace(/rport \d+/, 'rport RTP')}`,
          )
          .replace(/(inline:)([^|]+)/, (_, name: string, value: string) => name + secret(value))
          .replace(/^(a=ice-(?:ufrag|pwd):)(.*)/, (_, name: string, value: string) => name + secret(value))
          .replace(/^(a=fingerprint:\S+ )(.*)/, (_, name: string, value: string) => name + secret(value))
          .replace(/^(a=rtpengine:)(.*)/, (_, name: string, value: string) => name + secret(value));
      })
      .join('\n'),
  );
}
