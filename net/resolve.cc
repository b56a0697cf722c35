#include "net/resolve.h"

#include <netdb.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "net/check.h"
#include "net/text.h"

namespace baton {
namespace {

bool is_name(std::string_view host) noexcept {
    constexpr std::size_t name_max = 253;  // RFC 1035, 2.3.4, as text
    return !host.empty() && host.size() <= name_max && is_plain_word(host);
}

}  // namespace

std::string Endpoint::text() const {
    const bool is_v6 = host.find(':') != host.npos;
    return (is_v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

std::optional<Address> Endpoint::address() const noexcept { return parse_address(text()); }

std::optional<Endpoint> parse_endpoint(std::string_view text) {
    Endpoint endpoint;
    if (const auto address = parse_address(text)) {
        if (address->port() == 0) return std::nullopt;
        endpoint.host = text.starts_with("localhost:") ? "localhost" : address->host();
        endpoint.port = address->port();
        return endpoint;
    }
    const std::size_t colon = text.rfind(':');
    if (colon == text.npos || !is_name(text.substr(0, colon))) return std::nullopt;
    // The port as parse_address reads it.
    const auto port = parse_address("0.0.0.0" + std::string{text.substr(colon)});
    if (!port || port->port() == 0) return std::nullopt;
    endpoint.host = text.substr(0, colon);
    endpoint.port = port->port();
    return endpoint;
}

Resolve::Resolve(Loop& loop, const Endpoint& endpoint, void* holder, Found found)
    : holder_(holder), found_(found), request_(new Request{}) {
    request_->owner = this;
    request_->port = endpoint.port;
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = endpoint.address() ? AI_NUMERICHOST : 0;
    const std::string host = endpoint.address() ? endpoint.address()->host() : endpoint.host;
    if (const int rc =
            uv_getaddrinfo(loop.uv(), &request_->uv, ended, host.c_str(), nullptr, &hints);
        rc < 0)
        die("cannot look up a name",
            uv_strerror(rc));  // no memory; nothing else fails before the callback
}

Resolve::~Resolve() {
    if (request_ == nullptr) return;
    request_->owner = nullptr;
    uv_cancel(reinterpret_cast<uv_req_t*>(&request_->uv));  // if it has not begun
}

void Resolve::ended(uv_getaddrinfo_t* uv, int status, addrinfo* list) {
    static_assert(offsetof(Request, uv) == 0);
    const std::unique_ptr<Request> request{reinterpret_cast<Request*>(uv)};
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owned{list, uv_freeaddrinfo};
    if (request->owner == nullptr) return;
    Resolve& self = *request->owner;
    self.request_ = nullptr;
    Address address;
    if (status == 0) {
        std::memcpy(address.raw(), list->ai_addr,
                    std::min<std::size_t>(list->ai_addrlen, sizeof address));
        address.set_port(request->port);
    }
    self.found_(self.holder_, status, address);
}

}  // namespace baton
