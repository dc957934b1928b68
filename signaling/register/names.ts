/** What the configuration can name; it must not have to load the registrar for that. */
export { DIGEST_ALGORITHMS } from './digest.ts';
export { PROFILE_NAMES } from './profile.ts';
