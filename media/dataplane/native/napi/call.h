// One call of a method of the packet path: whose it is, with what arguments.
#pragma once

#include <node_api.h>

#include <atomic>
#include <cstdint>
#include <memory>

#include "../net/dataplane.h"

namespace causeway::napi {

struct Handle {
  std::unique_ptr<Dataplane> plane;
  napi_threadsafe_function events = nullptr;
  std::atomic<uint64_t> eventsLost{0};  // JavaScript had too many others to take
};

inline napi_value undefined(napi_env env) {
  napi_value value = nullptr;
  napi_get_undefined(env, &value);
  return value;
}

inline napi_value raise(napi_env env, const Dataplane::Failure& failure) {
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
  bool flag(size_t index) const {
    bool value = false;
    napi_get_value_bool(env, args[index], &value);
    return value;
  }
};

}  // namespace causeway::napi
