import type { ReadyLine } from './child.ts';

const NUMBERS = [
  ['600', 'hear yourself'],
  ['601', 'a tone'],
  ['602', 'an announcement'],
  ['603', 'a busy line'],
  ['604', 'a phone that rings and rings'],
] as const;

/** What a person reads when the PoP is up. */
export function welcome(
  ready: ReadonlyMap<string, ReadyLine>,
  accounts: readonly { readonly user: string; readonly number: string; readonly password: string }[] | undefined,
): string {
  const nodes = [...ready.values()].toSorted((a, b) => a.id.localeCompare(b.id));
  const signaling = nodes.filter(({ role }) => role === 'signaling');
  const page = signaling[0]?.listen['page'] ?? '';
  const lines = [
    '',
    `Causeway is up. Softphone:  ${page}`,
    "  (the certificate is of this machine's own CA: the browser asks once; the page says more)",
    '',
  ];
  if (accounts) {
    lines.push('  sign in as   password');
    for (const { user, password, number } of accounts)
      lines.push(`  ${user.padEnd(12)} ${password.padEnd(14)} number ${number}`);
    lines.push('');
  }
  if (ready.has('gateway-sim'))
    lines.push(`  dial         ${NUMBERS.map(([number, what]) => `${number} ${what}`).join(', ')}`);
  for (const { id, listen } of signaling) {
    const sip = ['udp', 'tcp', 'tls', 'wss'].flatMap((protocol) => listen[protocol] ?? []);
    lines.push(`  ${id.padEnd(12)} ${sip.join('  ')}`);
  }
  const metrics = nodes.flatMap(({ listen }) => listen['metrics'] ?? []);
  lines.push(
    `  metrics      ${metrics.map((url) => url.replace('http://', '')).join('  ')}`,
    '',
    '  Ctrl-C ends everything.',
  );
  return lines.join('\n');
}
