import type { Dataplane, Endpoint, RemoteSpec } from '../dataplane/mod.ts';
import type { MediaFlags } from './flags.ts';
import type { RemoteMedia, RemoteSdp } from './remote-media.ts';
import { SessionError, type Dialogue, type Line, type Party, type Side } from './session.ts';
import { endKind, openSide, type End } from './transport.ts';

// Several lines of a party on one transport (RFC 9143). Whose sockets, ICE, keys they are is the party's carrier; the lines
// that ride on it have endpoints without sockets, and everything else of their own.

/** How our offer to this party groups its lines: `offer` gives each a transport, in case that they stay apart. */
export function groupingOf(party: Party, flags: MediaFlags): 'offer' | 'require' | undefined {
  // Whoever has answered with a group is known to understand it.
  if (flags.ice === 'optional' || flags.ice === 'force-relay' || flags.bundle.has('reject')) return undefined;
  if (party.carrier || flags.bundle.has('require')) return 'require';
  return flags.bundle.has('offer') ? 'offer' : undefined;
}

/** Whether the group that this party has offered is taken. `asked`: the flags of its offer. */
export function takesGroup(party: Party, asked: MediaFlags | undefined, flags: MediaFlags): boolean {
  if (party.group.length === 0 || asked?.bundle.has('reject') === true || flags.bundle.has('reject')) return false;
  if (asked?.ice === 'optional' || asked?.ice === 'force-relay') return false;
  return party.carrier !== undefined || flags.bundle.has('accept') || asked?.bundle.has('accept') === true;
}

/** What the tagged line says of the transport counts for all of its group (RFC 9143 §7.1.3). */
export function sharedDescription({ media, group }: RemoteSdp): readonly RemoteMedia[] {
  const tagged = media.find(({ mid }) => mid !== undefined && mid === group[0]);
  if (!tagged) return media;
  return media.map((line) => {
    const member = line.mid !== undefined && group.includes(line.mid) && (!line.rejected || line.bundleOnly);
    return member && line !== tagged && line.carriage === 'rtp' ? withTransport(line, tagged) : line;
  });
}

export function withTransport(line: RemoteMedia, tagged: RemoteMedia): RemoteMedia {
  const { rtp, rtcp, rtcpMux, ice, iceLite, candidates, trickle, fingerprints, setup, sdes } = tagged;
  const shared = { rtp, rtcp, rtcpMux, ice, iceLite, candidates, trickle, fingerprints, setup, sdes };
  return { ...line, rejected: false, ...shared };
}

/** Of the lines that `able` allows, those that a description groups, in the order of the group. */
export function groupedLines(
  group: readonly string[],
  media: readonly Pick<RemoteMedia, 'mid' | 'carriage' | 'rtcpMux'>[],
  able: (index: number) => boolean,
): readonly number[] {
  return group
    .map((mid) => media.findIndex((line) => line.mid === mid))
    .filter((index) => index >= 0 && media[index]?.carriage === 'rtp' && able(index));
}

/** What an offer shares: of its own lines, and of those that we offer. */
export interface Bundling {
  readonly how: 'offer' | 'require' | undefined;
  /** A group of one is a name, and changes nothing. */
  readonly several: boolean;
  /** a=mid of all lines, as they are told to who is offered them. */
  readonly mids: readonly (string | undefined)[];
  /** The line of the offerer that speaks for its group. */
  readonly said: number | undefined;
  /** The first that we offer. */
  lead: Side | undefined;
}

export function bundlingOf(
  answerer: Party,
  media: readonly RemoteMedia[],
  group: readonly string[],
  flags: MediaFlags,
): Bundling {
  const how = groupingOf(answerer, flags);
  const said = groupedLines(group, media, (index) => media[index]?.rejected === false)[0];
  const lines = media.filter(({ rejected, carriage }) => !rejected && carriage === 'rtp');
  const several = how !== undefined && (lines.length > 1 || answerer.carrier !== undefined);
  const generated = (index: number) => (flags.flags.has('generate-mid') ? String(index + 1) : undefined);
  const mids = how ? midsFor(media) : media.map(({ mid }, index) => mid ?? generated(index));
  return { how, several, mids, said, lead: undefined };
}

/** What an answer shares, by the numbers of its lines. */
export interface Bundles {
  /** Of the answer, with what the tagged one says of their transport. */
  readonly media: readonly RemoteMedia[];
  /** On the transport of the first; that which we have offered for it. */
  readonly ofAnswerer: readonly number[];
  readonly ofOfferer: readonly number[];
  /** In which lines are to be looked at. */
  readonly order: readonly number[];
}

const NONE: readonly number[] = [];

export function bundlesOf(dialogue: Dialogue, from: 'a' | 'b', remote: RemoteSdp, flags: MediaFlags): Bundles {
  const to = from === 'a' ? 'b' : 'a';
  const { lines } = dialogue;
  const { group, media: all } = remote;
  const { a, b } = dialogue;
  // Most calls: nobody speaks of a group.
  if (group.length + a.group.length + b.group.length === 0 && !a.carrier && !b.carrier)
    return { media: all, ofAnswerer: NONE, ofOfferer: NONE, order: all.map((_, index) => index) };
  const open = (index: number) =>
    remote.media[index]?.rejected === false &&
    lines[index]?.[from].remote?.rejected === false &&
    lines[index][to].endpoint !== undefined;
  const joined = groupedLines(
    remote.group,
    remote.media,
    (index) => open(index) && lines[index]?.[to].grouped === true,
  );
  const tag = remote.media[joined[0] ?? -1];
  const answered = remote.media.map((own, index): RemoteMedia => {
    if (tag && joined.includes(index)) return withTransport(own, tag);
    // It was offered no transport but that of its group.
    const side = lines[index]?.[to];
    return side && rides(dialogue[to], side) ? { ...own, rejected: true } : own;
  });
  const offered = lines.map((line) => line[from].remote ?? NOT_OFFERED);
  const taken = takesGroup(dialogue[from], lines[0]?.[from].flags, flags);
  const able = (index: number) => open(index) && answered[index]?.rejected === false;
  const ofOfferer = answeredLines(taken ? dialogue[from].group : [], offered, able);
  const media = answered.map((own, index) => {
    const stranded = lines[index]?.[from].remote?.bundleOnly === true && !ofOfferer.includes(index);
    return stranded ? { ...own, rejected: true } : own;
  });
  const order = leadFirst(ofOfferer, media.length);
  return { media, ofAnswerer: joined.toSorted((one, other) => one - other), ofOfferer, order };
}

/** The lines of an offered group that are answered as one. */
export function answeredLines(...[group, media, able]: Parameters<typeof groupedLines>): readonly number[] {
  const lines = groupedLines(group, media, able);
  // RFC 9143 §9.3: nothing is shared without rtcp-mux. Of one line there is nothing to share, but the group may name it.
  return lines.length === 1 || media[lines[0] ?? -1]?.rtcpMux === true ? lines : [];
}

export function leadFirst(shared: readonly number[], count: number): readonly number[] {
  const others = Array.from({ length: count }, (_, index) => index).filter((index) => !shared.includes(index));
  return [...shared, ...others];
}

const NOT_OFFERED = { carriage: 'other', mid: undefined, rtcpMux: false } as const;

/** Whose transport the line uses; its own when it is not among them. */
export function leadOf(dialogue: Dialogue, which: 'a' | 'b', among: readonly number[], line: Line): Side {
  const [first = -1] = among;
  return (among.includes(line.index) ? dialogue.lines[first]?.[which] : undefined) ?? line[which];
}

export function sidesOf(dialogue: Dialogue, party: Party): readonly Side[] {
  return dialogue.lines.map(({ a, b }) => (dialogue.a === party ? a : b));
}

/** Neither party has the line together with others: its keys can pass. */
export function isApart({ a, b }: Dialogue, { ofAnswerer, ofOfferer }: Bundles): boolean {
  return !a.carrier && !b.carrier && ofAnswerer.length < 2 && ofOfferer.length < 2;
}

/** Whether the answer to the offerer names the extension: what only we have offered is not for it. */
export function answeredExtension(
  offered: RemoteMedia,
  answerSide: Side,
  { ofOfferer }: Pick<Bundles, 'ofOfferer'>,
): number | 'strip' | undefined {
  if (offered.midExtension === undefined) return answerSide.grouped ? 'strip' : undefined;
  return ofOfferer.length > 1 ? offered.midExtension : undefined;
}

/** It has the transport of that side, and no other. */
export function follow(side: Side, lead: Side): void {
  if (side === lead) return;
  const { dtls, role, ice, iceOf, iceWith, iceLite, iceControlling, icePassed, sdes, foreign } = lead;
  const shared = { dtls, role, ice, iceOf, iceWith, iceLite, iceControlling, icePassed, sdes, foreign };
  Object.assign(side, { ...shared, rtcpMux: true, onePort: true });
}

/**
 * Before it is decided how a line is carried: one that joins what stands has its keys and names, one that leaves it has
 * none yet.
 */
export function prepare(party: Party, side: Side, sides: readonly Side[], grouped: boolean): void {
  const { carrier } = party;
  // Browsers give the whole transport up when the line that spoke for it ends, and begin another one.
  const over = carrier?.lead.ice !== undefined && carrier.lead.endpoint === undefined;
  if (isOn(party, side) && (over || (rides(party, side) && !grouped)))
    Object.assign(side, { ice: undefined, iceOf: undefined, iceWith: undefined, role: undefined, sdes: [] });
  if (over) leaveCarrier(party, sides);
  const standing = grouped && !isOn(party, side) ? sides.find((other) => isOn(party, other)) : undefined;
  if (standing) follow(side, standing);
}

function leaveCarrier(party: Party, sides: readonly Side[]): void {
  const { carrier } = party;
  party.carrier = undefined;
  if (carrier && !sides.some(({ endpoint }) => endpoint === carrier.endpoint)) carrier.endpoint.close();
}

/** Where ends are opened. */
export interface Opening {
  readonly dataplane: Dataplane;
  readonly interfaceName: string;
  readonly affinity: string;
  /** The other end of the line. */
  readonly other: Endpoint | undefined;
}

/** Our end of a line that we offer. */
export function openOffered(
  opening: Opening,
  party: Party,
  side: Side,
  sides: readonly Side[],
  bundling: Bundling,
): void {
  const { how, lead } = bundling;
  if (!how || !side.grouped) openApart(opening, party, side, sides);
  else if (!lead) {
    bundling.lead = side;
    openLead(opening, party, side, sides);
  } else if (how === 'require') openOn(opening, party, side, lead);
  else openApart(opening, party, side, sides, endKind(side, opening.interfaceName, true));
}

/** Our end of a line that is answered; `lead` may be itself. */
export function openAnswered(
  opening: Opening,
  party: Party,
  side: Side,
  lead: Side,
  sides: readonly Side[],
  { ofOfferer }: Pick<Bundles, 'ofOfferer'>,
): void {
  if (lead !== side) openOn(opening, party, side, lead);
  else if (ofOfferer.includes(sides.indexOf(side)) && (party.carrier || ofOfferer.length > 1)) {
    Object.assign(side, { rtcpMux: true, onePort: true });
    openLead(opening, party, side, sides);
  } else openApart(opening, party, side, sides);
}

/** An end with sockets of its own. Those that it leaves stay for the lines that ride on them. @throws DataplaneError */
function openApart(
  { dataplane, interfaceName, affinity, other }: Opening,
  party: Party,
  side: Side,
  sides: readonly Side[],
  end = endKind(side, interfaceName),
): void {
  const { endpoint, opened } = side;
  const ridden = endpoint !== undefined && endpoint === party.carrier?.endpoint && !end.fits(opened);
  if (!ridden || !sides.some((rider) => rides(party, rider)))
    return openSide(dataplane, side, interfaceName, affinity, end);
  side.endpoint = undefined;
  try {
    openSide(dataplane, side, interfaceName, affinity, end);
  } finally {
    // When there is no other to be had, the call goes on as it was.
    side.endpoint ??= endpoint;
  }
  forsake(dataplane, endpoint, other);
}

/** What goes on without the line that it was opened for. */
function forsake(dataplane: Dataplane, carrier: Endpoint, other: Endpoint | undefined): void {
  dataplane.stopPlaying(carrier);
  if (other) dataplane.setPath(carrier, other, undefined);
}

/** The end that carries the others: the one that stands, unless the party is to be reached in another way now. */
export function openLead(opening: Opening, party: Party, side: Side, sides: readonly Side[]): void {
  const { dataplane, interfaceName, affinity } = opening;
  const { carrier } = party;
  if (carrier && endKind(side, interfaceName).fits(carrier.opened)) {
    party.carrier = { ...carrier, lead: side };
    if (side.endpoint !== carrier.endpoint) ride(opening, party, side);
    return;
  }
  leaveCarrier(party, sides);
  openSide(dataplane, side, interfaceName, affinity);
}

/** An end on the transport of another one, which becomes the party's carrier with the first. */
export function openOn(opening: Opening, party: Party, side: Side, lead: Side): void {
  if (side === lead || !lead.endpoint || lead.opened === undefined) return;
  party.carrier ??= { endpoint: lead.endpoint, opened: lead.opened, lead };
  follow(side, lead);
  if (side.endpoint !== party.carrier.endpoint) ride(opening, party, side);
}

function ride({ dataplane, interfaceName, affinity }: Opening, { carrier }: Party, side: Side): void {
  if (!carrier) return;
  const end: End = { kind: kindOn(carrier.endpoint), socket: 'carried', carrier: carrier.endpoint.id };
  openSide(dataplane, side, interfaceName, affinity, end);
}

function kindOn({ id }: Endpoint): string {
  return `carried ${id}`;
}

/** It has no sockets of its own. */
export function rides(party: Party, side: Side): boolean {
  return party.carrier !== undefined && side.opened === kindOn(party.carrier.endpoint);
}

/** It is one of the lines that share a transport. */
export function isOn(party: Party, side: Side): boolean {
  return side.endpoint !== undefined && (side.endpoint === party.carrier?.endpoint || rides(party, side));
}

/** Where the party is and by what keys it speaks, told to whoever has the sockets. */
export function configure(party: Party, side: Side, isLead: boolean, remote: RemoteSpec): void {
  if (!isOn(party, side)) side.endpoint?.configure(remote);
  else if (isLead) party.carrier?.endpoint.configure(remote);
}

/** A line without media. What others ride on stays for them. */
export function closeLine(dataplane: Dataplane, dialogue: Dialogue, line: Line): void {
  const ends = [line.a.endpoint, line.b.endpoint] as const;
  for (const which of ['a', 'b'] as const) {
    const side = line[which];
    if (side.endpoint && side.endpoint === dialogue[which].carrier?.endpoint)
      forsake(dataplane, side.endpoint, ends[which === 'a' ? 1 : 0]);
  }
  for (const which of ['a', 'b'] as const) {
    const side = line[which];
    if (side.endpoint !== dialogue[which].carrier?.endpoint) side.endpoint?.close();
    side.endpoint = undefined;
    side.opened = undefined;
    side.grouped = false;
  }
}

/** After an offer or an answer: who is carried and by what it is known. A carrier of nobody but itself is none. */
export function settleBundles(dataplane: Dataplane, dialogue: Dialogue): void {
  for (const which of ['a', 'b'] as const) {
    const party = dialogue[which];
    const { carrier } = party;
    if (!carrier) continue;
    const sides = dialogue.lines.map((line) => line[which]).filter((side) => isOn(party, side));
    if (sides.every(({ endpoint }) => endpoint === carrier.endpoint)) {
      if (sides.length === 0) carrier.endpoint.close();
      else dataplane.setBundle(carrier.endpoint, { lines: [] });
      party.carrier = undefined;
      continue;
    }
    const lines = sides.map(({ endpoint, remote, codecs, offered }) => ({
      endpoint: (endpoint as Endpoint).id,
      ...(remote?.mid === undefined ? {} : { mid: remote.mid }),
      ...(remote?.midExtension === undefined ? {} : { midExtension: remote.midExtension }),
      payloadTypes: [...new Set([...codecs, ...offered].map(({ pt }) => pt))],
      ssrcs: remote?.ssrcs ?? [],
    }));
    dataplane.setBundle(carrier.endpoint, { lines });
  }
}

/** Names for all lines: those that they have, else numbers that nobody has. @throws SessionError when two have the same. */
export function midsFor(media: readonly RemoteMedia[]): readonly string[] {
  const given = media.flatMap(({ mid }) => (mid === undefined ? [] : [mid]));
  const taken = new Set(given);
  if (taken.size < given.length) throw new SessionError('bad-sdp', 'two media lines have the same a=mid');
  return media.map(({ mid }, index) => {
    if (mid !== undefined) return mid;
    let number = index + 1;
    while (taken.has(String(number))) number += media.length;
    taken.add(String(number));
    return String(number);
  });
}
