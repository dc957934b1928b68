// What is played into a stream: samples, and keys of a telephone.
#include <memory>

#include "call.h"
#include "methods.h"
#include "values.h"

namespace causeway::napi {
namespace {

constexpr napi_type_tag kClipTag = {0x6361757365776179, 0x636c6970};

}  // namespace

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

}  // namespace causeway::napi
