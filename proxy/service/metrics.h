#pragma once

// The process's numbers in the text format of Prometheus, version 0.0.4
// (prometheus.io/docs/instrumenting/exposition_formats). Labels come from the configuration and
// from fixed words only, never from a client: their number is bounded.

#include <string>
#include <string_view>

#include "proxy/service/process_view.h"

namespace baton {

inline constexpr std::string_view metrics_content_type = "text/plain; version=0.0.4; charset=utf-8";

std::string metrics_text(const ProcessView& view);

}  // namespace baton
