import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Private } from '../vocabulary/mod.ts';

/** A secret from a file, without its line end. @throws Error naming the key and the file. */
export function secretFromFile(key: string, file: string): Private<string> {
  try {
    const text = readFileSync(file, 'utf8').replace(/\r?\n$/, '');
    if (text === '') throw new Error('it is empty');
    return new Private(text);
  } catch (error) {
    throw new Error(`${key}: cannot read "${file}": ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

/** The key of nonces and peer tokens: shared by the nodes of a PoP, or of this process alone. */
export function nonceSecret(file: string | undefined): Private<Buffer> {
  if (file === undefined) return new Private(randomBytes(32));
  return new Private(Buffer.from(secretFromFile('nonceSecretFile', file).reveal(), 'utf8'));
}

/** A random key of this machine that outlives the process: made when it is missing, good for this run where it cannot be kept. */
export function keptKey(folder: string, name: string): Private<string> {
  const file = join(folder, name);
  const fresh = randomBytes(32).toString('hex');
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    // Fails when it is there: two that start at once must not write two keys.
    writeFileSync(file, fresh, { mode: 0o600, flag: 'wx' });
    return new Private(fresh);
  } catch {
    try {
      return new Private(readFileSync(file, 'utf8').trim() || fresh);
    } catch {
      return new Private(fresh);
    }
  }
}
