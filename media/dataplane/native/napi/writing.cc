#include "writing.h"

namespace causeway::napi {
namespace {

napi_value hostPort(napi_env env, const Address& address) {
  return Writer(env).set("address", address.host()).set("port", address.port()).value();
}

napi_value drops(napi_env env, const Drops& dropped) {
  Writer out(env);
  for (size_t i = 0; i < kDropCount; i++) {
    if (dropped[i] > 0) out.set(kDropNames[i], static_cast<double>(dropped[i]));
  }
  return out.value();
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

napi_value iceReport(napi_env env, const IceReport& ice) {
  napi_value candidates = nullptr;
  napi_create_array_with_length(env, ice.candidates.size(), &candidates);
  for (size_t i = 0; i < ice.candidates.size(); i++) {
    const IceReport::Entry& entry = ice.candidates[i];
    Writer out(env);
    out.set("component", entry.component).set("type", std::string(kIceKindNames[static_cast<size_t>(entry.kind)]));
    out.set("at", hostPort(env, entry.address)).set("state", std::string(entry.state)).flag("chosen", entry.chosen);
    napi_set_element(env, candidates, static_cast<uint32_t>(i), out.value());
  }
  Writer out(env);
  out.set("role", std::string(kIceRoleNames[static_cast<size_t>(ice.role)])).set("state", std::string(ice.state));
  out.set("checks", ice.checks).set("answers", ice.answers).set("held", ice.held).set("refused", ice.refused);
  if (ice.consentMs >= 0) out.set("consentMs", static_cast<double>(ice.consentMs));
  return out.set("candidates", candidates).value();
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

}  // namespace

napi_value writeStats(napi_env env, const EndpointStats& s) {
  Writer received(env);
  received.set("packets", static_cast<double>(s.receivedPackets))
      .set("bytes", static_cast<double>(s.receivedBytes))
      .set("lost", static_cast<double>(s.lost))
      .set("jitterMs", s.jitterMs);
  Writer sent(env);
  sent.set("packets", static_cast<double>(s.sentPackets)).set("bytes", static_cast<double>(s.sentBytes));
  Writer rtcp(env);
  rtcp.set("received", Writer(env).set("packets", static_cast<double>(s.rtcp.receivedPackets)).set("bytes", static_cast<double>(s.rtcp.receivedBytes)).value());
  rtcp.set("sent", Writer(env).set("packets", static_cast<double>(s.rtcp.sentPackets)).set("bytes", static_cast<double>(s.rtcp.sentBytes)).value());
  if (s.rtcp.lastReceivedAt >= 0) rtcp.set("lastPacketMs", static_cast<double>((s.now - s.rtcp.lastReceivedAt) / 1000));
  Writer out(env);
  out.set("rtcp", rtcp.value());
  if (s.suite[0] != 0) out.set("suite", std::string(s.suite));
  out.set("received", received.value()).set("sent", sent.value()).set("dropped", drops(env, s.dropped));
  out.set("dtls", std::string(s.dtls)).flag("iceConnected", s.iceConnected);
  if (s.ice) out.set("ice", iceReport(env, *s.ice));
  if (s.ssrc) out.set("ssrc", *s.ssrc);
  if (s.remoteRtp.known()) out.set("remoteRtp", hostPort(env, s.remoteRtp));
  if (s.remoteRtcp.known()) out.set("remoteRtcp", hostPort(env, s.remoteRtcp));
  if (s.lastPacketMs) out.set("lastPacketMs", static_cast<double>(*s.lastPacketMs));
  if (s.roundTripMs) out.set("roundTripMs", *s.roundTripMs);
  out.set("source", sources(env, s));
  if (s.voip) out.set("voipMetrics", voipMetrics(env, *s.voip));
  if (s.quality) out.set("quality", voipMetrics(env, *s.quality));
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

napi_value numbers(napi_env env, const std::vector<double>& values) {
  napi_value list = nullptr;
  napi_create_array_with_length(env, values.size(), &list);
  for (uint32_t i = 0; i < values.size(); i++) {
    napi_value value = nullptr;
    napi_create_double(env, values[i], &value);
    napi_set_element(env, list, i, value);
  }
  return list;
}

napi_value writeTotals(napi_env env, const Totals& t, uint64_t eventsLost) {
  Writer handshakes(env);
  handshakes.set("connected", static_cast<double>(t.dtlsConnected)).set("failed", static_cast<double>(t.dtlsFailed));
  Writer ice(env);
  ice.set("checksSent", static_cast<double>(t.iceChecksSent)).set("checksAnswered", static_cast<double>(t.iceChecksAnswered));
  ice.set("checksHeld", static_cast<double>(t.iceChecksHeld)).set("candidatesRefused", static_cast<double>(t.iceCandidatesRefused));
  ice.set("failed", static_cast<double>(t.iceFailed)).set("consentLost", static_cast<double>(t.consentLost));
  Writer recordings(env);
  recordings.set("open", static_cast<double>(t.recordings)).set("packets", static_cast<double>(t.recordedPackets));
  recordings.set("bytes", static_cast<double>(t.recordedBytes)).set("lost", static_cast<double>(t.recordingLost));
  Writer ports(env);
  for (const auto& [interface, used] : t.portsByInterface) ports.set(interface.c_str(), static_cast<double>(used));
  return Writer(env)
      .set("portsByInterface", ports.value())
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
      .set("threadCpuMs", numbers(env, t.threadCpuMs))
      .set("dtlsHandshakes", handshakes.value())
      .set("ice", ice.value())
      .set("taps", static_cast<double>(t.taps))
      .set("tappedPackets", static_cast<double>(t.tappedPackets))
      .set("recordings", recordings.value())
      .set("eventsLost", static_cast<double>(eventsLost))
      .value();
}

napi_value writeEvent(napi_env env, const Event& event) {
  static constexpr const char* kTypes[] = {"learned", "dtls", "ice", "first-packet", "refused", "dtmf", "recording", "played", "ice-failed"};
  Writer out(env);
  out.set("type", std::string(kTypes[static_cast<size_t>(event.type)])).set("endpoint", static_cast<double>(event.endpoint));
  if (event.type == Event::Type::kRecording) {
    const RecordingResult& result = event.recording;
    out.set("recording", static_cast<double>(result.recording)).set("packets", static_cast<double>(result.packets));
    out.set("bytes", static_cast<double>(result.bytes));
    if (!result.error.empty()) out.set("reason", result.error);
  }
  const bool source = event.type == Event::Type::kLearned || event.type == Event::Type::kRefused;
  if (source) out.set("component", std::string(event.rtcp ? "rtcp" : "rtp"));
  if (event.type == Event::Type::kRefused) out.set("packets", static_cast<double>(event.packets));
  if (event.type == Event::Type::kDtmf) {
    out.set("event", event.key.event).set("durationMs", event.key.durationMs).set("volume", event.key.volume);
  }
  if (event.type == Event::Type::kPlayed) out.set("playback", static_cast<double>(event.playback));
  if (event.type == Event::Type::kDtls) out.set("state", std::string(event.connected ? "connected" : "failed"));
  if (!event.reason.empty()) out.set(event.type == Event::Type::kLearned ? "how" : "reason", event.reason);
  if (event.remote.known()) out.set("remote", hostPort(env, event.remote));
  return out.value();
}

}  // namespace causeway::napi
