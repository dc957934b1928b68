export { Trunks, type Trunk } from './trunks.ts';
