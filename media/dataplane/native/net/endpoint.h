// One party's end of one media line. Guarded by its worker's lock, but for what is constant after opening.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "../core/event_sender.h"
#include "../core/player.h"
#include "../core/rtcp.h"
#include "../core/stream_rewrite.h"
#include "ice_agent.h"
#include "types.h"

namespace causeway {

class Worker;
class SharedPort;
class RecordingRing;
struct Endpoint;

// What arrives at its owner leaves by `to`.
struct Path {
  Endpoint* to = nullptr;
  std::unique_ptr<Transcoder> transcoder;  // null: relay
  PathSpec spec;
  bool watched = false;  // its gate is not open, or its telephone-events matter
  TelephoneEventWatch events;
  uint64_t countedBytes = 0;
  // Of the newest packet relayed untouched, for whoever has to go on from there.
  struct Relayed {
    uint32_t ssrc = 0;
    uint16_t sequence = 0;
    uint32_t timestamp = 0;
    uint8_t pt = 0;
    Micros at = 0;
  };
  Relayed relayed;
};

// What we put ourselves into the one stream that a party hears. It comes with the first playback or key and stays: from
// then on SSRC, sequence numbers and timestamps are ours to continue.
struct Voice {
  Player player;
  // On a relay path, while something plays: decodes who speaks, mixes and encodes. Else the path's own transcoder mixes.
  std::unique_ptr<Transcoder> mixer;
  std::vector<PayloadFormat> mixed;  // what `mixer` was made of
  StreamRewrite rewrite;
  EventSender keys;
  uint32_t keyTimestamp = 0;
  uint64_t countedBytes = 0;
};

// What an endpoint has to tell about its sources. Bounded: the last few it took to, the first few it refused.
struct SourceRecord {
  static constexpr size_t kMaxLearned = 8;
  static constexpr size_t kMaxRefused = 8;
  std::vector<LearnedSource> learned;
  std::vector<RefusedSource> refused;
  uint64_t refusedElsewhere = 0;
  Micros toldAt = 0;
};

// Where a copy is coded: what its receiver takes passes as it came, the rest in a stream of our own.
struct TapCoding {
  TapSpec spec;
  std::unique_ptr<Transcoder> transcoder;
  bool active = false;  // the last that was no telephone-event was coded
  uint64_t countedBytes = 0;
};

struct Tap {
  Endpoint* to = nullptr;
  std::unique_ptr<TapCoding> coding;  // null: all passes as it came
};

// What arrives is also sent by other endpoints of the worker, and recorded (worker_tap.cc).
struct Copies {
  static constexpr size_t kMaxTaps = 8;
  std::array<Tap, kMaxTaps> taps{};
  size_t count = 0;
  std::vector<Endpoint*> sources;  // whose taps end here
  size_t coded = 0;                // of them, those that are coded
  std::unique_ptr<SrtpContext> srtp;  // of what passes unopened: copies are opened
  RecordingRing* ring = nullptr;   // null: not recorded
  uint64_t recording = 0;
  Address local;  // where it arrives, for the record
};

// Of an endpoint whose transport carries several lines (worker_bundle.cc), its own among them or not.
struct Bundle {
  std::vector<Endpoint*> riders;  // who has no sockets but these
  std::vector<Endpoint*> lines;   // by their numbers in `table`; null: closed meanwhile
  BundleTable table;
};

struct Endpoint {
  uint64_t id = 0;
  EndpointSpec spec;
  Worker* worker = nullptr;
  SharedPort* shared = nullptr;
  int rtpFd = -1;
  int rtcpFd = -1;
  uint16_t port = 0;
  uint8_t tos = kMediaTos;
  // Its transport is another's, or others use its own.
  bool bundled = false;
  Endpoint* carrier = nullptr;  // null, of a rider: it has been closed
  std::unique_ptr<Bundle> bundle;
  uint32_t rtpSocket = 0;  // places in the worker's table
  uint32_t rtcpSocket = 0;

  bool configured = false;
  RemoteSpec remote;
  SourceLearner rtp;
  SourceLearner rtcp{true};

  // ICE: sources whose checks held, or which have answered ours, and the one that was nominated.
  struct Checked {
    Address address;
    Micros at = 0;
    uint32_t priority = 0;
    bool rtcp = false;
  };
  std::vector<Checked> checked;
  IceRole iceRole = IceRole::kLite;
  std::unique_ptr<IceAgent> agent;  // in a role that checks, once the peer is known
  std::vector<std::vector<uint8_t>> earlyDtls;  // came before there was a pair to answer on
  Address selected;
  Address selectedRtcp;  // of component 2, where RTCP has a port of its own
  bool nominated = false;
  // While ICE restarts: what held before, until a pair of the new credentials is nominated (RFC 8445 §9).
  std::optional<IceCredentials> formerIce;
  std::string formerPeer;  // the peer's name of then

  std::unique_ptr<DtlsSession> dtls;
  bool dtlsReported = false;
  std::unique_ptr<SrtpContext> receiveSrtp;
  std::unique_ptr<SrtpContext> sendSrtp;

  std::optional<Path> out;
  std::unique_ptr<Voice> voice;
  std::vector<Endpoint*> feeders;  // whose paths end here
  std::unique_ptr<Copies> copies;

  uint64_t countedBytes = 0;  // of nativeBytes

  Micros openedAt = 0;
  Micros signalledAt = -1;
  Micros lastRtpAt = -1;
  Micros lastSentAt = -1;
  Micros scheduledAt = kNever;
  size_t heapIndex = 0;
  Micros reportAt = kNever;

  uint64_t receivedPackets = 0;
  uint64_t receivedBytes = 0;
  uint64_t sentPackets = 0;
  uint64_t sentBytes = 0;
  RtcpCounts rtcpCounts;
  Drops dropped{};
  ReceiverStats receiver;
  // Of the stream that we originate towards this endpoint.
  SenderState sender;
  uint16_t lastSequence = 0;
  double roundTripMs = -1;
  std::unique_ptr<SourceRecord> record;
  std::unique_ptr<VoipMetrics> voip;

  // Whose sockets, source and keys it uses.
  Endpoint& transport() { return carrier != nullptr ? *carrier : *this; }
  const Endpoint& transport() const { return carrier != nullptr ? *carrier : *this; }
  bool ice() const { return spec.ice.has_value() && iceRole != IceRole::kUnchecked; }
  bool fullIce() const { return spec.ice.has_value() && (iceRole == IceRole::kControlling || iceRole == IceRole::kControlled); }
  bool encrypted() const { return !std::holds_alternative<std::monostate>(remote.crypto); }
  bool originates() const {
    if (voice || (out && (out->transcoder || out->to->voice)) || (copies && copies->coded > 0)) return true;
    for (const Endpoint* feeder : feeders) {
      if (feeder->out && feeder->out->to == this && feeder->out->transcoder) return true;
    }
    return false;
  }
};

}  // namespace causeway
