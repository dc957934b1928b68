// The native tests under sanitizers: the audio pipeline and the parsers with ASan and UBSan, the threads with TSan.
// It links Node's headers against the distribution's OpenSSL 3, which speaks the same interface.
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
const core = globSync('core/*.cc', { cwd: native });
const net = globSync('net/*.cc', { cwd: native });
const asan = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'];
const runs = [
  ['pipeline', asan, ['test/pipeline_test.cc', ...core], []],
  ['srtp', asan, ['test/srtp_test.cc', 'net/srtp.cc', 'net/srtp_session.cc'], []],
  [
    'fuzz',
    asan,
    ['test/fuzz_test.cc', ...core, 'net/dtls.cc', 'net/srtp.cc', 'net/srtp_session.cc', 'net/stun.cc'],
    [rounds, seed],
  ],
  ['threads', ['-fsanitize=thread'], ['test/threads_test.cc', ...core, ...net], []],
];

let failed = 0;
try {
  for (const [name, flags, sources, args] of runs) {
    const objects = compile(name, flags, sources);
    const program = join(folder, name);
    const ok =
      objects !== undefined &&
      run('g++', [...flags, '-o', program, ...objects, '-lopus', '-l:libssl.so.3', '-l:libcrypto.so.3', '-lpthread']);
    const result = ok
      ? spawnSync(program, args, { encoding: 'utf8', env: { ...process.env, TSAN_OPTIONS: 'halt_on_error=1' } })
      : { status: 1, stdout: '', stderr: '' };
    if (result.status !== 0) failed++;
    console.log(`${result.status === 0 ? 'ok  ' : 'FAIL'} native ${name}`);
    console.log(`${result.stdout}${result.status === 0 ? '' : result.stderr.slice(0, 6000)}`.trimEnd());
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exit(failed === 0 ? 0 : 1);

/** Two at a time would need more than this is worth: make does it. */
function compile(name, flags, sources) {
  const objects = sources.map((source) => join(folder, `${name}-${source.replaceAll('/', '-')}.o`));
  const rules = sources.map((source, i) => {
    const command = [
      'g++',
      '-std=c++20',
      '-O1',
      '-g',
      ...flags,
      `-I${headers}`,
      '-I/usr/include/opus',
      '-c',
      join(native, source),
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
