import { existsSync, mkdirSync } from 'node:fs';
import { readdir, stat, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { RecordingFolder } from '../recordings.ts';

const BATCH = 32;

/** 0 for what has been taken away meanwhile. */
async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch {
    return 0;
  }
}

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
    async usedBytes() {
      let sum = 0;
      for (const folder of [join(at, 'pcaps'), join(at, 'metadata')]) {
        const names = await readdir(folder);
        // Not all at once: others want the threads of the file system too.
        for (let from = 0; from < names.length; from += BATCH)
          for (const bytes of await Promise.all(
            names.slice(from, from + BATCH).map((name) => sizeOf(join(folder, name))),
          ))
            sum += bytes;
      }
      return sum;
    },
    writeMetadata: (name, text) => writeFile(join(at, 'metadata', `${name}.txt`), text, { flag: 'wx', mode: 0o600 }),
  };
}
