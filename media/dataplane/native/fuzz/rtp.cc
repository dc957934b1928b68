// RTP headers, and the receiver statistics that are kept of whatever passes as one (RFC 3550 §5.1, §A).
// Input: packets, each with its length before it (two bytes) and the milliseconds since the last (one byte).
#include "../core/rtcp.h"
#include "../core/rtp.h"
#include "target.h"

using namespace causeway;
using causeway::fuzz::require;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Feed feed(data, size);
  ReceiverStats stats;
  SequenceExtender extender;
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
