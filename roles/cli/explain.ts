import { parseArgs } from 'node:util';
import { NgSocket } from '../../signaling/media-ng/mod.ts';
import { parseHostPort } from '../../vocabulary/mod.ts';
import { helpOf } from './help.ts';

/** Asks media nodes about a call, by ng. @returns the exit status: 0 when one of them knows it. */
export async function runExplain(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      ng: { type: 'string', multiple: true },
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help === true) {
    process.stdout.write(helpOf('explain'));
    return 0;
  }
  const nodes = (values.ng ?? ['127.0.0.1:2223']).flatMap((text) => text.split(','));
  const wrong = nodes.find((node) => parseHostPort(node) === undefined);
  if (wrong !== undefined) throw new Error(`--ng: found "${wrong}", wanted HOST:PORT`);
  const [callId] = positionals;
  const socket = new NgSocket();
  let status = 1;
  try {
    for (const node of nodes) {
      if (callId === undefined) {
        const { calls } = await socket.request(node, { command: 'list', limit: 1000 });
        process.stdout.write(`${node}: ${(calls as string[]).length} calls\n`);
        for (const call of calls as string[]) process.stdout.write(`  ${call}\n`);
        status = 0;
        continue;
      }
      const reply = await socket.request(node, { command: 'explain', 'call-id': callId });
      if (reply['result'] !== 'ok') {
        process.stderr.write(`causeway: ${node}: ${String(reply['error-reason'])}\n`);
        continue;
      }
      const lines = reply['explanation'] as string[];
      process.stdout.write(values.json === true ? `${JSON.stringify(lines)}\n` : `${lines.join('\n')}\n`);
      status = 0;
    }
  } finally {
    await socket.close();
  }
  return status;
}
