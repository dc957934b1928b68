import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { NodeTable, type Node } from '../../pop-registry/nodes.ts';
import { orderSignaling, placeMedia } from '../../pop-registry/placement.ts';

function node(id: string, over: Partial<Node> = {}): Node {
  return {
    id,
    role: 'media',
    pop: 'p',
    draining: false,
    capacity: 100,
    load: 0,
    control: `udp:${id}:2223`,
    probe: undefined,
    uri: `wss://${id}`,
    sip: undefined,
    seenAt: 0,
    ...over,
  };
}

describe('placement', () => {
  it('takes the least loaded share, not the least load', () => {
    const placed = placeMedia([node('a', { capacity: 10, load: 5 }), node('b', { capacity: 1000, load: 100 })], []);
    assert.equal(placed?.node.id, 'b');
  });

  it('leaves out full nodes, and those to avoid while there are others', () => {
    const nodes = [node('a'), node('b', { load: 50 }), node('c', { load: 100 })];
    assert.equal(placeMedia(nodes, ['a'])?.node.id, 'b');
    assert.equal(placeMedia(nodes, ['a', 'b', 'c'])?.node.id, 'a');
    assert.equal(placeMedia([node('c', { load: 100 })], []), undefined);
  });

  it('gives a client the same order as long as the nodes are the same, and spreads clients', () => {
    const nodes = ['a', 'b', 'c'].map((id) => node(id));
    const first = new Map<string, number>();
    for (let i = 0; i < 3000; i++) {
      const order = orderSignaling(nodes, `user${i}`);
      const primary = order[0]?.node.id ?? '';
      first.set(primary, (first.get(primary) ?? 0) + 1);
      assert.deepEqual(
        order.map(({ node: { id } }) => id),
        orderSignaling(nodes.toReversed(), `user${i}`).map(({ node: { id } }) => id),
      );
      assert.ok((order[0]?.weight ?? 0) > (order[1]?.weight ?? 0));
    }
    for (const count of first.values()) assert.ok(count > 800, `${[...first]}`);
  });

  it('counts a silent node as down, and a draining one as taken', () => {
    const table = new NodeTable(3000);
    table.beat(node('a', { seenAt: 0 }));
    table.beat(node('b', { seenAt: 2000, draining: true }));
    table.beat(node('c', { seenAt: 2000 }));
    assert.deepEqual(
      table.available('media', 4000).map(({ id }) => id),
      ['c'],
    );
  });
});
