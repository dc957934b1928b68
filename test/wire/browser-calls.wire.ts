// budget: 60 s
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'mocha';
import { Softphone } from '../support/browser.ts';
import { totalOver } from '../support/metrics.ts';
import { ACCOUNTS, Pop } from '../support/pop.ts';
import { until } from '../support/until.ts';

const [ALICE, BOB] = ACCOUNTS;

describe('calls from the softphone page', function () {
  this.timeout(60_000);
  let pop: Pop;

  before(async () => {
    pop = await Pop.start({ base: 13_000, mediaBase: 20_000, gateway: 'simulator' });
  });

  after(async () => {
    await pop?.[Symbol.asyncDispose]();
  });

  /** What is wrong with the audio after the first three seconds: nothing more than 1 % concealed. */
  async function assertUnconcealed(phone: Softphone): Promise<void> {
    const early = await phone.stats();
    await new Promise((resolve) => setTimeout(resolve, 3000));
    const late = await phone.stats();
    const share = (late.concealed - early.concealed) / Math.max(1, late.total - early.total);
    assert.ok(share <= 0.01, `${(share * 100).toFixed(2)} % concealed`);
    assert.ok(
      late.packetsReceived - early.packetsReceived > 100,
      `${late.packetsReceived - early.packetsReceived} packets`,
    );
  }

  it('hears its own 880 Hz through the PSTN simulator, then a 440 Hz tone of the gateway', async () => {
    await using alice = await Softphone.open(pop.origin(0), 880);
    await alice.signIn(ALICE.user, ALICE.password);
    await alice.dial('600');
    await alice.callState('talking');
    const former = await alice.page.evaluate(nameOfNode);
    await alice.page.evaluate(say, 'disconnected' as const);
    await new Promise((resolve) => setTimeout(resolve, 3000));
    await until('ICE has started anew', async () => (await alice.page.evaluate(nameOfNode)) !== former);
    await alice.page.evaluate(say);
    await alice.assertTone(880);
    await assertUnconcealed(alice);
    assert.equal((await alice.stats()).lost, 0);
    assert.equal((await alice.stats()).codec, 'audio/opus');
    assert.match(await alice.page.$eval('#codec', (element) => element.textContent ?? ''), /opus/i);
    for (const speaks of [false, true]) {
      await alice.page.click('#mute');
      assert.equal(await alice.page.evaluate(speaking), speaks);
    }
    await alice.page.click('#hang-up');
    await alice.callState('ended');
    await alice.page.$eval('#number', (element) => ((element as HTMLInputElement).value = ''));
    await alice.dial('601');
    await alice.callState('talking');
    await new Promise((resolve) => setTimeout(resolve, 2000));
    await alice.assertTone(440);
    await alice.page.click('#hang-up');
    await alice.callState('ended');
    await until(
      'no session is left',
      async () => (await totalOver(pop.metrics('media'), 'causeway_media_sessions')) === 0,
    );
  });

  it('is told when the line is busy and when nobody has the number', async () => {
    await using alice = await Softphone.open(pop.origin(0), 880);
    await alice.signIn(ALICE.user, ALICE.password);
    await alice.dial('603');
    await alice.callState('ended');
    assert.equal(await alice.page.$eval('#call-state', (element) => element.textContent), 'Busy');
    await alice.page.$eval('#number', (element) => ((element as HTMLInputElement).value = ''));
    await alice.dial('nobody');
    await alice.page.waitForFunction(() => document.getElementById('call-state')?.textContent === 'No such number', {
      timeout: 5000,
    });
  });

  it('is called back by number from the telephone network', async () => {
    await using alice = await Softphone.open(pop.origin(0), 880);
    await alice.signIn(ALICE.user, ALICE.password);
    await alice.dial('606');
    await alice.callState('talking');
    await alice.callState('ended');
    await alice.callState('incoming');
    assert.equal(await alice.page.$eval('#call-peer', (element) => element.textContent), 'PSTN');
    await alice.page.click('#answer');
    await alice.callState('talking');
    await until('the announcement is heard', async () => (await alice.stats()).packetsReceived > 50);
    await alice.page.click('#hang-up');
    await alice.callState('ended');
  });

  it('gives up a call that rings, and declines one that comes in', async () => {
    await using alice = await Softphone.open(pop.origin(0), 880);
    await using bob = await Softphone.open(pop.origin(1), 440);
    await alice.signIn(ALICE.user, ALICE.password);
    await bob.signIn(BOB.user, BOB.password);
    await alice.dial('604');
    await alice.callState('ringing');
    await alice.page.click('#hang-up');
    await alice.callState('ended');
    await until('the call is gone', async () => (await totalOver(pop.metrics('signaling'), 'causeway_calls')) === 0);
    await alice.page.$eval('#number', (element) => ((element as HTMLInputElement).value = ''));
    await alice.dial(BOB.number);
    await bob.callState('incoming');
    await bob.page.click('#hang-up');
    await alice.callState('ended');
    assert.equal(await alice.page.$eval('#call-state', (element) => element.textContent), 'Busy');
    for (const name of ['causeway_calls', 'causeway_sip_dialogs']) {
      await until(`${name} is 0`, async () => (await totalOver(pop.metrics('signaling'), name)) === 0);
    }
    await until(
      'no session is left',
      async () => (await totalOver(pop.metrics('media'), 'causeway_media_sessions')) === 0,
    );
  });

  it('calls an agent in another browser; each hears the tone of the other', async () => {
    await using alice = await Softphone.open(pop.origin(0), 880);
    await using bob = await Softphone.open(pop.origin(1), 440);
    await alice.signIn(ALICE.user, ALICE.password);
    await bob.signIn(BOB.user, BOB.password);
    await alice.dial('bob');
    await bob.callState('incoming');
    await bob.page.click('#answer');
    await alice.callState('talking');
    await bob.callState('talking');
    await new Promise((resolve) => setTimeout(resolve, 3000));
    await alice.assertTone(440);
    await bob.assertTone(880);
    await assertUnconcealed(alice);
    await bob.page.click('#hang-up');
    await alice.callState('ended');
    await until(
      'no session is left',
      async () => (await totalOver(pop.metrics('media'), 'causeway_media_sessions')) === 0,
    );
  });
});

// These run in the page.

function speaking(): boolean | undefined {
  return window.testConnections.at(-1)?.getSenders()[0]?.track?.enabled;
}

/** ICE of the other end, as SDP had it last. */
function nameOfNode(): string | undefined {
  return /^a=ice-ufrag:(.*)$/m.exec(window.testConnections.at(-1)?.currentRemoteDescription?.sdp ?? '')?.[1];
}

/** What the connection says of itself from now on; a network that has changed cannot be had here. */
function say(state?: RTCIceConnectionState): void {
  const connection = window.testConnections.at(-1);
  if (!connection) return;
  if (state === undefined) Reflect.deleteProperty(connection, 'iceConnectionState');
  else Object.defineProperty(connection, 'iceConnectionState', { value: state, configurable: true });
  connection.dispatchEvent(new Event('iceconnectionstatechange'));
}
