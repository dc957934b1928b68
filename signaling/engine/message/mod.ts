export * from './headers.ts';
export * from './list.ts';
export { Message } from './message.ts';
export { canonicalName, defaultReason } from './names.ts';
export { LIMITS, parseMessage } from './parse.ts';
export type * from './sip-message.ts';
export { StreamFramer, type Framed } from './stream-framer.ts';
export * from './uri.ts';
