/** The node's own API, on the origin that served this page. */
export interface Node {
  readonly pop: string;
  readonly node?: string;
  readonly uri: string;
  readonly weight: number;
}

export async function fetchConfig(): Promise<{ readonly domain: string; readonly node: string }> {
  const answer = await fetch('api/config');
  if (!answer.ok) throw new Error(`the node answered ${answer.status}`);
  return (await answer.json()) as { domain: string; node: string };
}

/** Signaling nodes for this client, primary first. */
export async function discover(client: string): Promise<readonly Node[]> {
  const answer = await fetch(`api/discovery?client=${encodeURIComponent(client)}`);
  if (!answer.ok) throw new Error(`the node answered ${answer.status}`);
  const { signaling } = (await answer.json()) as { signaling: Node[] };
  return [...signaling].sort((a, b) => b.weight - a.weight);
}

/** What a person calls a node. */
export function nameOf(node: Node): string {
  return node.node ?? new URL(node.uri).host;
}
