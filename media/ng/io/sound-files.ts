import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import type { Clip, Dataplane } from '../../dataplane/mod.ts';
import { readWav } from '../operations/wav.ts';

/** Of one file: three minutes at 48 kHz stereo, half an hour of G.711. */
export const MAX_SOUND_BYTES = 33_554_432;
const MAX_KEPT_BYTES = 67_108_864;
const MAX_READING = 64;

interface Kept {
  readonly clip: Clip;
  /** Modified at, and size: another file by the same name is another sound. */
  readonly version: string;
}

/**
 * Sound files, read without holding up anybody, and kept for who plays them next: at most 64 MB of samples, the least
 * recently played go first.
 */
export class SoundFiles {
  readonly #dataplane: Pick<Dataplane, 'clip'>;
  readonly #kept = new Map<string, Kept>();
  #reading = 0;
  #bytes = 0;

  constructor(dataplane: Pick<Dataplane, 'clip'>) {
    this.#dataplane = dataplane;
  }

  /** Of what is kept. */
  get bytes(): number {
    return this.#bytes;
  }

  /** @throws Error in words when it cannot be read, is too big or is no sound. */
  async read(path: string): Promise<Clip> {
    if (this.#reading >= MAX_READING) throw new Error('too many files are being read');
    this.#reading++;
    try {
      return await this.#read(path);
    } finally {
      this.#reading--;
    }
  }

  async #read(path: string): Promise<Clip> {
    // Whoever names a pipe would wait for its writer.
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const { size, mtimeMs, ino } = await file.stat().then((stat) => {
        if (!stat.isFile()) throw new Error('it is no file');
        return stat;
      });
      if (size > MAX_SOUND_BYTES) throw new Error(`it is bigger than ${MAX_SOUND_BYTES} bytes`);
      const version = `${mtimeMs} ${size} ${ino}`;
      const kept = this.#kept.get(path);
      if (kept?.version === version) {
        // Behind the others: it goes last.
        this.#kept.delete(path);
        this.#kept.set(path, kept);
        return kept.clip;
      }
      const bytes = Buffer.alloc(size);
      const { bytesRead } = await file.read(bytes, 0, size, 0);
      const sound = readWav(bytes.subarray(0, bytesRead));
      if (!sound) throw new Error('it is no WAV file of 16-bit PCM or G.711');
      const clip = this.#dataplane.clip(sound.samples, sound.rate);
      this.#keep(path, { clip, version });
      return clip;
    } finally {
      await file.close();
    }
  }

  #keep(path: string, kept: Kept): void {
    this.#drop(path);
    this.#kept.set(path, kept);
    this.#bytes += kept.clip.bytes;
    for (const oldest of this.#kept.keys()) {
      if (this.#bytes <= MAX_KEPT_BYTES) break;
      this.#drop(oldest);
    }
  }

  #drop(path: string): void {
    this.#bytes -= this.#kept.get(path)?.clip.bytes ?? 0;
    this.#kept.delete(path);
  }
}
