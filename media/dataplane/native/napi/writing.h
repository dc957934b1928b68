// What the packet path tells, as JavaScript values (port.ts has their shapes).
#pragma once

#include "../net/types.h"
#include "values.h"

namespace causeway::napi {

napi_value writeStats(napi_env env, const EndpointStats& s);
napi_value writeTotals(napi_env env, const Totals& t, uint64_t eventsLost);
napi_value writeEvent(napi_env env, const Event& event);

}  // namespace causeway::napi
