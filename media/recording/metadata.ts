import type { RecordingResult } from '../dataplane/mod.ts';
import { isOn, type Session } from '../session/mod.ts';

/** What is told of a recording when it ends; times are epoch ms. */
export interface RecordingFacts {
  readonly callId: string;
  readonly file: string;
  readonly startedAt: number;
  readonly endedAt: number;
  /** Why it has ended: stopped, ended (with the call), quota, failed. */
  readonly reason: string;
  readonly result: RecordingResult;
  /** What `metadata` said, one for each command that had some. */
  readonly metadata: readonly string[];
  /** {@link streamsOf}, as the call has had them. */
  readonly streams: readonly string[];
}

/** Of one line; more is cut off. */
export const MAX_VALUE = 4096;

/** One `name: value` a line; what came from the network has no control characters there. */
export function metadataText(facts: RecordingFacts): string {
  const { result } = facts;
  const lines: (readonly [string, string])[] = [
    ['call-id', facts.callId],
    ['file', facts.file],
    ['started', new Date(facts.startedAt).toISOString()],
    ['ended', new Date(facts.endedAt).toISOString()],
    ['reason', facts.reason],
    ['packets', String(result.packets)],
    ['bytes', String(result.bytes)],
    ...(result.error === undefined ? [] : [['error', result.error] as const]),
    ...facts.streams.map((stream) => ['stream', stream] as const),
    ...facts.metadata.map((text) => ['metadata', text] as const),
  ];
  return lines.map(([name, value]) => `${name}: ${printable(value)}\n`).join('');
}

function printable(text: string): string {
  // oxlint-disable-next-line no-control-regex -- they are what is taken out
  return text.slice(0, MAX_VALUE).replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ');
}

/**
 * The ends of a call towards parties that have spoken: `<media line> <kind> <where we listen> <what the party told> <formats>
 * <its tag>`. Lines of a bundle have one address: `mid=` and `ssrc=` are among their formats. The tag is last, it may hold
 * anything.
 */
export function streamsOf(session: Session): readonly string[] {
  return session.dialogues.flatMap(({ a, b, lines }) =>
    lines.flatMap((line) =>
      (
        [
          [a, line.a],
          [b, line.b],
        ] as const
      ).flatMap(([party, side]) => {
        const { endpoint, remote } = side;
        if (!endpoint || !remote) return [];
        const { address, port } = endpoint.rtp;
        const theirs = remote.rtp ? `${remote.rtp.address}:${remote.rtp.port}` : '-';
        const own = side.codecs.map(({ pt, name, clockRate }) => `${pt}=${name}/${clockRate}`);
        // Of several lines with one address in the file.
        const named = isOn(party, side)
          ? [...(remote.mid === undefined ? [] : [`mid=${remote.mid}`]), ...remote.ssrcs.map((ssrc) => `ssrc=${ssrc}`)]
          : [];
        const formats = [...own, ...named].join(',');
        const kind = line.a.remote?.kind ?? line.b.remote?.kind ?? '-';
        return [`${line.index + 1} ${kind} ${address}:${port} ${theirs} ${formats || '-'} ${party.tag ?? ''}`];
      }),
    ),
  );
}
