export { createDataplane } from './native.ts';
export { openRequestSocket, type RequestCounters, type RequestSocket } from './requests.ts';
export type * from './figures.ts';
export * from './port.ts';
export type * from './path.ts';
export type { Clip, KeyPress, Playback } from './sound.ts';
