export { Engine, type EngineOptions, type EngineStats } from './engine.ts';
export type { RequestHandler } from './control/mod.ts';
export type { Challenge } from './core/mod.ts';
export { TransportError } from './io/mod.ts';
export {
  bareHost,
  escapeUser,
  parseAddressList,
  parseAuth,
  parseContacts,
  parseCSeq,
  parseNameAddr,
  parseUri,
  quote,
  tagOf,
  type NameAddr,
  type SipMessage,
  type SipUri,
} from './message/mod.ts';
