import type { Codec } from '../../codecs/mod.ts';
import type { EndpointStats, SourceRecord } from '../dataplane/mod.ts';
import { isOn } from './bundle.ts';
import type { Gates } from './gates.ts';
import { newSide, type Dialogue, type Party, type Session, type Side, type Subscription } from './session.ts';
import { explainIce } from './explain-ice.ts';
import { isSecure, passedThrough } from './transport.ts';

/**
 * A call in words, a line each: per party what it offered, what was chosen and why, where it was learnt and when, who was
 * refused, the last packet each way. `now`: epoch ms. Keys are never shown.
 */
export function explain(session: Session, now: number): string[] {
  const lines = [
    `call ${session.callId}: since ${seconds(now - session.createdAt)}, last signaling ${seconds(now - session.lastSignalAt)} ago`,
  ];
  for (const dialogue of session.dialogues) {
    if (session.dialogues.length > 1 || dialogue.viaBranch !== undefined)
      lines.push(`branch ${dialogue.viaBranch ?? '(none)'}${deletion(dialogue, now)}`);
    for (const line of dialogue.lines) {
      const caller = dialogue.published ? 'the publisher' : 'the caller';
      const left = dialogue.left?.which;
      if (left !== 'a') lines.push(...explainSide(caller, dialogue.a, line.a, line.b, line.index, session.gates));
      if (dialogue.published || left === 'b') continue;
      lines.push(...explainSide('the called', dialogue.b, line.b, line.a, line.index, session.gates));
    }
  }
  for (const subscription of session.subscriptions.values()) lines.push(...explainSubscription(subscription));
  for (const { about } of session.attached) if (about !== undefined) lines.push(about);
  return lines;
}

/** What a subscriber hears, and where it goes. */
function explainSubscription({ party, lines }: Subscription): string[] {
  return lines.flatMap((line): string[] => {
    const { side, tag, index, on } = line;
    const head = `subscriber ${party.tag ?? ''}: hears line ${index + 1} of ${tag}`;
    const stats = side.endpoint?.stats();
    if (!stats) return [`${head}: no media (it has refused the line)`];
    const state = side.remote
      ? on
        ? `${line.coded ? 'coded' : 'copied'}${place(side)}`
        : 'not copied: it wants nothing now'
      : 'has not answered';
    return [`${head}: ${state}; keys: ${keys(side, newSide(), stats)}; ${stats.sent.packets} sent${drops(stats)}`];
  });
}

function deletion({ deleteAt }: Dialogue, now: number): string {
  return deleteAt === undefined ? '' : `: deleted, media goes on for ${seconds(deleteAt - now)}`;
}

function explainSide(role: string, party: Party, side: Side, other: Side, index: number, all: Gates): string[] {
  const { remote } = side;
  const who = `${role}${party.tag === undefined ? ', no tag yet' : ` ${party.tag}`}${party.label === undefined ? '' : ` (${party.label})`}`;
  const head = `line ${index + 1}, ${who}`;
  if (!remote) return [`${head}: has not spoken yet; was offered ${side.protocol} ${names(side.offered)}`];
  if (remote.rejected || !side.endpoint) return [`${head}: no media (port 0, or the line was refused)`];
  const stats = side.endpoint.stats();
  return [
    `${head}: says ${remote.protocol} ${names(remote.codecs)}, ${remote.direction}${place(side)}`,
    `  our end: ${side.endpoint.rtp.address}:${side.endpoint.rtp.port}${side.onePort || !side.endpoint.rtcp ? ', RTCP on the same port' : `, RTCP on ${side.endpoint.rtcp.port}`}${isOn(party, side) ? ', shared with other lines' : ''}`,
    `  chosen: ${names(side.codecs)} over ${side.protocol}; ${coding(side, other)}`,
    `  keys: ${keys(side, other, stats)}`,
    ...heldBack(party.gates, all).map((line) => `  ${line}`),
    ...(side.playing === undefined ? [] : ['  hears something that is played']),
    ...explainIce(side, stats).map((line) => `  ${line}`),
    ...explainSource(side, stats).map((line) => `  ${line}`),
    `  packets: ${stats.received.packets} heard (${stats.received.lost} lost, jitter ${stats.received.jitterMs.toFixed(1)} ms), ${stats.sent.packets} sent${drops(stats)}`,
  ];
}

/** Why a party that speaks is not heard. */
function heldBack(own: Gates, all: Gates): string[] {
  const whose = (held: keyof Gates) => (own[held] ? 'of this party' : all[held] ? 'of the whole call' : undefined);
  const said = (words: string, held: keyof Gates) => (whose(held) === undefined ? [] : [`${words}, ${whose(held)}`]);
  return [
    ...said('blocked: dropped but for keys', 'blocked'),
    ...said('silenced: silence in its place', 'silenced'),
    ...said('keys blocked: dropped', 'dtmfBlocked'),
  ];
}

function place({ remote, ice }: Side): string {
  if (ice) return ', by ICE';
  if (!remote?.rtp) return remote?.nowhere === true ? ', at no address (hold)' : '';
  return `, at ${remote.rtp.address}:${remote.rtp.port}`;
}

function names(codecs: readonly Codec[]): string {
  return codecs.length === 0 ? '(no codecs)' : codecs.map(({ name, pt }) => `${name || '?'}/${pt}`).join(' ');
}

/** Why packets are coded, or why not. */
function coding(side: Side, other: Side): string {
  const [mine] = side.codecs;
  const [theirs] = other.codecs;
  if (!mine || !theirs) return 'nothing to connect yet';
  if (mine.name.toLowerCase() !== theirs.name.toLowerCase()) {
    const asked = side.coding.accepted.length > 0 ? side.coding : other.coding;
    const why = asked.accepted.length > 0 ? `${asked.accepted.join(', ')} was to be kept` : 'they have none in common';
    return `coded, ${mine.name} here and ${theirs.name} there, because ${why}`;
  }
  if (side.coding.repacked || other.coding.repacked) return 'packed anew for another packet time';
  return 'passed as it is: both have it';
}

function keys(side: Side, other: Side, stats: EndpointStats): string {
  const pass = passedThrough(side, other) ?? passedThrough(other, side);
  if (pass) return `SDES ${pass.key.suite} of the parties themselves, not opened here`;
  if (side.dtls && stats.dtls !== 'none') return `DTLS-SRTP, ${stats.dtls}; we are the ${side.role ?? 'server'}`;
  const [theirs] = side.remote?.sdes ?? [];
  if (theirs && side.sdes.length > 0) return `SDES ${theirs.key.suite}`;
  return isSecure(side.protocol) ? 'none agreed yet' : 'none: plain RTP';
}

function explainSource({ remote, ice, flags }: Side, { source, remoteRtp, iceConnected }: EndpointStats): string[] {
  if (!source) return [];
  const rule = ice
    ? `by checked pairs alone${iceConnected ? '' : '; none yet'}`
    : `${flags?.learning ?? 'delayed'}${flags?.flags.has('strict-source') === true ? ', strict' : ''}${flags?.flags.has('media-handover') === true ? ', handover' : ''}`;
  const at = remoteRtp ? `${remoteRtp.address}:${remoteRtp.port}` : 'nowhere';
  const same =
    remote?.rtp && remoteRtp && remote.rtp.address === remoteRtp.address && remote.rtp.port === remoteRtp.port;
  return [
    `source: ${at}${same === true ? ' (as SDP says)' : ''}, learnt ${rule}${source.frozen ? ', settled' : ', not settled yet'}`,
    ...source.learned.map(
      ({ component, from, how, ageMs }) =>
        `learnt ${component} from ${from.address}:${from.port} ${seconds(ageMs)} ago: ${HOW[how]}`,
    ),
    ...source.refused.map(
      ({ component, from, reason, packets, lastAgeMs }) =>
        `refused ${packets} ${component} from ${from.address}:${from.port}, last ${seconds(lastAgeMs)} ago: ${REASONS[reason] ?? reason}`,
    ),
    ...(source.refusedElsewhere > 0 ? [`refused ${source.refusedElsewhere} from other places`] : []),
    `last packet: in ${ago(source.lastReceivedMs)}, out ${ago(source.lastSentMs)}`,
  ];
}

const HOW: Readonly<Record<SourceRecord['learned'][number]['how'], string>> = {
  first: 'the first that spoke',
  better: 'more like what SDP says than the one before',
  moved: 'the same stream from elsewhere',
  handover: 'another stream, and media handover is allowed',
  ice: 'its check held',
};

const REASONS: Readonly<Record<string, string>> = {
  'unknown-source': 'not where this party is',
  authentication: 'its keys are wrong',
  ice: 'its check has wrong credentials',
};

function drops({ dropped }: EndpointStats): string {
  const list = Object.entries(dropped).map(([reason, count]) => `${count} ${reason}`);
  return list.length === 0 ? '' : `; dropped: ${list.join(', ')}`;
}

function ago(ms: number | undefined): string {
  return ms === undefined ? 'never' : `${seconds(ms)} ago`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
