export * from './address.ts';
export * from './bencode.ts';
export * from './ids.ts';
export * from './private.ts';
export * from './time.ts';
