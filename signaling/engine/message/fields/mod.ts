/** Headers of extensions, each family in a file: read and written, without any state. */
export * from './auth.ts';
export * from './event.ts';
export * from './identity.ts';
export * from './option-tags.ts';
export * from './outbound.ts';
export * from './push.ts';
export * from './reason.ts';
export * from './reliable.ts';
export * from './replaces.ts';
export * from './routes.ts';
export { parseSeconds } from './seconds.ts';
export * from './session-timer.ts';
