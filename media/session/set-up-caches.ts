import type { CacheCounters } from './bounded-cache.ts';
import { sdpLinesCounters } from './parse-sdp.ts';
import { sharedFlagsCounters } from './shared-flags.ts';

/** What is kept of the texts of offers and answers, for metrics: of this process, by name. */
export function setUpCaches(): Readonly<Record<'sdp-lines' | 'flags', CacheCounters>> {
  return { 'sdp-lines': sdpLinesCounters(), flags: sharedFlagsCounters() };
}
