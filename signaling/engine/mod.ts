export { Engine, type EngineOptions, type EngineStats } from './engine.ts';
export type { Challenge } from './core/mod.ts';
export { TransportError } from './io/mod.ts';
