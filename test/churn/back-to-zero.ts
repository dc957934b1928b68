import assert from 'node:assert/strict';
import type { MediaNode } from '../support/media-node.ts';
import { until } from '../support/until.ts';

/** Gauges that are zero when there is no call. */
const GAUGES = ['sessions', 'endpoints', 'paths', 'transcoders', 'ports_in_use', 'native_bytes', 'taps'];

export type Usage = ReturnType<MediaNode['usage']>;

/** When all calls have ended, or have been silent for too long: exactly nothing is left of them. */
export async function assertNothingLeft(node: MediaNode, before: Usage, timeoutSeconds: number): Promise<void> {
  for (const name of GAUGES) {
    await until(`${name} is 0`, async () => (await node.total(name)) === 0, (timeoutSeconds + 10) * 1000, 200);
  }
  await until('descriptors are what they were', () => node.usage().descriptors <= before.descriptors, 10_000, 200);
  const after = node.usage();
  assert.equal(after.threads, before.threads, 'threads');
}
