// What JavaScript asks for, read into the values of the packet path. False: a TypeError that names the key is pending.
#pragma once

#include "../net/types.h"
#include "values.h"

namespace causeway::napi {

bool readOptions(Reader& object, DataplaneOptions& options);
bool readEndpointSpec(Reader& object, EndpointSpec& spec);
bool readBundle(Reader& object, BundleSpec& out);
bool readRemote(Reader& object, RemoteSpec& remote);
bool readTap(Reader tap, TapSpec& out);
bool readPath(Reader path, PathSpec& out);

}  // namespace causeway::napi
