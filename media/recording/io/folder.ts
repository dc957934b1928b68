import { existsSync, mkdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { RecordingFolder } from '../recordings.ts';

/** `pcaps/` and `metadata/` in a folder that only we may read. @throws Error in words when they cannot be made. */
export function openRecordingFolder(directory: string): RecordingFolder {
  const at = resolve(directory);
  try {
    // Not `recursive`: in a file system that refuses new folders (/proc) that never ends in Node 24.
    for (const folder of [at, join(at, 'pcaps'), join(at, 'metadata')])
      if (!existsSync(folder)) mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    throw new Error(`cannot record into ${at}: ${(error as Error).message}`, { cause: error });
  }
  return {
    pcap: (name) => join(at, 'pcaps', `${name}.pcap`),
    writeMetadata: (name, text) => writeFile(join(at, 'metadata', `${name}.txt`), text, { flag: 'wx', mode: 0o600 }),
  };
}
