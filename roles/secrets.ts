import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
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
