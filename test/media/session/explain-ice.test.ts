import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import type { EndpointStats, IceReport } from '../../../media/dataplane/mod.ts';
import { explainIce } from '../../../media/session/explain-ice.ts';
import { newSide, type Side } from '../../../media/session/session.ts';

const at = (port: number) => ({ address: '192.0.2.9', port });
const REPORT: IceReport = {
  ...{ role: 'controlling', state: 'completed', checks: 9, answers: 3, held: 0, refused: 0, consentMs: 2100 },
  candidates: [
    { component: 1, type: 'host', at: at(5000), state: 'failed', chosen: false },
    { component: 1, type: 'srflx', at: at(5002), state: 'answered', chosen: true },
    { component: 2, type: 'host', at: at(5001), state: 'left', chosen: false },
  ],
};

function told(side: Partial<Side>, ice?: Partial<IceReport>, frozen = true): string {
  const stats = { ice: ice && { ...REPORT, ...ice }, source: { frozen } } as unknown as EndpointStats;
  return explainIce({ ...newSide(), ice: { ufrag: 'u', pwd: 'p' }, iceControlling: true, ...side }, stats).join('\n');
}

describe('what explain says of ICE', () => {
  it('all candidates, and which pair was chosen and why', () => {
    assert.equal(
      told({}, {}),
      [
        'ICE: full, controlling; 9 checks sent, 3 answers',
        'candidate host 192.0.2.9:5000 has not answered',
        'candidate srflx 192.0.2.9:5002 has answered',
        'candidate host 192.0.2.9:5001 (RTCP) was left out: another was nominated before',
        'pair: srflx 192.0.2.9:5002, nominated by us, the best that answered; consent 2.1 s ago',
      ].join('\n'),
    );
    assert.match(told({}, { role: 'controlled' }), /nominated by the party; consent/);
    assert.match(told({}, {}, false), /the first that answered, nothing is nominated yet/);
  });

  it('what keeps it from a pair', () => {
    assert.match(told({}, { state: 'checking', candidates: [] }), /pair: none yet$/);
    assert.match(told({}, { state: 'failed', candidates: [] }), /pair: none: no candidate has answered$/);
    assert.match(told({}, { state: 'lost', consentMs: 31_000 }), /given up: no consent for 30 s; consent 31.0 s ago$/);
    assert.match(told({}, { state: 'restarting' }), /that of before the restart/);
    assert.match(told({}, { held: 4, refused: 30 }), /4 put off.*, 30 candidates too many/);
    assert.equal(told({}), 'ICE: full, waiting for the party to speak');
  });

  it('who checks where we do not', () => {
    const iceWith = { ufrag: 'u', pwd: 'p', lite: true, candidates: [] };
    assert.equal(told({ iceLite: true }), 'ICE: we are lite, the party checks and chooses');
    assert.match(told({ iceLite: true, iceWith }), /both are lite, nobody checks/);
    assert.match(told({ remote: {} as NonNullable<Side['remote']> }), /the party has none; media goes where SDP says/);
    assert.match(told({ iceWith }, {}), /^ICE: full, controlling \(the party is lite\)/);
    assert.equal(told({ icePassed: true }), 'ICE: between the parties themselves');
    assert.equal(told({ ice: undefined }), '');
  });
});
