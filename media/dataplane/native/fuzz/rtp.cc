// RTP headers, whose line of a bundle they are, and the receiver statistics that are kept of whatever passes as one
// (RFC 3550 §5.1, §A; RFC 9143 §9.2).
// Input: packets, each with its length before it (two bytes) and the milliseconds since the last (one byte).
#include <cstring>
#include <string>
#include <vector>

#include "../core/bundle.h"
#include "../core/rtcp.h"
#include "../core/rtp.h"
#include "target.h"

using namespace causeway;
using causeway::fuzz::require;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Feed feed(data, size);
  ReceiverStats stats;
  SequenceExtender extender;
  BundleTable bundle;
  std::vector<BundleTable::Line> lines(2);
  lines[0] = {"0", 3, {}, {1}};
  lines[1] = {"video", static_cast<uint8_t>(size % 2 == 0 ? 3 : 4), {}, {2}};
  lines[1].payloadTypes.set(96);
  bundle.set(std::move(lines), {}, 0);
  Micros now = 1'000'000;
  uint64_t accepted = 0;
  while (!feed.empty()) {
    now += Micros{feed.byte()} * 1000;
    const size_t length = feed.word();
    fuzz::Exact packet(feed.take(length));
    looksLikeRtcp(packet.span());
    RtpHeader header;
    if (!parseRtp(packet.span(), header)) continue;
    accepted++;
    require(header.payloadOffset >= 12 && header.payloadOffset + header.payloadSize <= packet.size(), "the payload lies within the packet");
    require(header.pt < 128, "a payload type has seven bits");
    extender.extend(header.sequence);
    const int line = bundle.lineOf(header, packet.span(), now);
    require(line >= BundleTable::kCrowded && line < 2, "it is of a line, or of none");
    fuzz::Exact named(packet.span(), 12);
    const size_t longer = insertElement(named.data(), packet.size(), packet.size() + 12, 3, "video");
    RtpHeader again;
    require(parseRtp({named.data(), longer}, again) && again.payloadSize == header.payloadSize, "what has been named is a packet");
    require(std::memcmp(named.data() + again.payloadOffset, packet.data() + header.payloadOffset, header.payloadSize) == 0, "with the same payload");
    const bool told = headerElement({named.data(), longer}, 3).size() == 5;
    require(longer == packet.size() || told, "and the name can be read");
    stats.received(header.ssrc, header.sequence, header.timestamp, header.pt < 96 ? 8000 : 48000, now);
    require(stats.lost() >= 0, "no less than nothing is lost");
    require(stats.jitterMs() >= 0 && stats.jitterMs() < 2000, "jitter is a time");
  }
  require(stats.packets() == accepted, "every packet is counted once");
  SenderState sender;
  sender.packets = accepted & 1 ? 1 : 0;
  sender.lastSentAt = 1'000'000;
  std::unique_ptr<uint8_t[]> report(new uint8_t[128]);
  const size_t length = writeReport({report.get(), 128}, sender, &stats, 0, now, "causeway");
  RtcpSeen seen;
  require(length <= 128 && parseRtcp({report.get(), length}, stats.ssrc(), seen), "our own report can be read");
  require(seen.hasBlock == stats.active(), "it has a block when something was received");
  return 0;
}
