// A UDP socket for control protocols that JavaScript answers. Requests are read in batches and replies leave in batches: most
// of the cost of a small datagram is the system call and waking whoever waits for it, not the bytes.
#pragma once

#include <node_api.h>

namespace causeway::napi {

// Adds openRequests, replyTo and closeRequests to the exports (dataplane/requests.ts says what they take).
void exportRequestSockets(napi_env env, napi_value exports);

}  // namespace causeway::napi
