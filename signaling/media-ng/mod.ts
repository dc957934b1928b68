export { MediaNg } from './client.ts';
