export { createDataplane } from './native.ts';
export * from './port.ts';
export type * from './path.ts';
export type { Clip, KeyPress, Playback } from './sound.ts';
