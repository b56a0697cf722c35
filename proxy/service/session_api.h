#pragma once

// The session API: how a server reads and changes a session by itself, for what does not fit into
// the fields of a request. A listener of its own, JSON, with tokens that are bound to scopes.
//
//     GET    /v1/sessions/ID         200 {"version","created","idle","ttl","attrs"} and ETag "version"
//     PATCH  /v1/sessions/ID         a JSON merge patch (RFC 7396) of "attrs" and "idle"; with
//                                    If-Match it is a 412, with the names, if one of them has changed
//                                    since that version
//     POST   /v1/sessions            makes one, of {"id","idle","attrs"}, each optional: 201 {"id",...}
//     POST   /v1/sessions/ID/rotate  a new id, the old one is dead: 200 {"id","version"}
//     DELETE /v1/sessions/ID         204, also if there is none
//
// `created` is milliseconds since 1970, `idle` and `ttl` are seconds. Values are strings, or
// {"b64":"..."} where they are no UTF-8. Without a token: 401. No such session: 404. Every refusal,
// those of HTTP itself too, is {"error":"..."}.

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "proxy/config/config.h"
#include "proxy/context/lane.h"
#include "proxy/exchange/local_call.h"

namespace baton {

// One per lane.
class SessionApi final : public LocalService {
public:
    explicit SessionApi(Lane& lane) : lane_(lane) {}

    std::optional<Reply> refusal(const Head& head) override;
    std::optional<Reply> answer(const LocalRequest& request, StoreTicket ticket,
                                std::unique_ptr<PendingReply>& pending) override;
    std::size_t body_max() const noexcept override;
    Reply fault_reply(Error error) const override;

private:
    std::string_view scope_of_token(const Head& head) const noexcept;

    Lane& lane_;
};

}  // namespace baton
