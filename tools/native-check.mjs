// The native tests under sanitizers: rules, SRTP, the audio pipeline and requests with ASan and UBSan, the threads with TSan.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compile, LIBRARY, link } from './sanitized.mjs';

const folder = mkdtempSync(join(tmpdir(), 'causeway-native-'));
const BUILDS = [
  { kind: 'asan', programs: ['rules', 'ice', 'srtp', 'pipeline', 'player', 'recorder', 'requests'] },
  { kind: 'tsan', programs: ['threads', 'recorder'] },
];

let failed = 0;
try {
  for (const { kind, programs } of BUILDS) {
    const sources = programs.map((program) => `test/${program}_test.cc`);
    const objects = compile(kind, [...sources, ...LIBRARY]);
    for (const [index, name] of programs.entries()) {
      const path = join(folder, name);
      const ok = objects !== undefined && link(kind, path, [objects[index], ...objects.slice(programs.length)]);
      const environment = { ...process.env, TSAN_OPTIONS: 'halt_on_error=1' };
      const result = ok
        ? spawnSync(path, [], { encoding: 'utf8', env: environment })
        : { status: 1, stdout: '', stderr: '' };
      if (result.status !== 0) failed++;
      console.log(`${result.status === 0 ? 'ok  ' : 'FAIL'} native ${name}`);
      console.log(`${result.stdout}${result.status === 0 ? '' : result.stderr.slice(0, 6000)}`.trimEnd());
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exit(failed === 0 ? 0 : 1);
