import { canTranscode, isSpeech, sameCodec, type Codec } from '../../codecs/mod.ts';
import { isIPv6 } from 'node:net';
import type { Endpoint, PathSpec } from '../dataplane/mod.ts';
import type { HostPort } from '../../vocabulary/mod.ts';
import { closeDialogue, MAX_DIALOGUES, newDialogue } from './dialogues.ts';
import { chooseInterface } from './interfaces.ts';
import { pathBetween } from './formats.ts';
import type { CopyParts } from './publications.ts';
import type { RemoteMedia } from './remote-media.ts';
import { newLine, newParty, SessionError, type Dialogue, type Line, type Session } from './session.ts';
import { openSide } from './transport.ts';

export interface TransformRequest {
  readonly callId: string;
  readonly fromTag: string;
  readonly interfaceName: string | undefined;
  readonly media: readonly TransformMedia[];
}

/** What comes in one of these formats leaves for `destination` in the format beside it. */
export interface TransformMedia {
  readonly kind: string;
  readonly codecs: readonly { readonly input: Codec; readonly output: Codec }[];
  readonly destination: HostPort;
}

/**
 * A stream in, another format out, without SDP: ng's `transform`. Whoever sends first to the end that is opened is heard
 * there, and from there the result goes to its destination. The same from-tag again takes the place of what was there.
 * @returns the ends, in the order of the media. @throws SessionError; nothing is left open then.
 */
export function transform(parts: CopyParts, session: Session, request: TransformRequest): readonly Endpoint[] {
  const { dataplane } = parts;
  const { fromTag, media } = request;
  const known = session.dialogues.find(({ published, a }) => published && a.tag === fromTag);
  if (!known && session.dialogues.some(({ a, b }) => a.tag === fromTag || b.tag === fromTag)) throw failed();
  if (!known && session.dialogues.length >= MAX_DIALOGUES)
    throw new SessionError('full', `more than ${MAX_DIALOGUES} branches in one call`);
  const paths = media.map(pathOf);
  const lines: Line[] = [];
  try {
    const ends = media.map((one, index) => openLine(parts, session, request, one, index, lines));
    for (const [index, end] of ends.entries()) dataplane.setPath(end, end, paths[index]);
    if (known) remove(session, known);
    session.dialogues.push(newDialogue(session, { a: newParty(fromTag), published: true, lines }));
    return ends;
  } catch (error) {
    for (const { a } of lines) a.endpoint?.close();
    throw error;
  }
}

function failed(cause?: string): SessionError {
  return new SessionError('bad-request', 'Failed to set up transform', cause === undefined ? {} : { cause });
}

function remove(session: Session, dialogue: Dialogue): void {
  closeDialogue(dialogue);
  session.dialogues.splice(session.dialogues.indexOf(dialogue), 1);
}

/** All speech has one format afterwards; what need not be coded passes. @throws SessionError */
function pathOf({ kind, codecs }: TransformMedia): PathSpec {
  const speech = codecs.filter(({ input }) => isSpeech(input));
  const [first] = speech;
  if (!first) throw failed('no codec');
  if (codecs.every(({ input, output }) => input.pt === output.pt && sameCodec(input, output))) return { mode: 'relay' };
  const one = speech.every(({ output }) => output.pt === first.output.pt && sameCodec(output, first.output));
  const able = speech.every(({ input, output }) => canTranscode(input) && canTranscode(output));
  if (kind !== 'audio' || !one || !able) throw failed('nothing here codes this');
  const end = (which: 'input' | 'output') => ({
    codecs: codecs.map((pair) => pair[which]),
    speech: first[which],
    ptimeMs: undefined,
    tuning: [],
  });
  return pathBetween(end('input'), end('output'), true);
}

function openLine(
  { dataplane, interfaces }: CopyParts,
  session: Session,
  { interfaceName }: TransformRequest,
  { kind, codecs, destination }: TransformMedia,
  index: number,
  lines: Line[],
): Endpoint {
  const line = newLine(index);
  lines.push(line);
  const side = line.a;
  side.codecs = codecs.map(({ input }) => input);
  side.remote = remoteOf(kind, side.codecs, destination);
  const direction = interfaceName === undefined ? [] : ['', interfaceName];
  const addressFamily = isIPv6(destination.address) ? 'IP6' : 'IP4';
  const name = chooseInterface(interfaces, { direction, addressFamily }, 1, side.remote);
  openSide(dataplane, side, name, session.callId);
  if (!side.endpoint) throw failed();
  const rules = { learning: 'asymmetric', strictSource: false, rtcpMux: false, crypto: { type: 'none' } } as const;
  side.endpoint.configure({ ...rules, rtp: destination });
  return side.endpoint;
}

function remoteOf(kind: string, codecs: readonly Codec[], rtp: HostPort): RemoteMedia {
  return {
    ...{ kind, protocol: 'RTP/AVP', carriage: 'rtp', rejected: false, rtp, rtcp: undefined, rtcpMux: false },
    ...{ direction: 'sendrecv', nowhere: false, unconnected: false, codecs, ptimeMs: undefined, mid: undefined },
    ...{ bundleOnly: false, midExtension: undefined, ssrcs: [], candidates: [] },
    ...{ ice: undefined, iceLite: false, trickle: false, fingerprints: [], setup: undefined, sdes: [] },
  };
}
