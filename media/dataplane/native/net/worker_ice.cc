// ICE checks that come (RFC 8445) and DTLS handshakes (RFC 5763) of an endpoint; those that go: worker_checks.cc.
#include <algorithm>
#include <utility>

#include "stun.h"
#include "worker.h"

namespace causeway {
namespace {

constexpr size_t kMaxChecked = 16;
constexpr size_t kMaxEarly = 4;  // a first flight of DTLS

// Whose name the check is for: ours of now, with the peer's behind it, or ours of before a restart.
const IceCredentials* credentialsFor(const Endpoint& endpoint, std::string_view username) {
  const size_t colon = username.find(':');
  if (colon == std::string_view::npos) return nullptr;
  const std::string_view ours = username.substr(0, colon);
  const std::string_view theirs = username.substr(colon + 1);
  if (ours == endpoint.spec.ice->ufrag) {
    return !endpoint.remote.ice || theirs == endpoint.remote.ice->ufrag ? &*endpoint.spec.ice : nullptr;
  }
  if (!endpoint.formerIce || ours != endpoint.formerIce->ufrag) return nullptr;
  // Not its new name behind our old one: a peer that has not seen our answer yet would take the pair for one that works.
  return endpoint.formerPeer.empty() || theirs == endpoint.formerPeer ? &*endpoint.formerIce : nullptr;
}

}  // namespace

bool Worker::stun(Endpoint& endpoint, bool viaRtcp, const Address& from, std::span<const uint8_t> packet, Micros now) {
  if (isBindingIndication(packet)) return false;
  if (isBindingResponse(packet)) return stunResponse(endpoint, viaRtcp, from, packet, now);
  StunRequest request;
  if (!endpoint.spec.ice || !parseBindingRequest(packet, request)) {
    drop(endpoint, kDropIce);
    return false;
  }
  const IceCredentials* ours = credentialsFor(endpoint, request.username);
  if (ours == nullptr || !integrityHolds(packet, request, ours->pwd)) {
    refuse(endpoint, viaRtcp, from, kDropIce, now);
    return false;
  }
  const int fd = viaRtcp ? endpoint.rtcpFd : endpoint.rtpFd;
  uint8_t answer[256];
  // Checks of before a restart keep the pair alive, no more.
  const bool current = ours == &*endpoint.spec.ice;
  const uint8_t component = viaRtcp ? 2 : 1;
  const bool conflict = endpoint.fullIce()
                            ? current && endpoint.agent && endpoint.agent->request(from, component, request, now) == IceAgent::Verdict::kConflict
                            : request.controlled;  // so are we, being lite (§7.3.1.1)
  if (conflict) {
    const size_t length = writeRoleConflict(answer, request, ours->pwd);
    outbox_.sendNow(endpoint, fd, from, {answer, length});
    return false;
  }
  const size_t length = writeBindingSuccess(answer, request, from, ours->pwd);
  checkHeld(endpoint, viaRtcp, from, request.priority, now);
  if (endpoint.fullIce()) {
    // Ours first: its answer is to be here before what the peer sends on the strength of this one.
    if (endpoint.agent) runAgent(endpoint, now);
    outbox_.sendNow(endpoint, fd, from, {answer, length});
    return true;
  }
  outbox_.sendNow(endpoint, fd, from, {answer, length});
  if (viaRtcp) {
    if (request.useCandidate || !endpoint.selectedRtcp.known()) endpoint.selectedRtcp = from;
    return true;
  }
  // Before a nomination the first pair that held is good enough to send on (RFC 8445 §12.1).
  const bool chosen = request.useCandidate ? !(endpoint.selected == from) || !endpoint.nominated : !endpoint.selected.known();
  if (current && chosen) select(endpoint, from, request.useCandidate, now);
  return true;
}

// Media may come from there.
void Worker::checkHeld(Endpoint& endpoint, bool viaRtcp, const Address& from, uint32_t priority, Micros now) {
  auto known = std::find_if(endpoint.checked.begin(), endpoint.checked.end(), [&](const auto& c) { return c.address == from; });
  if (known != endpoint.checked.end()) {
    known->at = now;
    return;
  }
  if (endpoint.checked.size() >= kMaxChecked) endpoint.checked.erase(endpoint.checked.begin());
  endpoint.checked.push_back({from, now, priority, viaRtcp});
}

void Worker::select(Endpoint& endpoint, const Address& from, bool nominated, Micros now) {
  const bool moved = !(endpoint.selected == from);
  endpoint.selected = from;
  endpoint.nominated = endpoint.nominated || nominated;
  if (endpoint.nominated) endpoint.formerIce.reset();
  if (moved) learned(endpoint, false, from, SourceVerdict::kFirst, now);
  if (endpoint.dtls && endpoint.dtls->state() == DtlsSession::State::kNew) {
    endpoint.dtls->start(now);
    afterDtls(endpoint);
  }
  for (const auto& datagram : std::exchange(endpoint.earlyDtls, {})) dtlsDatagram(endpoint, from, datagram, now);
}

void Worker::dtlsDatagram(Endpoint& endpoint, const Address& from, std::span<const uint8_t> packet, Micros now) {
  const SourceVerdict verdict = judge(endpoint, false, from, 0, now);
  if (verdict == SourceVerdict::kRefused) {
    refuse(endpoint, false, from, kDropUnknownSource, now);
    return;
  }
  if (!endpoint.dtls) {
    drop(endpoint, kDropNoKeys);
    return;
  }
  if (endpoint.agent && !target(endpoint, false, now).known()) {
    // The peer's check has held, ours has not been answered yet: there is nowhere to answer to.
    if (endpoint.earlyDtls.size() < kMaxEarly) endpoint.earlyDtls.emplace_back(packet.begin(), packet.end());
    return;
  }
  const auto state = endpoint.dtls->state();
  const auto* spec = std::get_if<DtlsSpec>(&endpoint.remote.crypto);
  if (spec != nullptr && state != DtlsSession::State::kConnected && state != DtlsSession::State::kNew && verdict > SourceVerdict::kFirst) {
    // Nobody is proven before the end of a handshake. Who is likelier to be the party than whoever began this one, or has
    // broken it, begins his own.
    take(endpoint, false, from, verdict, now);
    beginDtls(endpoint, *spec);
    if (!endpoint.dtls) return;
    if (spec->client) endpoint.dtls->start(now);
  } else if (state == DtlsSession::State::kNew) {
    // The handshake is answered where it comes from.
    take(endpoint, false, from, verdict, now);
  }
  endpoint.dtls->handle(now, packet);
  afterDtls(endpoint);
}

void Worker::beginDtls(Endpoint& endpoint, const DtlsSpec& spec) {
  endpoint.receiveSrtp.reset();
  endpoint.sendSrtp.reset();
  endpoint.dtlsReported = false;
  endpoint.dtls = DtlsSession::create(identity_, spec.client, spec.fingerprints, [&endpoint](std::span<const uint8_t> bytes) {
    // It may have another worker by then.
    Worker& worker = *endpoint.worker;
    const Address to = worker.target(endpoint, false, monotonicNow());
    if (to.known()) worker.outbox_.sendNow(endpoint, endpoint.rtpFd, to, bytes);
  });
}

void Worker::afterDtls(Endpoint& endpoint) {
  const auto state = endpoint.dtls->state();
  if (state == DtlsSession::State::kConnected) {
    if (auto keys = endpoint.dtls->takeKeys()) {
      endpoint.receiveSrtp = SrtpContext::create(keys->receive);
      endpoint.sendSrtp = SrtpContext::create(keys->send);
      countBytes(endpoint);
    }
  }
  const bool over = state == DtlsSession::State::kConnected || state == DtlsSession::State::kFailed;
  if (over && !endpoint.dtlsReported) {
    endpoint.dtlsReported = true;
    const bool connected = state == DtlsSession::State::kConnected;
    (connected ? counters_.dtlsConnected : counters_.dtlsFailed).add();
    Event event;
    event.type = Event::Type::kDtls;
    event.endpoint = endpoint.id;
    event.connected = connected;
    event.reason = endpoint.dtls->reason();
    sink_(std::move(event));
  }
  reschedule(endpoint);
}

}  // namespace causeway
