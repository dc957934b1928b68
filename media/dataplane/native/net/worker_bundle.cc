// Several lines of one party on the transport of one endpoint (RFC 9143): a packet that comes is given to its line, one
// that goes is sent by who carries it.
#include <algorithm>
#include <array>

#include "worker.h"

namespace causeway {

void Worker::ride(Endpoint& rider, Endpoint& carrier) {
  if (!carrier.bundle) {
    carrier.bundle = std::make_unique<Bundle>();
    carrier.bundled = true;
    countBytes(carrier);
  }
  carrier.bundle->riders.push_back(&rider);
  rider.carrier = &carrier;
  rider.bundled = true;
}

void Worker::setBundle(Endpoint& carrier, const BundleSpec& spec, std::vector<Endpoint*> lines) {
  if (!carrier.bundle) {
    if (lines.empty()) return;
    carrier.bundle = std::make_unique<Bundle>();
    carrier.bundled = true;
  }
  Bundle& bundle = *carrier.bundle;
  std::vector<int> renumbered;
  for (const Endpoint* before : bundle.lines) {
    const auto now = std::find(lines.begin(), lines.end(), before);
    renumbered.push_back(before == nullptr || now == lines.end() ? -1 : static_cast<int>(now - lines.begin()));
  }
  std::vector<BundleTable::Line> keys;
  for (const BundleSpec::Line& line : spec.lines) keys.push_back(line.keys);
  bundle.table.set(std::move(keys), renumbered, monotonicNow());
  bundle.lines = std::move(lines);
  if (bundle.lines.empty() && bundle.riders.empty()) {
    carrier.bundle.reset();
    carrier.bundled = false;
  }
  countBytes(carrier);
}

// Closed: its line is nobody's, and who rode on it has no transport.
void Worker::leaveBundle(Endpoint& endpoint) {
  if (endpoint.carrier != nullptr) {
    Bundle& bundle = *endpoint.carrier->bundle;
    std::erase(bundle.riders, &endpoint);
    std::replace(bundle.lines.begin(), bundle.lines.end(), &endpoint, static_cast<Endpoint*>(nullptr));
    endpoint.carrier = nullptr;
  }
  if (!endpoint.bundle) return;
  for (Endpoint* rider : endpoint.bundle->riders) rider->carrier = nullptr;
  endpoint.bundle.reset();
  endpoint.bundled = false;
}

Endpoint* Worker::lineOf(Endpoint& carrier, const RtpHeader& header, std::span<const uint8_t> packet, Micros now) {
  Bundle& bundle = *carrier.bundle;
  // Not agreed yet: until then there is but the line whose sockets these are.
  if (bundle.lines.empty()) return &carrier;
  const int line = bundle.table.lineOf(header, packet, now);
  Endpoint* found = line < 0 ? nullptr : bundle.lines[static_cast<size_t>(line)];
  if (found == nullptr) drop(carrier, line == BundleTable::kCrowded ? kDropSsrcLimit : kDropNoLine);
  return found;
}

// Each line gets what is about it, as if it had come by a port of its own.
void Worker::bundledRtcp(Endpoint& carrier, bool viaRtcp, const Address& from, std::span<uint8_t> packet, const RtcpSeen& seen, Micros now) {
  Bundle& bundle = *carrier.bundle;
  if (bundle.lines.empty()) {
    relayRtcp(carrier, viaRtcp, from, packet.data(), packet.size(), true, seen, now);
    return;
  }
  const uint32_t lines = bundle.table.linesOf(packet);
  if (lines == 0) {
    drop(carrier, kDropNoLine);
    return;
  }
  for (size_t i = 0; i < bundle.lines.size(); i++) {
    Endpoint* line = bundle.lines[i];
    if (line == nullptr || (lines >> i & 1) == 0) continue;
    std::array<uint8_t, kPacketSize> own;
    const size_t length = bundle.table.extract(packet, i, own);
    RtcpSeen part;
    if (length == 0 || !parseRtcp({own.data(), length}, line->sender.ssrc, part)) continue;
    relayRtcp(*line, viaRtcp, from, own.data(), length, false, part, now);
  }
}

// What is about to leave, and by whom: its SSRC is remembered, for reports come back about it, and it says whose it is where
// its sender does not (RFC 9143 §15.1).
const Endpoint& Worker::boardBundle(Endpoint& to, uint8_t* packet, size_t& length, Micros now) {
  Endpoint& carrier = to.transport();
  if (!carrier.bundle || length < 12) return carrier;
  Bundle& bundle = *carrier.bundle;
  const auto found = std::find(bundle.lines.begin(), bundle.lines.end(), &to);
  if (found == bundle.lines.end()) return carrier;
  const auto line = static_cast<size_t>(found - bundle.lines.begin());
  bundle.table.sent(readU32(packet + 8), line, now);
  const BundleTable::Line& own = bundle.table.line(line);
  if (own.midExtension != 0) length = insertElement(packet, length, kPacketSize - kSrtpTrailer, own.midExtension, own.mid);
  return carrier;
}

}  // namespace causeway
