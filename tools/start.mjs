// npm start: installs what is missing, then becomes the whole PoP.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { install, ROOT } from './install.mjs';

await install();
const up = spawn(join(ROOT, 'bin/causeway'), ['up', ...process.argv.slice(2)], { stdio: 'inherit' });
// Ctrl-C reaches the PoP by itself: it is in the same process group. This process only waits for its end.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => up.kill('SIGTERM'));
up.on('exit', (status, signal) => process.exit(status ?? (signal === 'SIGINT' ? 0 : 1)));
