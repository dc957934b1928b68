// The Node-API skin of the packet path: values in, values out, events to one JavaScript function. No logic of its own.
#include <node_api.h>

#include <algorithm>
#include <memory>
#include <mutex>

#include "../net/dataplane.h"
#include "values.h"

namespace causeway::napi {
namespace {

constexpr napi_type_tag kClipTag = {0x6361757365776179, 0x636c6970};
constexpr size_t kEventQueue = 10'000;  // events that JavaScript has not taken; more are dropped

struct Handle {
  std::unique_ptr<Dataplane> plane;
  napi_threadsafe_function events = nullptr;
};

napi_value undefined(napi_env env) {
  napi_value value = nullptr;
  napi_get_undefined(env, &value);
  return value;
}

napi_value raise(napi_env env, const Dataplane::Failure& failure) {
  napi_throw_error(env, failure.code.c_str(), failure.message.c_str());
  return nullptr;
}

struct Call {
  napi_env env;
  Handle* handle = nullptr;
  napi_value args[3] = {};
  size_t count = 3;

  Call(napi_env environment, napi_callback_info info) : env(environment) {
    void* data = nullptr;
    napi_get_cb_info(env, info, &count, args, nullptr, &data);
    handle = static_cast<Handle*>(data);
  }
  uint64_t id(size_t index) const {
    int64_t value = 0;
    napi_get_value_int64(env, args[index], &value);
    return static_cast<uint64_t>(value);
  }
  bool open() const {
    if (handle->plane) return true;
    napi_throw_error(env, "closed", "the packet path is closed");
    return false;
  }
};

napi_value hostPort(napi_env env, const Address& address) {
  return Writer(env).set("address", address.host()).set("port", address.port()).value();
}

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
  if (path.failed()) return false;
  if (mode == "relay") return true;
  return readTranscoding(path, out.transcode.emplace());
}

napi_value drops(napi_env env, const Drops& dropped) {
  Writer out(env);
  for (size_t i = 0; i < kDropCount; i++) {
    if (dropped[i] > 0) out.set(kDropNames[i], static_cast<double>(dropped[i]));
  }
  return out.value();
}

// ---- the methods

napi_value openEndpoint(napi_env env, napi_callback_info info) {
  Call call(env, info);
  if (!call.open()) return nullptr;
  Reader object(env, call.args[0]);
  EndpointSpec spec;
  const std::string socket = object.text("socket");
  if (object.failed()) return nullptr;
  spec.socket = socket == "shared" ? SocketKind::kShared : socket == "single" ? SocketKind::kSingle : SocketKind::kPair;
  spec.interface = object.text("interface");
  spec.affinity = object.text("affinity");
  if (object.has("ice")) {
    Reader ice = object.object("ice");
    spec.ice = IceCredentials{ice.text("ufrag"), ice.text("pwd")};
    if (ice.failed()) return nullptr;
  }
  spec.raw = object.has("raw") && object.flag("raw");
  if (object.failed()) return nullptr;
  Dataplane::Opened opened;
  Dataplane::Failure failure;
  if (!call.handle->plane->open(spec, opened, failure)) return raise(env, failure);
  return Writer(env)
      .set("id", static_cast<double>(opened.id))
      .set("address", opened.advertised)
      .set("rtp", opened.rtp)
      .set("rtcp", opened.rtcp)
      .value();
}

napi_value configure(napi_env env, napi_callback_info info) {
  Call call(env, info);
  if (!call.open()) return nullptr;
  Reader object(env, call.args[1]);
  RemoteSpec remote;
  if (!readAddress(object, "rtp", remote.rtp) || !readAddress(object, "rtcp", remote.rtcp)) return nullptr;
  const std::string learning = object.text("learning");
  remote.rules.learning = learning == "off"          ? Learning::kOff
                          : learning == "asymmetric" ? Learning::kAsymmetric
                          : learning == "immediate"  ? Learning::kImmediate
                          : learning == "delayed"    ? Learning::kDelayed
                                                     : Learning::kHeuristic;
  remote.rules.strictSource = object.flag("strictSource");
  remote.rules.mediaHandover = object.has("mediaHandover") && object.flag("mediaHandover");
  remote.rtcpMux = object.flag("rtcpMux");
  if (!readCrypto(object, remote.crypto)) return nullptr;
  if (object.has("ice")) {
    Reader ice = object.object("ice");
    remote.ice = IceCredentials{ice.text("ufrag"), ice.text("pwd")};
    if (ice.failed()) return nullptr;
  }
  if (object.has("localIce")) {
    Reader ice = object.object("localIce");
    remote.localIce = IceCredentials{ice.text("ufrag"), ice.text("pwd")};
    if (ice.failed()) return nullptr;
  }
  if (object.failed()) return nullptr;
  Dataplane::Failure failure;
  if (!call.handle->plane->configure(call.id(0), remote, failure)) return raise(env, failure);
  return undefined(env);
}

napi_value setPath(napi_env env, napi_callback_info info) {
  Call call(env, info);
  if (!call.open()) return nullptr;
  napi_valuetype type = napi_undefined;
  napi_typeof(env, call.args[2], &type);
  Dataplane::Failure failure;
  if (type == napi_undefined) {
    if (!call.handle->plane->clearPath(call.id(0), call.id(1), failure)) return raise(env, failure);
    return undefined(env);
  }
  PathSpec spec;
  if (!readPath(Reader(env, call.args[2]), spec)) return nullptr;
  if (!call.handle->plane->setPath(call.id(0), call.id(1), spec, failure)) return raise(env, failure);
  return undefined(env);
}

// What an endpoint knows of its sources. Times are ages in milliseconds.
napi_value sources(napi_env env, const EndpointStats& s) {
  const auto age = [&s](Micros at) { return static_cast<double>((s.now - at) / 1000); };
  const auto list = [env](size_t size, const auto& entry) {
    napi_value out = nullptr;
    napi_create_array_with_length(env, size, &out);
    for (size_t i = 0; i < size; i++) napi_set_element(env, out, static_cast<uint32_t>(i), entry(i));
    return out;
  };
  const auto component = [](bool rtcp) { return std::string(rtcp ? "rtcp" : "rtp"); };
  Writer out(env);
  out.set("openedMs", age(s.openedAt)).flag("frozen", s.frozen);
  if (s.signalledAt >= 0) out.set("signalledMs", age(s.signalledAt));
  if (s.lastReceivedAt >= 0) out.set("lastReceivedMs", age(s.lastReceivedAt));
  if (s.lastSentAt >= 0) out.set("lastSentMs", age(s.lastSentAt));
  out.set("learned", list(s.learned.size(), [&](size_t i) {
    const LearnedSource& l = s.learned[i];
    return Writer(env)
        .set("component", component(l.rtcp))
        .set("from", hostPort(env, l.from))
        .set("how", std::string(l.ice ? "ice" : kVerdictNames[static_cast<size_t>(l.how)]))
        .set("ageMs", age(l.at))
        .value();
  }));
  out.set("refused", list(s.refused.size(), [&](size_t i) {
    const RefusedSource& r = s.refused[i];
    return Writer(env)
        .set("component", component(r.rtcp))
        .set("from", hostPort(env, r.from))
        .set("reason", std::string(kDropNames[r.why]))
        .set("packets", static_cast<double>(r.packets))
        .set("firstAgeMs", age(r.firstAt))
        .set("lastAgeMs", age(r.lastAt))
        .value();
  }));
  out.set("refusedElsewhere", static_cast<double>(s.refusedElsewhere));
  return out.value();
}

napi_value voipMetrics(napi_env env, const VoipMetrics& v) {
  Writer out(env);
  out.set("ssrc", v.ssrc).set("lossRate", v.lossRate / 256.0).set("discardRate", v.discardRate / 256.0);
  out.set("burstDensity", v.burstDensity / 256.0).set("gapDensity", v.gapDensity / 256.0);
  out.set("burstMs", v.burstMs).set("gapMs", v.gapMs).set("roundTripMs", v.roundTripMs).set("endSystemMs", v.endSystemMs);
  if (v.rFactor != 127) out.set("rFactor", v.rFactor);
  if (v.mosLq != 127) out.set("mosLq", v.mosLq / 10.0);
  if (v.mosCq != 127) out.set("mosCq", v.mosCq / 10.0);
  out.set("jitterBufferMs", v.jitterBufferMs);
  return out.value();
}

napi_value stats(napi_env env, napi_callback_info info) {
  Call call(env, info);
  if (!call.open()) return nullptr;
  EndpointStats s;
  if (!call.handle->plane->stats(call.id(0), s)) return undefined(env);
  Writer received(env);
  received.set("packets", static_cast<double>(s.receivedPackets))
      .set("bytes", static_cast<double>(s.receivedBytes))
      .set("lost", static_cast<double>(s.lost))
      .set("jitterMs", s.jitterMs);
  Writer sent(env);
  sent.set("packets", static_cast<double>(s.sentPackets)).set("bytes", static_cast<double>(s.sentBytes));
  Writer out(env);
  out.set("received", received.value()).set("sent", sent.value()).set("dropped", drops(env, s.dropped));
  out.set("dtls", std::string(s.dtls)).flag("iceConnected", s.iceConnected);
  if (s.ssrc) out.set("ssrc", *s.ssrc);
  if (s.remoteRtp.known()) out.set("remoteRtp", hostPort(env, s.remoteRtp));
  if (s.remoteRtcp.known()) out.set("remoteRtcp", hostPort(env, s.remoteRtcp));
  if (s.lastPacketMs) out.set("lastPacketMs", static_cast<double>(*s.lastPacketMs));
  if (s.roundTripMs) out.set("roundTripMs", *s.roundTripMs);
  out.set("source", sources(env, s));
  if (s.voip) out.set("voipMetrics", voipMetrics(env, *s.voip));
  if (s.playout) {
    Writer playout(env);
    playout.set("concealedMs", static_cast<double>(s.playout->concealedMs))
        .set("playedMs", static_cast<double>(s.playout->playedMs))
        .set("shortenedMs", s.playout->shortenedMs)
        .set("lengthenedMs", s.playout->lengthenedMs)
        .set("bufferedMs", s.playout->bufferedMs)
        .set("targetDelayMs", s.playout->targetDelayMs)
        .set("late", static_cast<double>(s.playout->late));
    out.set("playout", playout.value());
  }
  return out.value();
}

napi_value closeEndpoint(napi_env env, napi_callback_info info) {
  Call call(env, info);
  if (call.handle->plane) call.handle->plane->closeEndpoint(call.id(0));
  return undefined(env);
}

// clip(samples: Int16Array, rate) → what play() takes. It lives as long as JavaScript or a player holds it.
napi_value makeClip(napi_env env, napi_callback_info info) {
  Call call(env, info);
  napi_typedarray_type type{};
  size_t length = 0;
  void* data = nullptr;
  bool typed = false;
  napi_is_typedarray(env, call.args[0], &typed);
  if (!typed || napi_get_typedarray_info(env, call.args[0], &type, &length, &data, nullptr, nullptr) != napi_ok || type != napi_int16_array) {
    napi_throw_type_error(env, "bad-argument", "the samples must be an Int16Array");
    return nullptr;
  }
  const uint64_t rate = call.id(1);
  if (rate < 4000 || rate > 192'000 || length == 0) {
    napi_throw_type_error(env, "bad-argument", "a clip needs samples, at 4,000 to 192,000 Hz");
    return nullptr;
  }
  const auto* samples = static_cast<const int16_t*>(data);
  auto clip = std::make_shared<Clip>();
  clip->rate = static_cast<uint32_t>(rate);
  clip->samples.assign(samples, samples + length);
  auto held = std::make_unique<std::shared_ptr<const Clip>>(std::move(clip));
  napi_value value = nullptr;
  // The collector is to know what hangs on this small object.
  const auto weight = static_cast<int64_t>(length * sizeof(int16_t));
  int64_t sum = 0;
  const auto release = [](napi_env environment, void* pointer, void*) {
    const std::unique_ptr<std::shared_ptr<const Clip>> let(static_cast<std::shared_ptr<const Clip>*>(pointer));
    int64_t left = 0;
    napi_adjust_external_memory(environment, -static_cast<int64_t>((*let)->samples.size() * sizeof(int16_t)), &left);
  };
  if (napi_create_external(env, held.get(), release, nullptr, &value) != napi_ok) return nullptr;
  napi_adjust_external_memory(env, weight, &sum);
  held.release();
  const napi_type_tag tag = kClipTag;
  napi_type_tag_object(env, value, &tag);
  return value;
}

// play(to, clip, {id, times, startMs, limitMs, mutePeer, behind})
napi_value play(napi_env env, napi_callback_info info) {
  Call call(env, info);
  if (!call.open()) return nullptr;
  bool tagged = false;
  const napi_type_tag tag = kClipTag;
  void* data = nullptr;
  if (napi_check_object_type_tag(env, call.args[1], &tag, &tagged) != napi_ok || !tagged ||
      napi_get_value_external(env, call.args[1], &data) != napi_ok) {
    napi_throw_type_error(env, "bad-argument", "a clip is needed");
    return nullptr;
  }
  Reader object(env, call.args[2]);
  PlayOptions options;
  options.id = static_cast<uint64_t>(object.number("id", 1, 9e15));
  options.times = static_cast<uint32_t>(object.number("times", 1, 4e9));
  options.startMs = static_cast<uint32_t>(object.number("startMs", 0, 4e9));
  options.limitMs = static_cast<uint32_t>(object.number("limitMs", 0, 4e9));
  options.mutePeer = object.flag("mutePeer");
  const bool behind = object.flag("behind");
  if (object.failed()) return nullptr;
  Dataplane::Failure failure;
  const auto& clip = *static_cast<std::shared_ptr<const Clip>*>(data);
  if (!call.handle->plane->play(call.id(0), clip, options, behind, failure)) return raise(env, failure);
  return undefined(env);
}

// stop(to) → {playback, positionMs}, or undefined when nothing played.
napi_value stopPlaying(napi_env env, napi_callback_info info) {
  Call call(env, info);
  if (!call.open()) return nullptr;
  uint64_t playback = 0;
  uint32_t positionMs = 0;
  if (!call.handle->plane->stopPlaying(call.id(0), playback, positionMs)) return undefined(env);
  return Writer(env).set("playback", static_cast<double>(playback)).set("positionMs", positionMs).value();
}

// press(to, {event, volume, durationMs, pauseMs, pt, clockRate})
napi_value press(napi_env env, napi_callback_info info) {
  Call call(env, info);
  if (!call.open()) return nullptr;
  Reader object(env, call.args[1]);
  KeyPress key;
  key.event = static_cast<uint8_t>(object.number("event", 0, 255));
  key.volume = static_cast<uint8_t>(object.number("volume", 0, 63));
  key.durationMs = static_cast<uint32_t>(object.number("durationMs", 20, 60'000));
  key.pauseMs = static_cast<uint32_t>(object.number("pauseMs", 0, 60'000));
  key.pt = static_cast<uint8_t>(object.number("pt", 0, 127));
  key.clockRate = static_cast<uint32_t>(object.number("clockRate", 1000, 192'000));
  if (object.failed()) return nullptr;
  Dataplane::Failure failure;
  if (!call.handle->plane->press(call.id(0), key, failure)) return raise(env, failure);
  return undefined(env);
}

napi_value idle(napi_env env, napi_callback_info info) {
  Call call(env, info);
  if (!call.open()) return nullptr;
  const std::vector<uint64_t> ids = call.handle->plane->idle(static_cast<int64_t>(call.id(0)));
  napi_value list = nullptr;
  napi_create_array_with_length(env, ids.size(), &list);
  for (size_t i = 0; i < ids.size(); i++) {
    napi_value id = nullptr;
    napi_create_double(env, static_cast<double>(ids[i]), &id);
    napi_set_element(env, list, static_cast<uint32_t>(i), id);
  }
  return list;
}

napi_value totals(napi_env env, napi_callback_info info) {
  Call call(env, info);
  if (!call.open()) return nullptr;
  const Totals t = call.handle->plane->totals();
  Writer handshakes(env);
  handshakes.set("connected", static_cast<double>(t.dtlsConnected)).set("failed", static_cast<double>(t.dtlsFailed));
  return Writer(env)
      .set("endpoints", static_cast<double>(t.endpoints))
      .set("paths", static_cast<double>(t.paths))
      .set("transcoders", static_cast<double>(t.transcoders))
      .set("portsInUse", static_cast<double>(t.portsInUse))
      .set("portsTotal", static_cast<double>(t.portsTotal))
      .set("nativeBytes", static_cast<double>(t.nativeBytes))
      .set("threads", t.threads)
      .set("packetsReceived", static_cast<double>(t.packetsReceived))
      .set("packetsSent", static_cast<double>(t.packetsSent))
      .set("bytesReceived", static_cast<double>(t.bytesReceived))
      .set("bytesSent", static_cast<double>(t.bytesSent))
      .set("dropped", drops(env, t.dropped))
      .set("cpuMs", t.cpuMs)
      .set("dtlsHandshakes", handshakes.value())
      .value();
}

// The threads have ended when this returns; events that still wait are let go.
napi_value closeAll(napi_env env, napi_callback_info info) {
  Call call(env, info);
  if (!call.handle->plane) return undefined(env);
  call.handle->plane->close();
  call.handle->plane.reset();
  napi_release_threadsafe_function(call.handle->events, napi_tsfn_abort);
  return undefined(env);
}

void deliver(napi_env env, napi_value function, void*, void* data) {
  const std::unique_ptr<Event> event(static_cast<Event*>(data));
  if (env == nullptr || function == nullptr) return;
  static constexpr const char* kTypes[] = {"learned", "dtls", "ice", "first-packet", "refused", "dtmf", "played"};
  Writer out(env);
  out.set("type", std::string(kTypes[static_cast<size_t>(event->type)])).set("endpoint", static_cast<double>(event->endpoint));
  const bool source = event->type == Event::Type::kLearned || event->type == Event::Type::kRefused;
  if (source) out.set("component", std::string(event->rtcp ? "rtcp" : "rtp"));
  if (event->type == Event::Type::kRefused) out.set("packets", static_cast<double>(event->packets));
  if (event->type == Event::Type::kDtmf) {
    out.set("event", event->key.event).set("durationMs", event->key.durationMs).set("volume", event->key.volume);
  }
  if (event->type == Event::Type::kPlayed) out.set("playback", static_cast<double>(event->playback));
  if (event->type == Event::Type::kDtls) out.set("state", std::string(event->connected ? "connected" : "failed"));
  if (!event->reason.empty()) out.set(event->type == Event::Type::kLearned ? "how" : "reason", event->reason);
  if (event->remote.known()) out.set("remote", hostPort(env, event->remote));
  napi_value argument = out.value();
  napi_value self = undefined(env);
  napi_call_function(env, self, function, 1, &argument, nullptr);
}

// create(options, onEvent) → methods. Throws when a port is taken.
napi_value create(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value args[2] = {};
  napi_get_cb_info(env, info, &count, args, nullptr, nullptr);
  Reader object(env, args[0]);
  DataplaneOptions options;
  object.list("interfaces", [&](Reader entry) {
    options.interfaces.push_back({entry.text("name"), entry.text("address"), entry.text("advertised")});
    if (entry.failed()) object.fail("interfaces", "name, address and advertised");
  });
  options.portMin = static_cast<uint16_t>(object.number("portMin", 1, 65535));
  options.portMax = static_cast<uint16_t>(object.number("portMax", 1, 65535));
  options.webrtcPort = static_cast<uint16_t>(object.number("webrtcPort", 1, 65535));
  options.threads = static_cast<unsigned>(object.number("threads", 1, 64));
  if (object.failed()) return nullptr;

  auto handle = std::make_unique<Handle>();
  napi_value name = nullptr;
  napi_create_string_utf8(env, "causeway media events", NAPI_AUTO_LENGTH, &name);
  if (napi_create_threadsafe_function(env, args[1], nullptr, name, kEventQueue, 1, nullptr, nullptr, nullptr, deliver, &handle->events) != napi_ok) {
    napi_throw_type_error(env, "bad-argument", "the second argument must be a function");
    return nullptr;
  }
  // It does not keep the process alive by itself.
  napi_unref_threadsafe_function(env, handle->events);
  napi_threadsafe_function events = handle->events;
  std::string error;
  handle->plane = Dataplane::create(
      options,
      [events](Event event) {
        auto copy = std::make_unique<Event>(std::move(event));
        if (napi_call_threadsafe_function(events, copy.get(), napi_tsfn_nonblocking) == napi_ok) copy.release();
      },
      error);
  if (!handle->plane) {
    napi_release_threadsafe_function(handle->events, napi_tsfn_abort);
    napi_throw_error(env, "bad-argument", error.c_str());
    return nullptr;
  }
  Writer methods(env);
  methods.set("fingerprint", handle->plane->fingerprint());
  methods.set("certificate", handle->plane->certificate());
  const std::pair<const char*, napi_callback> table[] = {
      {"openEndpoint", openEndpoint}, {"configure", configure}, {"setPath", setPath}, {"stats", stats},
      {"closeEndpoint", closeEndpoint}, {"idle", idle}, {"totals", totals}, {"close", closeAll},
      {"clip", makeClip}, {"play", play}, {"stopPlaying", stopPlaying}, {"press", press},
  };
  Handle* raw = handle.release();
  for (const auto& [key, method] : table) {
    napi_value function = nullptr;
    napi_create_function(env, key, NAPI_AUTO_LENGTH, method, raw, &function);
    methods.set(key, function);
  }
  // The threads must not outlive the environment; whoever forgets close() gets it here.
  napi_add_env_cleanup_hook(
      env,
      [](void* data) {
        auto* held = static_cast<Handle*>(data);
        if (held->plane) held->plane->close();
        delete held;
      },
      raw);
  return methods.value();
}

napi_value init(napi_env env, napi_value exports) {
  napi_value function = nullptr;
  napi_create_function(env, "create", NAPI_AUTO_LENGTH, create, nullptr, &function);
  napi_set_named_property(env, exports, "create", function);
  return exports;
}

}  // namespace
}  // namespace causeway::napi

NAPI_MODULE(causeway, causeway::napi::init)
