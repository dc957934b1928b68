import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MediaNode } from '../support/media-node.ts';

/** The least that a node can be told. */
export const TIMEOUT_SECONDS = 5;

/** So little that garbage is collected all the time, and what is not garbage ends the process soon. */
const HEAP = '--max-old-space-size=128 --max-semi-space-size=4';

/** A node that gives up silent calls soon, with few enough ports that they run out now and then. */
export async function churnNode(base: number): Promise<MediaNode> {
  const folder = mkdtempSync(join(tmpdir(), 'causeway-churn-'));
  const config = join(folder, 'pop.yaml');
  writeFileSync(config, JSON.stringify({ media: [{ id: 'node', timeoutSeconds: TIMEOUT_SECONDS, threads: 2 }] }));
  try {
    return await MediaNode.start(base, base + 799, ['--config', config], { NODE_OPTIONS: HEAP });
  } finally {
    rmSync(folder, { recursive: true });
  }
}
