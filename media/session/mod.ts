export { isDictionary, readFlags, text, type MediaFlags } from './flags.ts';
export { SessionManager, type Ending, type ManagerOptions } from './manager.ts';
export type { Gates } from './gates.ts';
export { SessionError, type Dialogue, type Line, type Session, type Side } from './session.ts';
