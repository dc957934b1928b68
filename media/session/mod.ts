export { isOn } from './bundle.ts';
export type { Dialect } from './dialect.ts';
export { explain } from './explain.ts';
export { isDictionary, readFlags, text, type MediaFlags } from './flags.ts';
export type { Gates } from './gates.ts';
export { LIMIT_TEXTS, NodeLoad, type LimitName } from './load.ts';
export { SessionManager } from './manager.ts';
export type { ManagerOptions } from './options.ts';
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
export { setUpCaches } from './set-up-caches.ts';
export type { TransformMedia } from './transformations.ts';
export { sharedFlags } from './shared-flags.ts';
