// The Node-API skin of the packet path: values in, values out, events to one JavaScript function. No logic of its own.
// Here are its beginning and its end, and what is asked of it as a whole.
#include <node_api.h>

#include <memory>

#include "../net/dataplane.h"
#include "call.h"
#include "methods.h"
#include "reading.h"
#include "request_socket.h"
#include "values.h"
#include "writing.h"

namespace causeway::napi {
namespace {

constexpr size_t kEventQueue = 10'000;  // events that JavaScript has not taken; more are dropped

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
