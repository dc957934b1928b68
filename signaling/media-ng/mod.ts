export { MediaNg } from './client.ts';
export { FixedNodes } from './fixed-nodes.ts';
