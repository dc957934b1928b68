// What the packet path is asked for and what it tells: plain values, without sockets.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "../core/bundle.h"
#include "../core/rtcp.h"
#include "../core/telephone_event.h"
#include "../core/transcoder.h"
#include "address.h"
#include "dtls.h"
#include "source_learner.h"
#include "srtp.h"

namespace causeway {

struct Interface {
  std::string name;
  std::string address;
  std::string advertised;
};

// Expedited forwarding (RFC 4594 §1.6): media before the rest, where the network looks at it.
inline constexpr uint8_t kMediaTos = 46 << 2;

struct DataplaneOptions {
  std::vector<Interface> interfaces;
  uint16_t portMin = 20000;
  uint16_t portMax = 23999;
  uint16_t webrtcPort = 0;
  unsigned threads = 1;
  uint8_t tos = kMediaTos;  // of what is sent, the traffic class of IPv6
};

struct IceCredentials {
  std::string ufrag;
  std::string pwd;
};

// What we are towards a peer (RFC 8445 §6.1.1). Lite: its checks are answered. Unchecked: both are lite, nobody checks.
enum class IceRole : uint8_t { kLite, kUnchecked, kControlling, kControlled };
inline constexpr std::array<const char*, 4> kIceRoleNames = {"lite", "unchecked", "controlling", "controlled"};

enum class IceKind : uint8_t { kHost, kServerReflexive, kPeerReflexive, kRelayed };
inline constexpr std::array<const char*, 4> kIceKindNames = {"host", "srflx", "prflx", "relay"};

struct IceCandidate {
  Address address;
  uint32_t priority = 0;
  uint8_t component = 1;
  IceKind kind = IceKind::kHost;
};

// What became of the candidates of a peer.
struct IceReport {
  struct Entry {
    Address address;
    uint8_t component = 1;
    IceKind kind = IceKind::kHost;
    const char* state = "waiting";
    bool chosen = false;
  };
  IceRole role = IceRole::kLite;
  const char* state = "new";
  uint32_t checks = 0;
  uint32_t answers = 0;
  uint32_t held = 0;     // put off, because their place has answered nobody
  uint32_t refused = 0;  // candidates above the bound
  int64_t consentMs = -1;  // since the peer has last agreed
  std::vector<Entry> candidates;
};

enum class SocketKind : uint8_t { kPair, kSingle, kShared, kCarried };

struct EndpointSpec {
  SocketKind socket = SocketKind::kPair;
  std::string interface;
  std::string affinity;
  std::optional<IceCredentials> ice;
  IceRole iceRole = IceRole::kLite;  // until there is a word of the peer
  bool raw = false;  // datagrams of which nothing is known but their source
  uint64_t carrier = 0;  // of kCarried: the endpoint whose transport it uses
};

struct SdesSpec {
  SrtpKey receive;
  SrtpKey send;
};

struct DtlsSpec {
  bool client = false;
  std::vector<Fingerprint> fingerprints;
};

using CryptoSpec = std::variant<std::monostate, SdesSpec, DtlsSpec>;

struct RemoteSpec {
  Address rtp;
  Address rtcp;
  LearningRules rules;
  bool rtcpMux = false;
  CryptoSpec crypto;
  std::optional<SrtpKey> copyKey;  // what passes unopened is opened with it for those who get copies
  std::optional<IceCredentials> ice;
  std::optional<IceCredentials> localIce;  // ours from now on; others than before restart ICE
  IceRole iceRole = IceRole::kLite;
  bool litePeer = false;
  std::vector<IceCandidate> candidates;
};

// The lines on the transport of one endpoint (RFC 9143). No lines: it is of one line again, its own.
struct BundleSpec {
  struct Line {
    uint64_t endpoint = 0;
    BundleTable::Line keys;
  };
  std::vector<Line> lines;
};

enum class Gate : uint8_t {
  kOpen,
  kBlocked,  // dropped; telephone-events pass
  kSilent,   // the codec's silence instead of the payload; codecs without one are dropped
};

struct EventFormat {
  uint8_t pt = 0;
  uint32_t clockRate = 8000;
};

struct PathSpec {
  std::optional<TranscoderConfig> transcode;  // empty: relay
  Gate gate = Gate::kOpen;
  std::vector<EventFormat> events;  // the sender's telephone-event payload types
  bool detectEvents = false;
  bool blockEvents = false;
  std::vector<PayloadFormat> codable;  // of a relay path: what something can be mixed into, the best first
  bool ownReports = false;             // of a relay path: the parties' RTCP ends here, reports are ours
};

// What a subscriber does not take is coded for it.
struct TapSpec {
  TranscoderConfig coding;     // `in`: what it does not take; `dtmf`: the events that it takes
  std::bitset<128> untouched;  // payload types that it takes as they are
};

enum Drop : uint8_t {
  kDropMalformed,
  kDropUnknownSource,
  kDropAuthentication,
  kDropReplay,
  kDropNoKeys,
  kDropNoPath,
  kDropNoRemote,
  kDropSend,
  kDropIce,
  kDropGated,
  kDropNoLine,  // of a bundle: no MID, SSRC or payload type says whose it is
  kDropSsrcLimit,
  kDropCount,
};

inline constexpr std::array<const char*, kDropCount> kDropNames = {"malformed", "unknown-source", "authentication", "replay",
                                                                   "no-keys",   "no-path",        "no-remote",      "send",
                                                                   "ice",       "gated",          "no-line",        "ssrc-limit"};
using Drops = std::array<uint64_t, kDropCount>;

// A source that an endpoint has taken to, and why (source_learner.h; `ice`: a checked pair).
struct LearnedSource {
  Address from;
  Micros at = 0;
  bool rtcp = false;
  bool ice = false;
  SourceVerdict how = SourceVerdict::kFirst;
};

// A source that an endpoint would not hear.
struct RefusedSource {
  Address from;
  Micros firstAt = 0;
  Micros lastAt = 0;
  uint64_t packets = 0;
  bool rtcp = false;
  Drop why = kDropUnknownSource;
};

struct RtcpCounts {
  uint64_t receivedPackets = 0;
  uint64_t receivedBytes = 0;
  uint64_t sentPackets = 0;
  uint64_t sentBytes = 0;
  Micros lastReceivedAt = -1;
};

struct EndpointStats {
  uint64_t receivedPackets = 0;
  uint64_t receivedBytes = 0;
  int64_t lost = 0;
  double jitterMs = 0;
  uint64_t sentPackets = 0;
  uint64_t sentBytes = 0;
  RtcpCounts rtcp;
  const char* suite = "";  // of the SRTP that it receives; empty: none, or not yet
  Drops dropped{};
  std::optional<uint32_t> ssrc;
  Address remoteRtp;
  Address remoteRtcp;
  std::optional<int64_t> lastPacketMs;
  const char* dtls = "none";
  bool iceConnected = false;
  std::optional<IceReport> ice;  // of a full agent
  std::optional<double> roundTripMs;
  std::optional<TranscoderStats> playout;
  Micros now = 0;
  Micros openedAt = 0;
  Micros signalledAt = -1;
  Micros lastReceivedAt = -1;
  Micros lastSentAt = -1;
  bool frozen = false;
  std::vector<LearnedSource> learned;
  std::vector<RefusedSource> refused;
  uint64_t refusedElsewhere = 0;  // packets of sources for which there was no room
  std::optional<VoipMetrics> voip;     // the far end's word
  std::optional<VoipMetrics> quality;  // ours
};

// What became of a recording.
struct RecordingResult {
  uint64_t recording = 0;
  uint64_t packets = 0;
  uint64_t bytes = 0;
  std::string error;  // empty: the file is whole
};

struct Totals {
  uint64_t endpoints = 0;
  uint64_t paths = 0;
  uint64_t transcoders = 0;
  uint64_t portsInUse = 0;
  uint64_t portsTotal = 0;
  std::vector<std::pair<std::string, uint64_t>> portsByInterface;  // in use
  int64_t nativeBytes = 0;
  unsigned threads = 0;
  uint64_t packetsReceived = 0;
  uint64_t packetsSent = 0;
  uint64_t bytesReceived = 0;
  uint64_t bytesSent = 0;
  Drops dropped{};
  double cpuMs = 0;
  std::vector<double> threadCpuMs;  // of each worker that runs
  uint64_t dtlsConnected = 0;
  uint64_t dtlsFailed = 0;
  uint64_t iceChecksSent = 0;
  uint64_t iceChecksAnswered = 0;
  uint64_t iceChecksHeld = 0;
  uint64_t iceCandidatesRefused = 0;
  uint64_t iceFailed = 0;
  uint64_t consentLost = 0;
  uint64_t taps = 0;
  uint64_t tappedPackets = 0;
  uint64_t recordings = 0;
  uint64_t recordedPackets = 0;
  uint64_t recordedBytes = 0;
  uint64_t recordingLost = 0;  // packets: a ring was full, or a disk
};

struct Event {
  enum class Type : uint8_t { kLearned, kDtls, kIce, kFirstPacket, kRefused, kDtmf, kRecording, kPlayed, kIceFailed };
  Type type = Type::kLearned;
  uint64_t endpoint = 0;
  bool rtcp = false;
  bool connected = false;
  std::string reason;
  Address remote;
  uint64_t packets = 0;  // of kRefused: from there, so far
  uint64_t playback = 0;  // of kPlayed: it has come to its end
  TelephoneEvent key;
  RecordingResult recording;
};

}  // namespace causeway
