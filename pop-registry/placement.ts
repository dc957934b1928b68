import type { Node } from './nodes.ts';

/**
 * Which of the media nodes serves a call: the least loaded part of its capacity, names decide among equals.
 * `avoid`: nodes that have just failed for the caller; they are taken only when nothing else is left.
 */
export function placeMedia(
  nodes: readonly Node[],
  avoid: readonly string[],
): { readonly node: Node; readonly reason: string } | undefined {
  const free = nodes.filter((node) => node.control !== undefined && node.load < node.capacity);
  const wanted = free.filter((node) => !avoid.includes(node.id));
  const share = (node: Node) => node.load / Math.max(1, node.capacity);
  const [best] = [...(wanted.length > 0 ? wanted : free)].sort(
    (a, b) => share(a) - share(b) || a.id.localeCompare(b.id),
  );
  if (!best) return undefined;
  const percent = Math.round(share(best) * 100);
  return {
    node: best,
    reason: `${wanted.length > 0 ? 'least loaded' : 'only one left'} of ${free.length} (${best.load} of ${best.capacity}, ${percent} %)`,
  };
}

/**
 * Primary and backup for a client: all clients spread over the nodes, each one keeps its order as long as the set of
 * nodes is the same (rendezvous hashing). The weights are JsSIP's: the highest is tried first.
 */
export function orderSignaling(
  nodes: readonly Node[],
  client: string,
): readonly { readonly node: Node; readonly weight: number }[] {
  const ordered = nodes
    .filter((node) => node.uri !== undefined)
    .map((node) => ({ node, rank: hash(`${client} ${node.id}`) }))
    .sort((a, b) => b.rank - a.rank || a.node.id.localeCompare(b.node.id));
  return ordered.map(({ node }, index) => ({ node, weight: Math.max(1, 100 - index * 10) }));
}

/** FNV-1a, 32 bits, with a final mix so that near names end far apart. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}
