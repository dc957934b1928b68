export { NgSocket } from './io/ng-socket.ts';
export { MediaNg } from './client.ts';
export { FixedNodes } from './fixed-nodes.ts';
