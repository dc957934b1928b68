import { isEvent, isSpeech, sameCodec, type Codec } from '../../codecs/mod.ts';
import type { Dataplane } from '../dataplane/mod.ts';
import { codableFormats, pathBetween } from './formats.ts';
import { gateOf, openGates } from './gates.ts';
import type { Dialogue, Line, Session, Side } from './session.ts';

/** Both directions of a line, as it was last agreed on and as its parties are held back now. */
export function connectLine(dataplane: Dataplane, session: Session, dialogue: Dialogue, line: Line): void {
  const { agreed } = line;
  if (!agreed || !line.a.endpoint || !line.b.endpoint) return;
  for (const from of ['a', 'b'] as const) {
    const sender = line[from];
    const receiver = line[from === 'a' ? 'b' : 'a'];
    if (!sender.endpoint || !receiver.endpoint) continue;
    const codecs = senderCodecs(sender, agreed.from === from);
    const path = pathBetween(
      { ...endOf(sender, agreed.speech?.[from]), codecs },
      endOf(receiver, agreed.speech?.[from === 'a' ? 'b' : 'a']),
      agreed.speech !== undefined,
    );
    const events = codecs.filter(isEvent).map(({ pt, clockRate }) => ({ pt, clockRate }));
    const gates = [session.gates, dialogue[from].gates];
    const { echo } = dialogue;
    if (echo?.[from] === true && !agreed.passing) {
      // In a stream of ours, where it can be coded: nobody likes to find its own SSRC (RFC 3550 §8.2).
      const self = endOf(sender, undefined);
      const back = pathBetween({ ...self, codecs }, self, true);
      dataplane.setPath(sender.endpoint, sender.endpoint, { ...back, ...gateOf(gates, events, false) });
      continue;
    }
    if (echo) gates.push({ ...openGates(), dropped: true });
    const gate = gateOf(gates, events, agreed.passing);
    const ownReports = session.ownReports && path.mode === 'relay' && !agreed.passing;
    const codable =
      path.mode === 'relay' && (receiver.insertable || ownReports) && !agreed.passing
        ? { codable: codableFormats(receiver.codecs, receiver.ptimeMs ?? sender.remote?.ptimeMs, receiver.tuning) }
        : {};
    const reports = ownReports ? { ownReports } : {};
    dataplane.setPath(sender.endpoint, receiver.endpoint, { ...path, ...gate, ...codable, ...reports });
  }
}

function endOf(side: Side, chosen: Codec | undefined) {
  return {
    codecs: side.codecs,
    speech: chosen ?? side.codecs.find(isSpeech),
    ptimeMs: side.ptimeMs ?? side.remote?.ptimeMs,
    tuning: side.tuning,
  };
}

/** An answerer sends by our offer's numbers too, whatever it calls the formats itself. */
export function senderCodecs(side: Side, offered: boolean): readonly Codec[] {
  if (offered) return side.codecs;
  const numbers = new Set(side.codecs.map(({ pt }) => pt));
  const accepted = side.offered.filter(
    (codec) => !numbers.has(codec.pt) && side.codecs.some((other) => sameCodec(other, codec)),
  );
  return [...side.codecs, ...accepted];
}
