export { receiveCommand } from './commands.ts';
export type { Challenge, Core, CorePolicy, Routed } from './context.ts';
export { createCore } from './core.ts';
export { randomIds } from './ids.ts';
export { appGone, receive, receiveMalformed } from './inbound.ts';
