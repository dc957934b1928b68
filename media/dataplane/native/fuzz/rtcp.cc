// Compound RTCP packets (RFC 3550 §6), read and shared out among the lines of a bundle. Input: our SSRC (four bytes), then the packet.
#include "../core/rtcp.h"

#include <vector>

#include "../core/bundle.h"
#include "../core/rtp.h"
#include "target.h"

using namespace causeway;
using causeway::fuzz::require;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 4) return 0;
  fuzz::Exact packet({data + 4, size - 4});
  RtcpSeen seen;
  if (!parseRtcp(packet.span(), readU32(data), seen)) return 0;
  require(packet.size() >= 8 && packet.size() % 4 == 0, "a compound packet is made of words");
  // Read once more, by the length fields alone: they must lead from header to header to the very end.
  size_t at = 0;
  bool report = false;
  bool bye = false;
  while (at < packet.size()) {
    const uint8_t* p = packet.data() + at;
    require(p[0] >> 6 == 2, "every part has version 2");
    report = report || p[1] == 200 || p[1] == 201;
    bye = bye || p[1] == 203;
    at += 4 * (size_t{readU16(p + 2)} + 1);
  }
  require(at == packet.size(), "the parts fill the packet");
  require(!seen.hasBlock || report, "a block stands in a report");
  require(seen.bye == bye, "BYE is seen");
  // Lines that have sent what the packet's words name, and have been sent what they name: each gets what can be read again,
  // and never more than came.
  BundleTable table;
  std::vector<BundleTable::Line> spoken(3);
  for (size_t at = 4; at + 4 <= packet.size() && at < 200; at += 4) {
    if (data[3] >> (at / 4 % 8) & 1) spoken[at / 4 % 3].ssrcs.push_back(readU32(packet.data() + at));
  }
  table.set(std::move(spoken), {}, 0);
  for (size_t at = 4; at + 4 <= packet.size() && at < 200; at += 4) {
    if (data[2] >> (at / 4 % 8) & 1) table.sent(readU32(packet.data() + at), at / 4 % 3, 0);
  }
  const uint32_t lines = table.linesOf(packet.span());
  for (size_t line = 0; line < 3; line++) {
    fuzz::Exact part(std::vector<uint8_t>(packet.size()));
    const size_t length = table.extract(packet.span(), line, part.span());
    RtcpSeen of;
    require(length <= packet.size(), "a part is no longer than the whole");
    if ((lines >> line & 1) != 0) require(length == 0 || parseRtcp(part.span().first(length), readU32(data), of), "a part can be read");
    require(!of.hasBlock || seen.hasBlock, "a part says nothing new");
  }
  // Whatever it says, a report can be made after it.
  ReceiverStats stats;
  stats.received(1, 1, 1, 8000, 1'000'000);
  if (seen.senderReport) stats.gotSenderReport(seen.ntpMiddle, 1'000'000);
  uint8_t out[128];
  RtcpSeen own;
  const size_t length = writeReport(out, {}, &stats, 1, 1'000'000 + Micros{data[0]} * 10'000'000, "causeway");
  require(parseRtcp({out, length}, 1, own) && own.hasBlock, "our own report can be read");
  const size_t kept = keepTransportFeedback(packet.span());
  require(kept <= packet.size() && (kept == 0 || parseRtcp(packet.span().first(kept), 1, own)), "what is kept of it can be read");
  return 0;
}
