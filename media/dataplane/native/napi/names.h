// Names of properties as the engine keeps them. To make one anew for every reading cost more than the reading.
#pragma once

#include <node_api.h>

namespace causeway::napi {

// `name` is a literal: it is known by where it stands. Valid until the caller's handle scope ends.
napi_value nameOf(napi_env env, const char* name);

}  // namespace causeway::napi
