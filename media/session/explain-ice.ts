import type { EndpointStats, IceReport } from '../dataplane/mod.ts';
import type { Side } from './session.ts';
import { iceRoleOf } from './transport.ts';

/** What we are in ICE, what became of the peer's candidates, which pair was chosen and why. */
export function explainIce(side: Side, { ice, source }: EndpointStats): string[] {
  if (!side.ice || side.icePassed) return side.icePassed ? ['ICE: between the parties themselves'] : [];
  const role = iceRoleOf(side);
  if (role === 'unchecked')
    return [`ICE: ${side.iceWith ? 'both are lite, nobody checks' : 'the party has none'}; media goes where SDP says`];
  if (role === 'lite') return ['ICE: we are lite, the party checks and chooses'];
  if (!ice) return ['ICE: full, waiting for the party to speak'];
  const lite = side.iceWith?.lite === true ? ' (the party is lite)' : '';
  const held = ice.held > 0 ? `, ${ice.held} put off: too many to that host have no answer` : '';
  const refused = ice.refused > 0 ? `, ${ice.refused} candidates too many` : '';
  const others = ice.candidates.map(
    ({ type, at, component, state }) =>
      `${type} ${at.address}:${at.port}${component === 2 ? ' (RTCP)' : ''} ${STATES[state]}`,
  );
  return [
    `ICE: full, ${ice.role}${lite}; ${ice.checks} checks sent, ${ice.answers} answers${held}${refused}`,
    ...others.map((line) => `candidate ${line}`),
    `pair: ${chosen(ice, source?.frozen === true)}`,
  ];
}

const STATES: Readonly<Record<IceReport['candidates'][number]['state'], string>> = {
  waiting: 'waits for its turn',
  checked: 'is being checked',
  answered: 'has answered',
  failed: 'has not answered',
  left: 'was left out: another was nominated before',
};

function chosen({ state, role, candidates, consentMs }: IceReport, nominated: boolean): string {
  const pair = candidates.find((candidate) => candidate.chosen && candidate.component === 1);
  const consent = consentMs === undefined ? '' : `; consent ${(consentMs / 1000).toFixed(1)} s ago`;
  if (state === 'lost') return `given up: no consent for 30 s${consent}`;
  if (state === 'restarting') return `that of before the restart, until another is nominated${consent}`;
  if (!pair) return state === 'failed' ? 'none: no candidate has answered' : 'none yet';
  const who = role === 'controlling' ? 'nominated by us, the best that answered' : 'nominated by the party';
  const why = nominated ? who : 'the first that answered, nothing is nominated yet';
  return `${pair.type} ${pair.at.address}:${pair.at.port}, ${why}${consent}`;
}
