export type * from './sip-message.ts';
