import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { Message } from '../../../signaling/engine/message/mod.ts';
import {
  chooseBest,
  forwardedRequest,
  forwardedResponse,
  loopHash,
  loops,
  parsePlan,
  readRouteToken,
  ResponseContext,
  routeToken,
  type Branch,
  type ProxyAction,
  type ProxyPlan,
} from '../../../signaling/engine/proxy/mod.ts';

const PLAN: ProxyPlan = {
  remainInDialog: false,
  fullResponse: true,
  followRedirects: false,
  simultaneous: false,
  provisionalMs: undefined,
  finalMs: undefined,
  targets: ['sip:a@h1', 'sip:b@h2', 'sip:c@h3'],
};

function response(status: number, headers: Readonly<Record<string, string>> = {}): Message {
  const message = Message.response(status);
  for (const [name, value] of Object.entries(headers)) message.append(name, value);
  return message;
}

/** The actions as short words: `launch a`, `cancel b`, `send 486`. */
function words(actions: readonly ProxyAction[]): string[] {
  const name = (branch: Branch) => /^sip:(\w+)/.exec(branch.target)?.[1];
  return actions.flatMap((action) => {
    switch (action.type) {
      case 'launch':
      case 'cancel':
        return [`${action.type} ${name(action.branch)}`];
      case 'send':
        return [`send ${action.response.status}`];
      case 'report':
        return [`report ${name(action.branch)} ${action.response.status}`];
      case 'timer':
      case 'stop-timers':
        return [];
      default:
        return [action.type];
    }
  });
}

class Scenario {
  readonly context: ResponseContext;
  constructor(plan: Partial<ProxyPlan> = {}, method = 'INVITE', breadth = 60) {
    this.context = new ResponseContext({ ...PLAN, ...plan }, method, breadth);
  }
  start = () => words(this.context.start());
  answer = (index: number, status: number, headers?: Readonly<Record<string, string>>) => {
    const branch = this.#branch(index);
    const message = response(status, headers);
    return words(status < 200 ? this.context.provisional(branch, message) : this.context.final(branch, message));
  };
  fired = (index: number, timer: 'provisional' | 'final' | 'C') =>
    words(this.context.fired(this.#branch(index), timer));
  cancel = () => words(this.context.cancel());
  #branch = (index: number) => this.context.branches[index] as Branch;
}

describe('proxying one target after another (RFC 3261 §16)', () => {
  it('goes on at every failure, and the first 2xx ends the search', () => {
    const proxy = new Scenario();
    assert.deepEqual(proxy.start(), ['launch a']);
    assert.deepEqual(proxy.answer(0, 100), []);
    assert.deepEqual(proxy.answer(0, 180), ['send 180']);
    assert.deepEqual(proxy.answer(0, 486), ['report a 486', 'launch b']);
    assert.deepEqual(proxy.answer(1, 200), ['send 200', 'report b 200', 'done']);
    assert.equal(proxy.context.ended, true);
    assert.deepEqual(proxy.answer(1, 200), ['send 200'], 'a 2xx that is repeated is passed on again');
  });

  it('answers with the best of all failures', () => {
    const proxy = new Scenario();
    proxy.start();
    proxy.answer(0, 503);
    proxy.answer(1, 404);
    assert.deepEqual(proxy.answer(2, 486), ['report c 486', 'send 404', 'done']);
  });

  it('ends at a 6xx, and at a challenge', () => {
    for (const status of [603, 401, 407]) {
      const proxy = new Scenario();
      proxy.start();
      assert.deepEqual(proxy.answer(0, status), [`report a ${status}`, `send ${status}`, 'done']);
    }
  });

  it('leaves a silent target behind, and cancels it when it wakes up', () => {
    const proxy = new Scenario({ provisionalMs: 2000, targets: ['sip:a@h1', 'sip:b@h2'] });
    proxy.start();
    assert.deepEqual(proxy.fired(0, 'provisional'), ['launch b']);
    assert.deepEqual(proxy.answer(0, 180), ['cancel a'], 'only now may it be cancelled (§9.1)');
    assert.deepEqual(proxy.answer(1, 200), ['send 200', 'report b 200', 'done']);
    assert.equal(proxy.context.ended, false, 'the cancelled one still owes its 487');
    assert.deepEqual(proxy.answer(0, 487), []);
    assert.equal(proxy.context.ended, true);
  });

  it('leaves the last target the time that SIP gives it', () => {
    const proxy = new Scenario({ provisionalMs: 2000, targets: ['sip:a@h1'] });
    proxy.start();
    assert.deepEqual(proxy.fired(0, 'provisional'), []);
    assert.deepEqual(proxy.answer(0, 200), ['send 200', 'report a 200', 'done']);
  });

  it('cancels who rings for longer than the final timeout or timer C', () => {
    for (const timer of ['final', 'C'] as const) {
      const proxy = new Scenario({ targets: ['sip:a@h1'] });
      proxy.start();
      proxy.answer(0, 180);
      assert.deepEqual(proxy.fired(0, timer), ['cancel a', 'give-up', 'done']);
    }
  });
});

describe('proxying to all targets at once', () => {
  it('cancels the others at the first 2xx', () => {
    const proxy = new Scenario({ simultaneous: true });
    assert.deepEqual(proxy.start(), ['launch a', 'launch b', 'launch c']);
    proxy.answer(0, 180);
    proxy.answer(1, 180);
    assert.deepEqual(proxy.answer(1, 200), ['send 200', 'report b 200', 'done', 'cancel a']);
    assert.deepEqual(proxy.answer(2, 180), ['cancel c'], 'it had not said anything yet');
    assert.deepEqual(
      proxy.answer(0, 200),
      ['send 200'],
      'two have picked up: the caller learns of both (§16.7 step 5)',
    );
  });

  it('waits for every answer, joins their challenges, and cancels all at a 6xx', () => {
    const proxy = new Scenario({ simultaneous: true, targets: ['sip:a@h1', 'sip:b@h2'] });
    proxy.start();
    proxy.answer(0, 183);
    assert.deepEqual(proxy.answer(1, 600), ['report b 600', 'cancel a']);
    assert.deepEqual(proxy.answer(0, 487), ['report a 487', 'send 600', 'done']);
    const best = chooseBest([
      response(407, { 'Proxy-Authenticate': 'Digest realm="a"' }),
      response(401, { 'WWW-Authenticate': 'Digest realm="b"' }),
    ]);
    assert.equal(best?.status, 407);
    assert.equal(best?.get('www-authenticate'), 'Digest realm="b"');
  });

  it('divides Max-Breadth, and refuses what would exceed it (RFC 5393 §5.3)', () => {
    const proxy = new Scenario({ simultaneous: true }, 'INVITE', 8);
    proxy.start();
    assert.deepEqual(
      proxy.context.branches.map(({ breadth }) => breadth),
      [2, 3, 3],
    );
    assert.equal(new Scenario({ simultaneous: true }, 'INVITE', 2).context.tooBroad, true);
    assert.equal(new Scenario({}, 'INVITE', 1).context.tooBroad, false);
    assert.equal(new Scenario({}, 'INVITE', 0).context.tooBroad, true);
  });
});

describe('redirects, CANCEL and answers', () => {
  it('follows the contacts of a 3xx, best first and none twice', () => {
    const proxy = new Scenario({ followRedirects: true, targets: ['sip:a@h1'] });
    proxy.start();
    const contact = '<sip:x@h4>;q=0.2, <sip:y@h5>;q=0.9, <sip:a@h1>, <tel:+49>';
    assert.deepEqual(proxy.answer(0, 302, { Contact: contact }), ['report a 302', 'launch y']);
    assert.deepEqual(proxy.answer(1, 302, { Contact: '<sip:x@h4>, <sip:a@h1>' }), ['report y 302', 'launch x']);
    assert.deepEqual(proxy.answer(2, 404), ['report x 404', 'send 302', 'done'], 'the last 302 led nowhere');
    const plain = new Scenario({ targets: ['sip:a@h1'] });
    plain.start();
    assert.deepEqual(plain.answer(0, 302, { Contact: contact }), ['report a 302', 'send 302', 'done']);
  });

  it('a CANCEL of the caller goes to everybody, and what they say goes back', () => {
    const proxy = new Scenario({ simultaneous: true, targets: ['sip:a@h1', 'sip:b@h2'] });
    proxy.start();
    proxy.answer(0, 180);
    assert.deepEqual(proxy.cancel(), ['cancel a']);
    assert.deepEqual(proxy.answer(0, 487), ['report a 487']);
    assert.deepEqual(proxy.answer(1, 200), ['send 200', 'report b 200', 'done'], 'the 200 was quicker');
  });

  it('503 of a target is 500 for the caller, and challenges are worth more than other 4xx', () => {
    assert.equal(chooseBest([response(503, { 'Retry-After': '9' })])?.status, 500);
    assert.equal(chooseBest([response(503, { 'Retry-After': '9' })])?.get('retry-after'), undefined);
    assert.equal(chooseBest([response(404), response(484), response(500)])?.status, 484);
    assert.equal(chooseBest([response(408), response(486)])?.status, 486);
    assert.equal(chooseBest([response(404), response(302)])?.status, 302);
    assert.equal(chooseBest([]), undefined);
  });

  it('reads the command', () => {
    const plan = parsePlan([
      'remainInDialog',
      '',
      'followRedirects',
      'simultaneous',
      '2s',
      '1500ms',
      'sip:a@h',
      'sip:b@h',
    ]);
    assert.deepEqual(plan, {
      remainInDialog: true,
      fullResponse: false,
      followRedirects: true,
      simultaneous: true,
      provisionalMs: 2000,
      finalMs: 1500,
      targets: ['sip:a@h', 'sip:b@h'],
    });
    assert.equal(typeof parsePlan(['', '', '', 'serial', '', '']), 'string');
    assert.equal(typeof parsePlan(['', '', '', 'serial', 'soon', '', 'sip:a@h']), 'string');
    assert.equal(
      typeof parsePlan(['', '', '', 'serial', '', '', ...Array.from({ length: 65 }, () => 'sip:a@h')]),
      'string',
    );
  });
});

describe('what is passed on', () => {
  const request = () =>
    Message.request('INVITE', 'sip:bob@example.com', [
      { name: 'v', value: 'SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1' },
      { name: 'Record-Route', value: '<sip:p1;lr>' },
      { name: 'Max-Forwards', value: '5' },
      { name: 'From', value: '<sip:a@x>;tag=1' },
      { name: 'To', value: '<sip:b@x>' },
      { name: 'Call-ID', value: 'c' },
      { name: 'CSeq', value: '1 INVITE' },
    ]);
  const what = { uri: undefined, recordRoutes: [], path: undefined, extra: [], breadth: undefined };

  it('has our Via, one hop less, and our routes above the others', () => {
    const via = 'SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK2';
    const copy = forwardedRequest(request(), { ...what, via, uri: 'sip:b@h', recordRoutes: ['<in>', '<out>'] });
    assert.equal(copy.uri, 'sip:b@h');
    assert.deepEqual(copy.getAll('via'), [via, 'SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1']);
    assert.deepEqual(copy.getAll('record-route'), ['<out>', '<in>', '<sip:p1;lr>']);
    assert.equal(copy.get('max-forwards'), '4');
  });

  it('a response loses our Via alone, also where Vias share a line', () => {
    const one = response(200, { Via: 'SIP/2.0/UDP us;branch=1, SIP/2.0/UDP them;branch=2' });
    assert.deepEqual(forwardedResponse(one)?.getAll('via'), ['SIP/2.0/UDP them;branch=2']);
    assert.equal(forwardedResponse(response(200, { Via: 'SIP/2.0/UDP us;branch=1' })), undefined);
  });

  it('a loop is known by our Via, a spiral is none (RFC 5393 §4.2)', () => {
    const first = request();
    const via = `SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKx-${loopHash(first)}`;
    const own = (host: string) => host === '192.0.2.9';
    const back = forwardedRequest(first, { ...what, via });
    back.prepend('Via', 'SIP/2.0/UDP 192.0.2.77;branch=z9hG4bKother');
    assert.equal(loops(back, loopHash(back), own), true);
    back.uri = 'sip:elsewhere@example.com';
    assert.equal(loops(back, loopHash(back), own), false);
  });

  it('a Route of ours is good for its call alone', () => {
    const token = routeToken('secret', 'call-1', 'f7');
    assert.equal(readRouteToken('secret', 'call-1', token), 'f7');
    assert.equal(readRouteToken('secret', 'call-2', token), undefined);
    assert.equal(readRouteToken('other', 'call-1', token), undefined);
    assert.equal(readRouteToken('secret', 'call-1', token.replace('f7', 'f8')), undefined);
    assert.equal(readRouteToken('secret', 'call-1', undefined), undefined);
    assert.equal(readRouteToken('secret', 'call-1', routeToken('secret', 'call-1', '')), '');
  });
});
