// budget: 60 s
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'mocha';
import { Softphone } from '../support/browser.ts';
import { totalOver, scrape, total } from '../support/metrics.ts';
import { ACCOUNTS, Pop } from '../support/pop.ts';
import { until } from '../support/until.ts';

const [ALICE, BOB] = ACCOUNTS;

describe('a node dies', function () {
  this.timeout(60_000);
  let pop: Pop;

  before(async () => {
    pop = await Pop.start({ base: 13_300, mediaBase: 26_300, gateway: 'simulator' });
  });

  after(async () => {
    await pop?.[Symbol.asyncDispose]();
  });

  it('media: the call ends within 5 s, signaling stays, the next call works at once on the other node', async () => {
    await using alice = await Softphone.open(pop.origin(0), 880);
    await alice.signIn(ALICE.user, ALICE.password);
    await alice.dial('601');
    await alice.callState('talking');
    const busy = await until('a media node has the call', async () => {
      for (const [index, address] of pop.metrics('media').entries()) {
        if (total(await scrape(address), 'causeway_media_sessions') > 0) return `media-${index + 1}`;
      }
      return undefined;
    });
    const killed = pop.pid(busy);
    const registered = await alice.registeredAt();
    process.kill(killed, 'SIGKILL');
    const killedAt = Date.now();
    await alice.callState('ended', 5000);
    assert.ok(Date.now() - killedAt < 5000);
    assert.equal(await alice.registeredAt(), registered);
    await alice.page.$eval('#number', (element) => ((element as HTMLInputElement).value = ''));
    await alice.dial('601');
    await alice.callState('talking', 3000);
    await until('audio comes', async () => (await alice.stats()).packetsReceived > 20);
    await alice.page.click('#hang-up');
    await alice.callState('ended');
    await until('it was started again', () => pop.pid(busy) !== killed);
    assert.match(pop.log, new RegExp(`${busy} was ended by SIGKILL; starting it again`));
  });

  it('registry: calls between users of different nodes work as soon as it is back', async () => {
    await using alice = await Softphone.open(pop.origin(0), 880);
    await using bob = await Softphone.open(pop.origin(1), 440);
    await alice.signIn(ALICE.user, ALICE.password);
    await bob.signIn(BOB.user, BOB.password);
    const died = pop.pid('registry');
    process.kill(died, 'SIGKILL');
    await until('it was started again', () => pop.pid('registry') !== died);
    const url = `http://127.0.0.1:${pop.ports.registry}/v1/locations/default`;
    for (const { user } of [ALICE, BOB]) {
      await until(`${user} is known again`, async () => {
        const { locations } = (await (await fetch(`${url}/${user}`)).json()) as { locations: unknown[] };
        return locations.length === 1;
      });
    }
    await alice.dial('bob');
    await bob.callState('incoming');
    await alice.page.click('#hang-up');
    await bob.callState('ended');
  });

  it('signaling: the page registers at the backup, and a call to it rings there', async () => {
    await using alice = await Softphone.open(pop.origin(0), 880);
    await alice.signIn(ALICE.user, ALICE.password);
    const primary = await alice.registeredAt();
    const backup = primary === 'signaling-1' ? 'signaling-2' : 'signaling-1';
    // Bob's page is of the node that lives on.
    await using bob = await Softphone.open(pop.origin(backup === 'signaling-1' ? 0 : 1), 440);
    const died = pop.pid(primary);
    process.kill(died, 'SIGKILL');
    await alice.page.waitForSelector(`#registration[data-state=registered][data-pop=${backup}]`, { timeout: 15_000 });
    await bob.signIn(BOB.user, BOB.password);
    await bob.dial('alice');
    await alice.callState('incoming');
    await alice.page.click('#answer');
    await bob.callState('talking');
    await until('audio comes', async () => (await bob.stats()).packetsReceived > 20);
    await bob.page.click('#hang-up');
    await alice.callState('ended');
    await until('it was started again', () => pop.pid(primary) !== died);
    await until(
      'no session is left',
      async () => (await totalOver(pop.metrics('media'), 'causeway_media_sessions')) === 0,
    );
  });
});
