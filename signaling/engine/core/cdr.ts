import type { Message } from '../message/mod.ts';
import { frameTime, type Core } from './context.ts';

/** Where the message came from that the record is about. */
export type CdrSource = 'network' | 'application';
export type CdrRole = 'uac' | 'uas' | 'proxy-uac' | 'proxy-uas';
export type CdrReason =
  | 'call-rejected'
  | 'call-canceled'
  | 'normal-release'
  | 'session-expired'
  | 'system-initiated-termination'
  | 'system-error-initiated-termination';

/** A call is tried (control protocol §12). */
export function cdrAttempt(core: Core, source: CdrSource, message: Message): void {
  tell(core, 'attempt', source, message);
}

export function cdrStart(core: Core, source: CdrSource, role: CdrRole, message: Message): void {
  tell(core, 'start', source, message, role);
}

export function cdrStop(core: Core, source: CdrSource, reason: CdrReason, message: Message): void {
  tell(core, 'stop', source, message, reason);
}

/** To one of the applications that have asked for this kind of record, in turn. */
function tell(
  core: Core,
  kind: 'attempt' | 'start' | 'stop',
  source: CdrSource,
  message: Message,
  detail?: string,
): void {
  const app = core.apps.pickRecorder(`cdr:${kind}`);
  if (!app) return;
  const fields = [core.ids.uuid(), `cdr:${kind}`, source, frameTime(core), ...(detail === undefined ? [] : [detail])];
  app.send(`${fields.join('|')}\r\n${message.toString()}`);
}
