export { explain } from './explain.ts';
export { isDictionary, readFlags, text, type MediaFlags } from './flags.ts';
export { SessionManager, type Ending, type ManagerOptions } from './manager.ts';
export { SessionError, type Dialogue, type Line, type Session, type Side } from './session.ts';
export { sharedFlags } from './shared-flags.ts';
