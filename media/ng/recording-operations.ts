import type { Recordings } from '../recording/mod.ts';
import { text } from '../session/mod.ts';
import type { OperationRequest, Operations } from './media-commands.ts';
import type { Dictionary } from './message.ts';
import { wordsOf } from './request.ts';

/** `recordings` undefined: nothing is recorded here, and all is well, as in an rtpengine without `--recording-dir`. */
export function recordingOperations(recordings: Recordings | undefined): Operations {
  const operation =
    (work: (recordings: Recordings, session: NonNullable<OperationRequest['session']>, message: Dictionary) => void) =>
    ({ session, message }: OperationRequest) => {
      if (recordings && session) work(recordings, session, message);
      return {};
    };
  return {
    // To rtpengine's own recording daemon, which reads its kernel module's files: without that, 10.5 says ok and does nothing.
    'start forwarding': () => ({}),
    'stop forwarding': () => ({}),
    'start recording': operation((all, session, message) => all.start(session, text(message['metadata']))),
    'pause recording': operation((all, session) => all.pause(session)),
    'stop recording': operation((all, session, message) => {
      const paused = wordsOf(message['flags']).has('pause') || wordsOf(message['pause']).has('yes');
      if (paused) all.pause(session);
      else all.stop(session);
    }),
  };
}

/** What an offer or answer says by `record-call`, as a key or a flag; `undefined` when it says nothing. */
export function recordingWish(message: Dictionary): 'start recording' | 'stop recording' | undefined {
  const word = text(message['record-call'])?.toLowerCase();
  if (word === 'yes' || word === 'on' || word === 'true' || word === '1') return 'start recording';
  if (word === 'no' || word === 'off' || word === 'false' || word === '0') return 'stop recording';
  return wordsOf(message['flags']).has('record-call') ? 'start recording' : undefined;
}
