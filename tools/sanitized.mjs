// Native sources compiled with a sanitizer. Objects stay in build/sanitized and are made again when what they include has
// changed; whoever comes while another compiles waits for it.
import { spawnSync } from 'node:child_process';
import { globSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ROOT } from './install.mjs';

export const NATIVE = join(ROOT, 'media/dataplane/native');
export const LIBRARY = globSync(['core/*.cc', 'net/*.cc'], { cwd: NATIVE });
/** What the programs are linked with: Node's OpenSSL headers and the distribution's libraries speak the same interface. */
export const LIBRARIES = ['-lopus', '-l:libssl.so.3', '-l:libcrypto.so.3', '-lpthread'];

const ASAN = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'];
/** By name: the compiler, its flags, and those that are for the linker alone. */
export const KINDS = {
  asan: { compiler: 'g++', flags: ASAN, link: [] },
  tsan: { compiler: 'g++', flags: ['-fsanitize=thread'], link: [] },
  libfuzzer: { compiler: 'clang++', flags: [...ASAN, '-fsanitize=fuzzer-no-link'], link: ['-fsanitize=fuzzer'] },
};

/** Two at a time, by make. `files`: relative to the native folder. The objects, or undefined when one does not compile. */
export function compile(kind, files) {
  const { compiler, flags } = KINDS[kind];
  const folder = join(NATIVE, 'build/sanitized', kind);
  mkdirSync(folder, { recursive: true });
  const headers = join(dirname(dirname(process.execPath)), 'include/node');
  const command = [compiler, '-std=c++20', '-O1', '-g1', '-MMD', ...flags, `-I${headers}`, '-I/usr/include/opus'].join(
    ' ',
  );
  const object = (file) => join(folder, `${file.replaceAll('/', '-')}.o`);
  const rules = files.map(
    (file) =>
      `${object(file)}: ${join(NATIVE, file)}\n\t${command} -MT $@ -c ${join(NATIVE, file)} -o $@.part\n\tmv $@.part $@`,
  );
  const objects = files.map(object);
  const input = `all: ${objects.join(' ')}\n${rules.join('\n')}\n-include ${join(folder, '*.d')}\n`;
  const make = ['make', '-s', '-j2', '-f', '-', 'all'];
  const result = spawnSync('flock', [join(folder, 'lock'), ...make], { input, encoding: 'utf8' });
  if (result.status === 0) return objects;
  console.log(result.stderr.slice(0, 4000));
  return undefined;
}

/** @returns whether the program could be linked. */
export function link(kind, program, objects) {
  const { compiler, flags, link: own } = KINDS[kind];
  const result = spawnSync(compiler, [...flags, ...own, '-o', program, ...objects, ...LIBRARIES], { encoding: 'utf8' });
  if (result.status !== 0) console.log(result.stderr.slice(0, 4000));
  return result.status === 0;
}
