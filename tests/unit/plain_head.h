#pragma once

// The same head read by llhttp alone, to compare with what the guard recorded.

#include <string>
#include <string_view>

#include "net/http/head_guard.h"
#include "net/http/http_head.h"

namespace baton::test {

// How `head` differs from what llhttp finds in `bytes`; empty if it does not.
std::string plain_difference(HeadGuard::Kind kind, std::string_view bytes, const Head& head);

}  // namespace baton::test
