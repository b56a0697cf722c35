#pragma once

// `/v1/store`: what operators are told of the session store.

#include "proxy/exchange/local_call.h"
#include "proxy/service/process_view.h"

namespace baton {

Reply store_page(const ProcessView& view);

}  // namespace baton
