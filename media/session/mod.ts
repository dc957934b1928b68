export { isOn } from './bundle.ts';
export { explain } from './explain.ts';
export { isDictionary, readFlags, text, type MediaFlags } from './flags.ts';
export type { Gates } from './gates.ts';
export { SessionManager, type ManagerOptions } from './manager.ts';
export type { SdpRequest } from './requests.ts';
export {
  SessionError,
  type Attachment,
  type Dialogue,
  type Line,
  type Session,
  type Side,
  type Subscription,
} from './session.ts';
export type { Ending } from './silence.ts';
export { answerSubscription, subscribe, unsubscribe } from './subscriptions.ts';
export { sharedFlags } from './shared-flags.ts';
