// The C tools of the benchmarks: compiled on demand, kept by the hash of their sources.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../install.mjs';

const SOURCES = join(ROOT, 'tools/bench/native');
const CACHE = join(ROOT, 'node_modules/.cache/causeway-bench');

const TOOLS = {
  netns: { files: ['netns.c'], libraries: [] },
  rtpload: { files: ['rtpload.c', 'check.c', 'flows.c', 'srtp.c', 'usage.c'], libraries: ['-lcrypto'] },
  floor: { files: ['floor.c', 'flows.c', 'srtp.c'], libraries: ['-lcrypto'] },
  ngload: { files: ['ngload.c', 'bencode.c', 'usage.c'], libraries: [] },
  dtlsload: { files: ['dtlsload.c', 'stun.c', 'srtp.c', 'usage.c'], libraries: ['-lssl', '-lcrypto'] },
  mkpayload: { files: ['mkpayload.c'], libraries: ['-lopus', '-lm'] },
};

/** The path of a tool. @throws Error with what the compiler says. */
export function tool(name) {
  const { files, libraries } = TOOLS[name];
  const flags = ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-Werror'];
  const hash = createHash('sha256').update(JSON.stringify([files, libraries, flags, process.arch]));
  const headers = readdirSync(SOURCES).filter((file) => file.endsWith('.h'));
  for (const file of [...headers.sort(), ...files]) hash.update(file).update(readFileSync(join(SOURCES, file)));
  const path = join(CACHE, `${name}-${hash.digest('hex').slice(0, 16)}`);
  if (existsSync(path)) return path;
  mkdirSync(CACHE, { recursive: true });
  // Under another name first: a half-written file must not pass for the tool.
  const result = spawnSync('gcc', [...flags, '-o', `${path}.${process.pid}`, ...files, ...libraries], {
    cwd: SOURCES,
    encoding: 'utf8',
  });
  if (result.status !== 0) throw new Error(`gcc could not build ${name}:\n${result.error ?? result.stderr}`);
  renameSync(`${path}.${process.pid}`, path);
  return path;
}

/** Speech-like frames of each codec, made once. Returns their folder. */
export function payloads() {
  const maker = tool('mkpayload');
  const folder = `${maker}.frames`;
  if (existsSync(folder)) return folder;
  const half = `${folder}.${process.pid}`;
  mkdirSync(half, { recursive: true });
  const result = spawnSync(maker, [half], { encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`mkpayload failed: ${result.stderr}`);
  renameSync(half, folder);
  return folder;
}
