import type { B2buaParts } from './parts.ts';
import type { CallRecord } from './record.ts';

/** The call is over: media is given back and its detail record is complete. Twice does no harm. */
export function endCall(
  parts: B2buaParts,
  call: CallRecord,
  by: NonNullable<CallRecord['cdr']['endedBy']>,
  cause: string,
): void {
  if (call.state === 'ended') return;
  call.state = 'ended';
  call.cdr.endedAt = parts.now();
  call.cdr.endedBy = by;
  call.cdr.cause = cause;
  parts.calls.remove(call);
  if (call.media) void parts.media.release(call.media);
  parts.onEnded(call);
}
