import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { Mutator } from './mutator.ts';
import { SLOW_MS, type Target } from './target.ts';
import { bencode } from './targets/bencode.ts';
import { ng } from './targets/ng.ts';
import { sdp } from './targets/sdp.ts';
import { sip, sipStream } from './targets/sip.ts';

export const TARGETS: readonly Target[] = [bencode, ng, sdp, sip, sipStream];

const FINDS = new URL('finds/', import.meta.url);

/** Inputs that have broken something once, by target: `finds/<target>/*.txt`, in base64. */
export function finds(target: Target): Map<string, Buffer> {
  const found = new Map<string, Buffer>();
  for (const name of readdirSync(FINDS, { recursive: true, encoding: 'utf8' })) {
    if (!name.startsWith(`${target.name}/`) || !name.endsWith('.txt')) continue;
    found.set(name, Buffer.from(readFileSync(new URL(name, FINDS), 'latin1'), 'base64'));
  }
  return found;
}

/** One input. @throws Error that names a file with the input, to be kept among the finds once it is understood */
export function tryOne(target: Target, input: Buffer): void {
  const started = performance.now();
  try {
    target.run(input);
    // On a machine that does other work as well the first time says nothing.
    if (performance.now() - started > SLOW_MS) {
      const before = process.cpuUsage();
      target.run(input);
      const { user } = process.cpuUsage(before);
      if (user > SLOW_MS * 1000) throw new Error(`an input takes ${Math.round(user / 1000)} ms of CPU`);
    }
  } catch (error) {
    const about = error instanceof Error ? error.message : String(error);
    throw new Error(`${target.name}: ${about.slice(0, 1000)}\nthe input: ${keep(target, input)}`, { cause: error });
  }
}

function keep(target: Target, input: Buffer): string {
  const folder = new URL('../../.stamp/finds/', import.meta.url);
  mkdirSync(folder, { recursive: true });
  const file = new URL(`${target.name}-${createHash('sha256').update(input).digest('hex').slice(0, 8)}.txt`, folder);
  writeFileSync(file, `${input.toString('base64')}\n`);
  return file.pathname;
}

/** Seeds, then mutations that hold so many texts. @returns how many inputs have run */
export function fuzz(target: Target, inputs: number, seed: number): number {
  for (const input of target.seeds) tryOne(target, input);
  const mutator = new Mutator(seed, target.seeds, target.words);
  const count = Math.ceil(inputs / (target.texts ?? 1));
  for (let i = 0; i < count; i++) tryOne(target, mutator.next());
  return target.seeds.length + count;
}
