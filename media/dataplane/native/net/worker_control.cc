// What the control plane asks of a worker: endpoints, what is known of their far sides, paths. Under the worker's lock.
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "../core/transcoder_config.h"
#include "ports.h"
#include "worker.h"

namespace causeway {
namespace {

constexpr Micros kReportUs = 5'000'000;  // RFC 3550 §6.2

uint32_t randomU32() {
  uint32_t value = 0;
  while (getrandom(&value, sizeof(value), 0) != sizeof(value)) {
  }
  return value;
}

bool sameFingerprints(const std::vector<Fingerprint>& a, const std::vector<Fingerprint>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Fingerprint& x, const Fingerprint& y) { return x.algorithm == y.algorithm && x.value == y.value; });
}

bool sameTranscoding(const std::optional<TranscoderConfig>& a, const std::optional<TranscoderConfig>& b) {
  return a && b ? causeway::sameTranscoding(*a, *b) : !a && !b;
}

}  // namespace

bool Worker::add(Endpoint& endpoint) {
  endpoint.openedAt = monotonicNow();
  endpoint.iceRole = endpoint.spec.iceRole;
  std::array<uint32_t, 3> start{};  // in one system call
  while (getrandom(start.data(), sizeof(start), 0) != sizeof(start)) {
  }
  endpoint.sender.ssrc = start[0];
  endpoint.lastSequence = static_cast<uint16_t>(start[1] & 0x7fff);
  endpoint.sender.lastTimestamp = start[2];
  counters_.endpoints.add();
  countBytes(endpoint);
  if (endpoint.shared != nullptr || endpoint.carrier != nullptr) return true;
  const bool rtp = watch(endpoint, false, endpoint.rtpFd, endpoint.rtpSocket);
  return (endpoint.rtcpFd < 0 || watch(endpoint, true, endpoint.rtcpFd, endpoint.rtcpSocket)) && rtp;
}

void Worker::configure(Endpoint& endpoint, const RemoteSpec& remote) {
  const Micros now = monotonicNow();
  if (endpoint.spec.socket == SocketKind::kCarried) {
    // Where the party is and by what keys it speaks is told to who carries it.
    endpoint.signalledAt = now;
    return;
  }
  const RemoteSpec before = std::move(endpoint.remote);
  endpoint.remote = remote;
  if (endpoint.copies && remote.copyKey != before.copyKey) openForCopies(endpoint);
  endpoint.configured = true;
  endpoint.signalledAt = now;
  if (remote.localIce && endpoint.spec.ice && endpoint.spec.ice->ufrag != remote.localIce->ufrag) {
    // Media goes on where it went until a pair of the new credentials is nominated.
    endpoint.formerIce = std::move(endpoint.spec.ice);
    endpoint.formerPeer = before.ice ? before.ice->ufrag : std::string();
    endpoint.spec.ice = remote.localIce;
    endpoint.nominated = false;
  }
  configureIce(endpoint, before, now);
  endpoint.rtp.signalled(remote.rtp, remote.rules, now);
  // RFC 3550 §11: without other word, RTCP is at the next port.
  Address rtcp = remote.rtcp;
  if (!rtcp.known() && remote.rtp.known()) {
    rtcp = remote.rtp;
    rtcp.setPort(static_cast<uint16_t>(rtcp.port() + 1));
  }
  endpoint.rtcp.signalled(rtcp, remote.rules, now);

  if (const auto* sdes = std::get_if<SdesSpec>(&remote.crypto)) {
    const auto* old = std::get_if<SdesSpec>(&before.crypto);
    if (!old || !(old->receive == sdes->receive) || !endpoint.receiveSrtp) endpoint.receiveSrtp = SrtpContext::create(sdes->receive);
    if (!old || !(old->send == sdes->send) || !endpoint.sendSrtp) endpoint.sendSrtp = SrtpContext::create(sdes->send);
    endpoint.dtls.reset();
  } else if (const auto* dtls = std::get_if<DtlsSpec>(&remote.crypto)) {
    const auto* old = std::get_if<DtlsSpec>(&before.crypto);
    const bool same = old && endpoint.dtls && old->client == dtls->client && sameFingerprints(old->fingerprints, dtls->fingerprints);
    if (!same) beginDtls(endpoint, *dtls);
    if (endpoint.dtls && dtls->client && target(endpoint, false, now).known()) {
      endpoint.dtls->start(now);
      afterDtls(endpoint);
    }
  } else {
    endpoint.dtls.reset();
    endpoint.receiveSrtp.reset();
    endpoint.sendSrtp.reset();
  }
  countBytes(endpoint);
  reschedule(endpoint);
}

void Worker::countBytes(Endpoint& endpoint) {
  uint64_t bytes = sizeof(Endpoint) + (endpoint.copies ? sizeof(Copies) : 0) + (endpoint.bundle ? sizeof(Bundle) : 0) + (endpoint.dtls ? endpoint.dtls->memoryBytes() : 0);
  if (endpoint.agent) bytes += endpoint.agent->memoryBytes();
  for (const auto* srtp : {endpoint.receiveSrtp.get(), endpoint.sendSrtp.get(), endpoint.copies ? endpoint.copies->srtp.get() : nullptr}) {
    if (srtp != nullptr) bytes += srtp->memoryBytes();
  }
  counters_.nativeBytes.add(bytes - endpoint.countedBytes);
  endpoint.countedBytes = bytes;
}

void Worker::countTranscoder(Path& path) {
  const uint64_t bytes = path.transcoder ? path.transcoder->memoryBytes() : 0;
  counters_.nativeBytes.add(bytes - path.countedBytes);
  path.countedBytes = bytes;
}

bool Worker::setPath(Endpoint& from, Endpoint& to, const PathSpec& spec, std::string& error) {
  const bool watched = spec.gate != Gate::kOpen || (!spec.events.empty() && (spec.detectEvents || spec.blockEvents));
  if (from.out && from.out->to == &to && sameTranscoding(from.out->spec.transcode, spec.transcode)) {
    from.out->spec = spec;
    from.out->watched = watched;
    if (spec.ownReports) ownReports(from, to);
    if (to.voice) pathChanged(to, false);
    return true;
  }
  std::unique_ptr<Transcoder> transcoder;
  if (spec.transcode) {
    TranscoderConfig config = *spec.transcode;
    // The stream goes on where it was: same SSRC, next sequence number, timestamp moved by the time since.
    config.ssrc = to.sender.ssrc;
    config.firstSequence = static_cast<uint16_t>(to.lastSequence + 1);
    const Micros since = to.sender.lastSentAt > 0 ? monotonicNow() - to.sender.lastSentAt : 0;
    config.firstTimestamp = to.sender.lastTimestamp + static_cast<uint32_t>(since * config.out.clockRate / 1'000'000);
    transcoder = Transcoder::create(config, error);
    if (!transcoder) return false;
    to.sender.clockRate = config.out.clockRate;
  }
  clearPath(from);
  from.out.emplace();
  from.out->to = &to;
  from.out->transcoder = std::move(transcoder);
  from.out->spec = spec;
  from.out->watched = watched;
  to.feeders.push_back(&from);
  counters_.paths.add();
  if (from.out->transcoder) counters_.transcoders.add();
  countTranscoder(*from.out);
  const Micros now = monotonicNow();
  for (Endpoint* endpoint : {&from, &to}) {
    endpoint->reportAt = endpoint->originates() ? std::min(endpoint->reportAt, now + kReportUs / 2) : kNever;
    reschedule(*endpoint);
  }
  if (to.voice) pathChanged(to, true);
  if (spec.ownReports) ownReports(from, to);
  return true;
}

void Worker::clearPath(Endpoint& from) {
  if (!from.out) return;
  Endpoint* to = from.out->to;
  counters_.paths.subtract();
  if (from.out->transcoder) counters_.transcoders.subtract();
  counters_.nativeBytes.subtract(from.out->countedBytes);
  from.out.reset();
  std::erase(to->feeders, &from);
  for (Endpoint* endpoint : {&from, to}) {
    if (!endpoint->originates()) endpoint->reportAt = kNever;
    reschedule(*endpoint);
  }
}

void Worker::remove(Endpoint& endpoint) {
  // A stream of our own ends with its endpoint.
  if (endpoint.sender.packets > 0) report(endpoint, true, monotonicNow());
  if (endpoint.voice) endMixer(endpoint);
  clearPath(endpoint);
  dropCopies(endpoint);
  for (Endpoint* feeder : std::vector<Endpoint*>(endpoint.feeders)) clearPath(*feeder);
  deadlines_.set(endpoint, kNever);
  leaveBundle(endpoint);
  if (endpoint.rtpFd >= 0 && endpoint.shared == nullptr) {
    // Closing takes them out of epoll.
    unwatch(endpoint.rtpSocket);
    ::close(endpoint.rtpFd);
    if (endpoint.rtcpFd >= 0) {
      unwatch(endpoint.rtcpSocket);
      ::close(endpoint.rtcpFd);
    }
  }
  uncount(endpoint);
}

void Worker::uncount(Endpoint& endpoint) {
  counters_.endpoints.subtract();
  counters_.nativeBytes.subtract(endpoint.countedBytes);
  if (endpoint.voice) counters_.nativeBytes.subtract(sizeof(Voice));
  endpoint.countedBytes = 0;
}

void Worker::detach(Endpoint& endpoint) {
  if (endpoint.voice) endMixer(endpoint);
  clearPath(endpoint);
  dropCopies(endpoint);
  for (Endpoint* feeder : std::vector<Endpoint*>(endpoint.feeders)) clearPath(*feeder);
  deadlines_.set(endpoint, kNever);
  if (endpoint.shared == nullptr) {
    ::epoll_ctl(epoll_, EPOLL_CTL_DEL, endpoint.rtpFd, nullptr);
    unwatch(endpoint.rtpSocket);
    if (endpoint.rtcpFd >= 0) {
      ::epoll_ctl(epoll_, EPOLL_CTL_DEL, endpoint.rtcpFd, nullptr);
      unwatch(endpoint.rtcpSocket);
    }
  }
  uncount(endpoint);
}

bool Worker::attach(Endpoint& endpoint) {
  counters_.endpoints.add();
  countBytes(endpoint);
  if (endpoint.voice) counters_.nativeBytes.add(sizeof(Voice));
  reschedule(endpoint);
  if (endpoint.shared != nullptr) return true;
  const bool rtp = watch(endpoint, false, endpoint.rtpFd, endpoint.rtpSocket);
  return (endpoint.rtcpFd < 0 || watch(endpoint, true, endpoint.rtcpFd, endpoint.rtcpSocket)) && rtp;
}

void Worker::mark(Endpoint& endpoint, uint8_t tos) {
  // The port of all WebRTC legs is nobody's own.
  if (endpoint.tos == tos || endpoint.shared != nullptr) return;
  endpoint.tos = tos;
  markUdp(endpoint.rtpFd, tos);
  if (endpoint.rtcpFd >= 0) markUdp(endpoint.rtcpFd, tos);
}

void Worker::tick(Endpoint& endpoint, Micros now) {
  if (endpoint.dtls && endpoint.dtls->nextDeadline() <= now) {
    endpoint.dtls->tick(now);
    afterDtls(endpoint);
    countBytes(endpoint);
  }
  if (endpoint.agent && endpoint.agent->nextDeadline() <= now) runAgent(endpoint, now);
  if (endpoint.reportAt <= now) {
    report(endpoint, false, now);
    // RFC 3550 §6.2: between half and one and a half of the interval, lest everybody reports at once.
    endpoint.reportAt = now + kReportUs / 2 + randomU32() % kReportUs;
    if (endpoint.out) countTranscoder(*endpoint.out);
  }
  if (endpoint.out && endpoint.out->transcoder && endpoint.out->transcoder->nextDeadline() <= now) pollTranscoder(endpoint, now);
  if (endpoint.voice) tickVoice(endpoint, now);
  if (endpoint.copies) pollTaps(endpoint, now);
  reschedule(endpoint);
}

void Worker::reschedule(Endpoint& endpoint) {
  Micros next = endpoint.reportAt;
  if (endpoint.dtls) next = std::min(next, endpoint.dtls->nextDeadline());
  if (endpoint.agent) next = std::min(next, endpoint.agent->nextDeadline());
  if (endpoint.out && endpoint.out->transcoder) next = std::min(next, endpoint.out->transcoder->nextDeadline());
  if (endpoint.voice) {
    next = std::min(next, endpoint.voice->keys.nextDeadline());
    if (endpoint.voice->mixer) next = std::min(next, endpoint.voice->mixer->nextDeadline());
  }
  if (endpoint.copies) next = std::min(next, nextTap(*endpoint.copies));
  deadlines_.set(endpoint, next);
}

void Worker::stats(const Endpoint& endpoint, EndpointStats& out) const {
  const Micros now = monotonicNow();
  const Endpoint& by = endpoint.transport();
  out.now = now;
  out.receivedPackets = endpoint.receivedPackets;
  out.receivedBytes = endpoint.receivedBytes;
  out.lost = endpoint.receiver.lost();
  out.jitterMs = endpoint.receiver.jitterMs();
  out.sentPackets = endpoint.sentPackets;
  out.sentBytes = endpoint.sentBytes;
  out.rtcp = endpoint.rtcpCounts;
  if (endpoint.receiveSrtp) out.suite = endpoint.receiveSrtp->suite();
  out.dropped = endpoint.dropped;
  if (endpoint.receiver.active()) out.ssrc = endpoint.receiver.ssrc();
  out.remoteRtp = by.ice() ? by.selected : by.rtp.target();
  out.remoteRtcp = by.ice() || by.remote.rtcpMux ? out.remoteRtp : by.rtcp.target();
  if (endpoint.lastRtpAt >= 0) out.lastPacketMs = (now - endpoint.lastRtpAt) / 1000;
  if (by.dtls) {
    static constexpr const char* kNames[] = {"new", "connecting", "connected", "failed"};
    out.dtls = kNames[static_cast<size_t>(by.dtls->state())];
  }
  out.iceConnected = by.selected.known();
  if (by.agent) by.agent->report(out.ice.emplace(), now);
  if (endpoint.roundTripMs >= 0) out.roundTripMs = endpoint.roundTripMs;
  if (endpoint.out && endpoint.out->transcoder) out.playout = endpoint.out->transcoder->stats();
  out.openedAt = endpoint.openedAt;
  out.signalledAt = by.signalledAt;
  out.lastReceivedAt = endpoint.lastRtpAt;
  out.lastSentAt = endpoint.lastSentAt;
  out.frozen = by.ice() ? by.nominated : by.rtp.frozen();
  if (by.record) {
    out.learned = by.record->learned;
    out.refused = by.record->refused;
    out.refusedElsewhere = by.record->refusedElsewhere;
  }
  if (endpoint.voip) out.voip = *endpoint.voip;
  if (endpoint.receiver.active()) out.quality = quality(endpoint);
}

}  // namespace causeway
