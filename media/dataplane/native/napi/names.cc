#include "names.h"

#include <cstring>
#include <unordered_map>

namespace causeway::napi {
namespace {

// An environment lives on one thread, and a thread has one at a time. Its end frees the references.
struct Names {
  napi_env env = nullptr;
  std::unordered_map<const char*, napi_ref> known;
};

thread_local Names names;

void forget(void* env) {
  if (names.env != env) return;
  names.env = nullptr;
  names.known.clear();
}

}  // namespace

napi_value nameOf(napi_env env, const char* name) {
  napi_value value = nullptr;
  if (names.env != env) {
    names.known.clear();
    names.env = env;
    napi_add_env_cleanup_hook(env, forget, env);
  }
  if (const auto found = names.known.find(name); found != names.known.end()) {
    napi_get_reference_value(env, found->second, &value);
    return value;
  }
  node_api_create_property_key_latin1(env, name, std::strlen(name), &value);
  napi_ref reference = nullptr;
  if (napi_create_reference(env, value, 1, &reference) == napi_ok) names.known.emplace(name, reference);
  return value;
}

}  // namespace causeway::napi
