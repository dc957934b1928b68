// Files of a benchmark: one folder, gone when the process ends, however it ends.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

let root;
let serial = 0;

/** A new empty folder. */
export function scratch() {
  if (root === undefined) {
    root = mkdtempSync(join(tmpdir(), 'causeway-bench-'));
    process.on('exit', () => rmSync(root, { recursive: true, force: true }));
  }
  const folder = join(root, String(++serial));
  mkdirSync(folder);
  return folder;
}
