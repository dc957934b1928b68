// The native tests under sanitizers: rules, SRTP, the audio pipeline and the parsers with ASan and UBSan, the threads with
// TSan. It links Node's headers against the distribution's OpenSSL 3, which speaks the same interface.
import { spawnSync } from 'node:child_process';
import { globSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const root = new URL('..', import.meta.url).pathname.replace(/\/$/, '');
const native = join(root, 'media/dataplane/native');
const rounds = process.argv.includes('--full') ? '200000' : '20000';
const seed = process.argv.find((text) => /^--seed=\d+$/.test(text))?.slice(7) ?? '1';
const headers = join(dirname(dirname(process.execPath)), 'include/node');
const folder = mkdtempSync(join(tmpdir(), 'causeway-native-'));
const sources = globSync(['core/*.cc', 'net/*.cc'], { cwd: native });
/** What is built once with each sanitizer, and the programs that are linked with it. */
const builds = [
  {
    name: 'asan',
    flags: ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'],
    programs: [
      ['rules', []],
      ['srtp', []],
      ['pipeline', []],
      ['recorder', []],
      ['fuzz', [rounds, seed]],
    ],
  },
  {
    name: 'tsan',
    flags: ['-fsanitize=thread'],
    programs: [
      ['threads', []],
      ['recorder', []],
    ],
  },
];

let failed = 0;
try {
  for (const { name, flags, programs } of builds) {
    const objects = compile(name, flags, sources);
    const tests = compile(
      name,
      flags,
      programs.map(([program]) => `test/${program}_test.cc`),
    );
    for (const [index, [program, args]] of programs.entries()) {
      const path = join(folder, program);
      const ok =
        objects !== undefined &&
        tests !== undefined &&
        run('g++', [
          ...flags,
          '-o',
          path,
          tests[index],
          ...objects,
          '-lopus',
          '-l:libssl.so.3',
          '-l:libcrypto.so.3',
          '-lpthread',
        ]);
      const result = ok
        ? spawnSync(path, args, { encoding: 'utf8', env: { ...process.env, TSAN_OPTIONS: 'halt_on_error=1' } })
        : { status: 1, stdout: '', stderr: '' };
      if (result.status !== 0) failed++;
      console.log(`${result.status === 0 ? 'ok  ' : 'FAIL'} native ${program}`);
      console.log(`${result.stdout}${result.status === 0 ? '' : result.stderr.slice(0, 6000)}`.trimEnd());
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exit(failed === 0 ? 0 : 1);

/** Two at a time, by make. The objects, or undefined when one does not compile. */
function compile(name, flags, files) {
  const objects = files.map((file) => join(folder, `${name}-${file.replaceAll('/', '-')}.o`));
  const rules = files.map((file, i) => {
    const command = [
      'g++',
      '-std=c++20',
      '-O1',
      '-g1',
      ...flags,
      `-I${headers}`,
      '-I/usr/include/opus',
      '-c',
      join(native, file),
      '-o',
      objects[i],
    ];
    return `${objects[i]}:\n\t${command.join(' ')}\n`;
  });
  const makefile = `all: ${objects.join(' ')}\n${rules.join('')}`;
  const result = spawnSync('make', ['-s', '-j2', '-f', '-', 'all'], { input: makefile, encoding: 'utf8' });
  if (result.status === 0) return objects;
  console.log(result.stderr.slice(0, 4000));
  return undefined;
}

function run(command, args) {
  const result = spawnSync(command, args, { encoding: 'utf8' });
  if (result.status !== 0) console.log(result.stderr.slice(0, 4000));
  return result.status === 0;
}
