// Handshakes in which datagrams are changed on their way (RFC 6347). Input: edits: which datagram (one byte), where in it
// (two bytes), what to do (one byte).
#include "../net/dtls.h"

#include <deque>

#include "target.h"

using namespace causeway;
using causeway::fuzz::require;

namespace {

using Bytes = std::vector<uint8_t>;

struct Edit {
  uint8_t datagram;
  uint16_t place;
  uint8_t what;
};

void change(Bytes& bytes, const Edit& edit) {
  if (bytes.empty()) return;
  const size_t at = edit.place % bytes.size();
  switch (edit.what & 3) {
    case 0: bytes[at] ^= static_cast<uint8_t>(1 << (edit.what >> 5)); break;
    case 1: bytes[at] = edit.what; break;
    case 2: bytes.resize(at); break;
    default: bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(at), edit.what >> 2, edit.what);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static std::string error;
  static const auto server = DtlsIdentity::create(error);
  static const auto client = DtlsIdentity::create(error);
  require(server && client, "a certificate can be made");
  fuzz::Feed feed(data, size);
  std::vector<Edit> edits;
  while (!feed.empty() && edits.size() < 16) {
    const uint8_t datagram = feed.byte();
    const uint16_t place = feed.word();
    edits.push_back({datagram, place, feed.byte()});
  }
  std::deque<std::pair<bool, Bytes>> wire;  // true: to the server
  // No fingerprint was agreed: nobody may ever be connected, whatever happens on the way.
  const auto asking = DtlsSession::create(*client, true, {}, [&](std::span<const uint8_t> b) { wire.emplace_back(true, Bytes(b.begin(), b.end())); });
  const auto waiting = DtlsSession::create(*server, false, {}, [&](std::span<const uint8_t> b) { wire.emplace_back(false, Bytes(b.begin(), b.end())); });
  Micros now = 1'000'000;
  asking->start(now);
  for (int number = 0; number < 200 && !wire.empty(); number++) {
    auto [toServer, bytes] = std::move(wire.front());
    wire.pop_front();
    for (const Edit& edit : edits) {
      if (edit.datagram % 32 == number) change(bytes, edit);
    }
    fuzz::Exact exact(bytes);
    (toServer ? waiting : asking)->handle(now += 1000, exact.span());
    require(wire.size() < 64, "a datagram is answered by a bounded number");
  }
  for (const auto* session : {asking.get(), waiting.get()}) {
    require(session->state() != DtlsSession::State::kConnected, "nobody is connected without a fingerprint");
  }
  // Retransmission ends.
  for (int turn = 0; turn < 200; turn++) {
    const Micros next = std::min(asking->nextDeadline(), waiting->nextDeadline());
    if (next == kNever) return 0;
    require(next >= now - 10'000'000, "a deadline lies ahead");
    now = std::max(now, next);
    for (auto* session : {asking.get(), waiting.get()}) {
      if (session->nextDeadline() <= now) session->tick(now);
    }
    wire.clear();
  }
  require(false, "a handshake that gets no answer ends");
  return 0;
}
