import type { MediaFlags } from './flags.ts';
import type { Dialogue, Session } from './session.ts';

/**
 * What an offer or answer asks of the whole call, beside its SDP: marks of packets, whose reports go out, whether anything
 * passes at all, echo. What it does not speak of stays, but for marks, which are for offers to say. @returns whether paths are others now.
 */
export function heed(
  session: Session,
  dialogue: Dialogue,
  sender: 'a' | 'b',
  flags: MediaFlags,
  of: 'offer' | 'answer',
): boolean {
  if (of === 'offer' && flags.tos !== 'keep') session.tos = flags.tos;
  const { gates, ownReports } = session;
  const { dropped } = gates;
  const { echo } = dialogue;
  gates.dropped = flags.dropTraffic ?? dropped;
  session.ownReports = flags.generateRtcp ?? ownReports;
  if (flags.echo !== undefined) {
    const backwards = flags.echo === 'both' || flags.echo === 'backwards';
    const forward = flags.echo === 'both' || flags.echo === 'forward';
    dialogue.echo = sender === 'a' ? { a: backwards, b: forward } : { a: forward, b: backwards };
  }
  return gates.dropped !== dropped || session.ownReports !== ownReports || dialogue.echo !== echo;
}

/** Every endpoint marks what it sends as the call wants it, or as the node does; nothing where nobody ever asked. */
export function markEndpoints(session: Session): void {
  const { tos, marked } = session;
  if (tos === undefined && !marked) return;
  session.marked = tos !== undefined;
  const parties = session.dialogues.flatMap(({ lines }) => lines.flatMap(({ a, b }) => [a, b]));
  const subscribers = [...session.subscriptions.values()].flatMap(({ lines }) => lines.map(({ side }) => side));
  for (const { endpoint } of [...parties, ...subscribers]) endpoint?.mark(tos);
}
