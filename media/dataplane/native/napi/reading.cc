#include "reading.h"

#include <algorithm>

#include "../net/stun.h"

namespace causeway::napi {
namespace {

bool readAddress(Reader& object, const char* key, Address& out) {
  if (!object.has(key)) return true;
  Reader value = object.object(key);
  const std::string host = value.text("address");
  const auto port = static_cast<uint16_t>(value.number("port", 0, 65535));
  if (value.failed()) return false;
  if (Address::parse(host, port, out)) return true;
  object.fail(key, "an IP address and a port");
  return false;
}

bool readSuite(Reader& key, SrtpSuite& suite) {
  const std::string name = key.text("suite");
  for (size_t i = 0; i < static_cast<size_t>(SrtpSuite::kCount); i++) {
    suite = static_cast<SrtpSuite>(i);
    if (name == srtpSuite(suite).name) return true;
  }
  key.fail("suite", "an SRTP suite of this node");
  return false;
}

bool readKey(Reader crypto, const char* which, SrtpKey& out) {
  Reader key = crypto.object(which);
  if (crypto.failed() || !readSuite(key, out.suite)) return false;
  const std::vector<uint8_t> material = key.bytes("keySalt");
  for (const auto& [name, flag] : {std::pair{"unencryptedRtp", &out.unencryptedRtp}, std::pair{"unencryptedRtcp", &out.unencryptedRtcp},
                                   std::pair{"unauthenticatedRtp", &out.unauthenticatedRtp}}) {
    if (key.has(name)) *flag = key.flag(name);
  }
  if (key.failed()) return false;
  const size_t keyLength = srtpKeyLength(out.suite);
  if (material.size() != keyLength + srtpSaltLength(out.suite)) {
    key.fail("keySalt", "key and salt of the suite's lengths");
    return false;
  }
  out.key.assign(material.begin(), material.begin() + static_cast<std::ptrdiff_t>(keyLength));
  out.salt.assign(material.begin() + static_cast<std::ptrdiff_t>(keyLength), material.end());
  return true;
}

bool readHex(const std::string& text, std::vector<uint8_t>& out) {
  int high = -1;
  for (const char c : text) {
    if (c == ':') continue;
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
    if (digit < 0) return false;
    if (high < 0) high = digit;
    else {
      out.push_back(static_cast<uint8_t>(high << 4 | digit));
      high = -1;
    }
  }
  return high < 0;
}

bool readCrypto(Reader& remote, CryptoSpec& out) {
  Reader crypto = remote.object("crypto");
  if (remote.failed()) return false;
  const std::string type = crypto.text("type");
  if (type == "none") return !crypto.failed();
  if (type == "sdes") {
    SdesSpec spec;
    if (!readKey(crypto, "receive", spec.receive) || !readKey(crypto, "send", spec.send)) return false;
    out = std::move(spec);
    return true;
  }
  if (type == "dtls") {
    DtlsSpec spec;
    spec.client = crypto.text("role") == "client";
    bool ok = true;
    crypto.list("fingerprints", [&](Reader entry) {
      Fingerprint fingerprint;
      fingerprint.algorithm = entry.text("algorithm");
      std::transform(fingerprint.algorithm.begin(), fingerprint.algorithm.end(), fingerprint.algorithm.begin(), ::tolower);
      ok = ok && readHex(entry.text("value"), fingerprint.value) && !entry.failed();
      spec.fingerprints.push_back(std::move(fingerprint));
    });
    if (!ok) crypto.fail("fingerprints", "hex digits with colons");
    if (crypto.failed()) return false;
    out = std::move(spec);
    return true;
  }
  crypto.fail("type", "none, sdes or dtls");
  return false;
}

bool readFormat(Reader& format, PayloadFormat& out) {
  out.pt = static_cast<uint8_t>(format.number("pt", 0, 127));
  const std::string codec = format.text("codec");
  if (codec == "PCMU") out.codec = Codec::kPcmu;
  else if (codec == "PCMA") out.codec = Codec::kPcma;
  else if (codec == "opus") out.codec = Codec::kOpus;
  else if (codec == "CN") out.codec = Codec::kComfortNoise;
  else format.fail("codec", "PCMU, PCMA, opus or CN");
  out.clockRate = static_cast<uint32_t>(format.number("clockRate", 1000, 192000));
  out.channels = static_cast<uint8_t>(format.number("channels", 1, 2));
  out.ptimeMs = static_cast<uint16_t>(format.number("ptimeMs", 10, 60));
  if (format.has("opus")) {
    Reader opus = format.object("opus");
    out.fec = opus.flag("fec");
    out.dtx = opus.flag("dtx");
    out.bitrate = static_cast<int32_t>(opus.numberOr("bitrate", 6000, 510000, 0));
    out.maxPlaybackRate = static_cast<uint32_t>(opus.numberOr("maxPlaybackRate", 8000, 48000, 48000));
    if (opus.failed()) return false;
  }
  return !format.failed();
}

bool readTranscoding(Reader path, TranscoderConfig& config) {
  bool ok = true;
  path.list("in", [&](Reader entry) {
    PayloadFormat format;
    ok = readFormat(entry, format) && ok;
    config.in.push_back(format);
  });
  Reader target = path.object("out");
  if (path.failed() || !ok || !readFormat(target, config.out)) return false;
  path.list("dtmf", [&](Reader entry) {
    DtmfMap map;
    map.inPt = static_cast<uint8_t>(entry.number("inPt", 0, 127));
    map.inClock = static_cast<uint32_t>(entry.number("inClock", 1000, 192000));
    map.outPt = static_cast<uint8_t>(entry.number("outPt", 0, 127));
    map.outClock = static_cast<uint32_t>(entry.number("outClock", 1000, 192000));
    ok = ok && !entry.failed();
    config.dtmf.push_back(map);
  });
  Reader jitter = path.object("jitter");
  if (path.failed()) return false;
  config.jitterMinMs = static_cast<uint32_t>(jitter.number("minMs", 0, 2000));
  config.jitterMaxMs = static_cast<uint32_t>(jitter.number("maxMs", 0, 2000));
  return ok && !jitter.failed();
}

bool readRole(Reader& object, IceRole& role) {
  if (!object.has("iceRole")) return true;
  const std::string name = object.text("iceRole");
  for (size_t i = 0; i < kIceRoleNames.size(); i++) {
    if (name != kIceRoleNames[i]) continue;
    role = static_cast<IceRole>(i);
    return true;
  }
  object.fail("iceRole", "lite, unchecked, controlling or controlled");
  return false;
}

// Names and passwords are as long as SDP lets them be (RFC 8839 §5.4).
bool readCandidates(Reader& object, RemoteSpec& remote) {
  if (remote.ice && (remote.ice->ufrag.size() > kIceNameMax || remote.ice->pwd.size() > kIceNameMax)) {
    object.fail("ice", "a name and a password of at most 256 characters");
    return false;
  }
  if (object.has("litePeer")) remote.litePeer = object.flag("litePeer");
  if (!object.has("candidates")) return !object.failed();
  object.list("candidates", [&](Reader entry) {
    IceCandidate& candidate = remote.candidates.emplace_back();
    candidate.component = static_cast<uint8_t>(entry.number("component", 1, 2));
    candidate.priority = static_cast<uint32_t>(entry.number("priority", 0, 4294967295.0));
    const std::string kind = entry.text("type");
    for (size_t i = 0; i < kIceKindNames.size(); i++) {
      if (kind == kIceKindNames[i]) candidate.kind = static_cast<IceKind>(i);
    }
    if (entry.failed() || !readAddress(entry, "at", candidate.address)) object.fail("candidates", "component, priority, type and at");
  });
  return !object.failed();
}

}  // namespace

bool readPath(Reader path, PathSpec& out) {
  const std::string mode = path.text("mode");
  if (path.failed()) return false;
  if (path.has("gate")) {
    const std::string gate = path.text("gate");
    if (gate == "blocked") out.gate = Gate::kBlocked;
    else if (gate == "silent") out.gate = Gate::kSilent;
    else if (gate != "open") path.fail("gate", "open, blocked or silent");
  }
  if (path.has("events")) {
    Reader events = path.object("events");
    events.list("formats", [&](Reader entry) {
      out.events.push_back({static_cast<uint8_t>(entry.number("pt", 0, 127)), static_cast<uint32_t>(entry.number("clockRate", 1000, 192000))});
    });
    out.detectEvents = events.flag("detect");
    out.blockEvents = events.flag("block");
    if (events.failed()) return false;
  }
  if (path.has("codable")) {
    bool ok = true;
    path.list("codable", [&](Reader entry) {
      PayloadFormat format;
      ok = readFormat(entry, format) && ok;
      out.codable.push_back(format);
    });
    if (!ok) return false;
  }
  out.ownReports = path.has("ownReports") && path.flag("ownReports");
  if (path.failed()) return false;
  if (mode == "relay") return true;
  return readTranscoding(path, out.transcode.emplace());
}

bool readTap(Reader tap, TapSpec& out) {
  tap.list("untouched", [&](Reader entry) { out.untouched.set(static_cast<size_t>(entry.number("pt", 0, 127))); });
  return !tap.failed() && readTranscoding(tap, out.coding);
}

bool readEndpointSpec(Reader& object, EndpointSpec& spec) {
  const std::string socket = object.text("socket");
  if (object.failed()) return false;
  spec.socket = socket == "shared" ? SocketKind::kShared : socket == "carried" ? SocketKind::kCarried : socket == "single" ? SocketKind::kSingle : SocketKind::kPair;
  spec.interface = object.text("interface");
  spec.affinity = object.text("affinity");
  if (object.has("ice")) {
    Reader ice = object.object("ice");
    spec.ice = IceCredentials{ice.text("ufrag"), ice.text("pwd")};
    if (ice.failed()) return false;
  }
  spec.raw = object.has("raw") && object.flag("raw");
  spec.carrier = static_cast<uint64_t>(object.numberOr("carrier", 1, 9e15, 0));
  return !object.failed() && readRole(object, spec.iceRole);
}

bool readBundle(Reader& object, BundleSpec& out) {
  object.list("lines", [&](Reader entry) {
    BundleSpec::Line& line = out.lines.emplace_back();
    line.endpoint = static_cast<uint64_t>(entry.number("endpoint", 1, 9e15));
    if (entry.has("mid")) line.keys.mid = entry.text("mid");
    line.keys.midExtension = static_cast<uint8_t>(entry.numberOr("midExtension", 1, 14, 0));
    for (const double pt : entry.numbers("payloadTypes", 0, 127)) line.keys.payloadTypes.set(static_cast<size_t>(pt));
    for (const double ssrc : entry.numbers("ssrcs", 0, 4294967295.0)) line.keys.ssrcs.push_back(static_cast<uint32_t>(ssrc));
    if (entry.failed()) object.fail("lines", "endpoints with their payload types and SSRCs");
  });
  return !object.failed();
}

bool readRemote(Reader& object, RemoteSpec& remote) {
  if (!readAddress(object, "rtp", remote.rtp) || !readAddress(object, "rtcp", remote.rtcp)) return false;
  const std::string learning = object.text("learning");
  remote.rules.learning = learning == "off"          ? Learning::kOff
                          : learning == "asymmetric" ? Learning::kAsymmetric
                          : learning == "immediate"  ? Learning::kImmediate
                          : learning == "delayed"    ? Learning::kDelayed
                                                     : Learning::kHeuristic;
  remote.rules.strictSource = object.flag("strictSource");
  remote.rules.newParty = object.has("newParty") && object.flag("newParty");
  if (object.has("signaling") && !Address::parse(object.text("signaling"), 0, remote.rules.signaling)) {
    object.fail("signaling", "an IP address");
  }
  remote.rules.mediaHandover = object.has("mediaHandover") && object.flag("mediaHandover");
  remote.rtcpMux = object.flag("rtcpMux");
  if (!readCrypto(object, remote.crypto)) return false;
  if (object.has("copyKey") && !readKey(object, "copyKey", remote.copyKey.emplace())) return false;
  if (object.has("ice")) {
    Reader ice = object.object("ice");
    remote.ice = IceCredentials{ice.text("ufrag"), ice.text("pwd")};
    if (ice.failed()) return false;
  }
  if (object.has("localIce")) {
    Reader ice = object.object("localIce");
    remote.localIce = IceCredentials{ice.text("ufrag"), ice.text("pwd")};
    if (ice.failed()) return false;
  }
  return !object.failed() && readRole(object, remote.iceRole) && readCandidates(object, remote);
}

bool readOptions(Reader& object, DataplaneOptions& options) {
  object.list("interfaces", [&](Reader entry) {
    options.interfaces.push_back({entry.text("name"), entry.text("address"), entry.text("advertised")});
    if (entry.failed()) object.fail("interfaces", "name, address and advertised");
  });
  options.portMin = static_cast<uint16_t>(object.number("portMin", 1, 65535));
  options.portMax = static_cast<uint16_t>(object.number("portMax", 1, 65535));
  options.webrtcPort = static_cast<uint16_t>(object.number("webrtcPort", 1, 65535));
  options.threads = static_cast<unsigned>(object.number("threads", 1, 64));
  options.tos = static_cast<uint8_t>(object.numberOr("tos", 0, 255, kMediaTos));
  return !object.failed();
}

}  // namespace causeway::napi
