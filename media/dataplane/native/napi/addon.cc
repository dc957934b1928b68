// The Node-API skin of the packet path: values in, values out, events to one JavaScript function. No logic of its own.
#include <node_api.h>

#include <atomic>
#include <memory>

#include "../net/dataplane.h"
#include "reading.h"
#include "request_socket.h"
#include "values.h"
#include "writing.h"

namespace causeway::napi {
namespace {

constexpr napi_type_tag kClipTag = {0x6361757365776179, 0x636c6970};
constexpr size_t kEventQueue = 10'000;  // events that JavaScript has not taken; more are dropped

struct Handle {
  std::unique_ptr<Dataplane> plane;
  napi_threadsafe_function events = nullptr;
  std::atomic<uint64_t> eventsLost{0};  // JavaScript had too many others to take
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
  napi_value args[4] = {};
  size_t count = 4;

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

// ---- the methods

napi_value openEndpoint(napi_env env, napi_callback_info info) {
  Call call(env, info);
  if (!call.open()) return nullptr;
  Reader object(env, call.args[0]);
  EndpointSpec spec;
  if (!readEndpointSpec(object, spec)) return nullptr;
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
  if (!readRemote(object, remote)) return nullptr;
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

napi_value setBundle(napi_env env, napi_callback_info info) {
  Call call(env, info);
  if (!call.open()) return nullptr;
  Reader object(env, call.args[1]);
  BundleSpec spec;
  Dataplane::Failure failure;
  if (!readBundle(object, spec)) return nullptr;
  if (!call.handle->plane->setBundle(call.id(0), spec, failure)) return raise(env, failure);
  return undefined(env);
}

napi_value stats(napi_env env, napi_callback_info info) {
  Call call(env, info);
  if (!call.open()) return nullptr;
  EndpointStats s;
  if (!call.handle->plane->stats(call.id(0), s)) return undefined(env);
  return writeStats(env, s);
}

bool flagOf(const Call& call, size_t index) {
  bool value = false;
  napi_get_value_bool(call.env, call.args[index], &value);
  return value;
}

napi_value tap(napi_env env, napi_callback_info info) {
  Call call(env, info);
  if (!call.open()) return nullptr;
  Dataplane::Failure failure;
  napi_valuetype type = napi_undefined;
  napi_typeof(env, call.args[3], &type);
  TapSpec spec;
  if (type != napi_undefined && !readTap(Reader(env, call.args[3]), spec)) return nullptr;
  const TapSpec* coding = type == napi_undefined ? nullptr : &spec;
  if (!call.handle->plane->tap(call.id(0), call.id(1), flagOf(call, 2), coding, failure)) return raise(env, failure);
  return undefined(env);
}

// move(id, affinity)
napi_value moveEndpoint(napi_env env, napi_callback_info info) {
  Call call(env, info);
  if (!call.open()) return nullptr;
  Reader object(env, call.args[1]);
  const std::string affinity = object.text("affinity");
  if (object.failed()) return nullptr;
  Dataplane::Failure failure;
  if (!call.handle->plane->move(call.id(0), affinity, failure)) return raise(env, failure);
  return undefined(env);
}

// mark(id, tos): below 0 the node's own.
napi_value markEndpoint(napi_env env, napi_callback_info info) {
  Call call(env, info);
  if (!call.open()) return nullptr;
  int64_t tos = -1;
  napi_get_value_int64(env, call.args[1], &tos);
  Dataplane::Failure failure;
  const std::optional<uint8_t> wanted = tos >= 0 && tos <= 255 ? std::optional(static_cast<uint8_t>(tos)) : std::nullopt;
  if (!call.handle->plane->mark(call.id(0), wanted, failure)) return raise(env, failure);
  return undefined(env);
}

napi_value openRecording(napi_env env, napi_callback_info info) {
  Call call(env, info);
  if (!call.open()) return nullptr;
  Reader object(env, call.args[0]);
  const std::string file = object.text("file");
  if (object.failed()) return nullptr;
  Dataplane::Failure failure;
  const uint64_t id = call.handle->plane->openRecording(file, failure);
  if (id == 0) return raise(env, failure);
  napi_value value = nullptr;
  napi_create_double(env, static_cast<double>(id), &value);
  return value;
}

napi_value record(napi_env env, napi_callback_info info) {
  Call call(env, info);
  if (!call.open()) return nullptr;
  Dataplane::Failure failure;
  if (!call.handle->plane->record(call.id(0), call.id(1), flagOf(call, 2), failure)) return raise(env, failure);
  return undefined(env);
}

napi_value closeRecording(napi_env env, napi_callback_info info) {
  Call call(env, info);
  if (call.handle->plane) call.handle->plane->closeRecording(call.id(0));
  return undefined(env);
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
  return writeTotals(env, call.handle->plane->totals(), call.handle->eventsLost.load(std::memory_order_relaxed));
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
  napi_value argument = writeEvent(env, *event);
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
  if (!readOptions(object, options)) return nullptr;

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
      [events, lost = &handle->eventsLost](Event event) {
        auto copy = std::make_unique<Event>(std::move(event));
        if (napi_call_threadsafe_function(events, copy.get(), napi_tsfn_nonblocking) == napi_ok) copy.release();
        else lost->fetch_add(1, std::memory_order_relaxed);
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
      {"openEndpoint", openEndpoint}, {"configure", configure}, {"setPath", setPath}, {"setBundle", setBundle}, {"stats", stats},
      {"tap", tap}, {"openRecording", openRecording}, {"record", record}, {"closeRecording", closeRecording},
      {"closeEndpoint", closeEndpoint}, {"idle", idle}, {"totals", totals}, {"close", closeAll},
      {"clip", makeClip}, {"play", play}, {"stopPlaying", stopPlaying}, {"press", press}, {"move", moveEndpoint}, {"mark", markEndpoint},
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
  exportRequestSockets(env, exports);
  return exports;
}

}  // namespace
}  // namespace causeway::napi

NAPI_MODULE(causeway, causeway::napi::init)
