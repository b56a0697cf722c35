#pragma once

// The Baton-Session-* fields: what a server is told of a session, and what its response asks of it.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "session/form_encoding.h"
#include "session/store.h"

namespace baton {

// What the server was told of the session.
enum class SessionState : std::uint8_t {
    off,    // the route has no session: no fields at all
    none,   // no session; the id is a proposal
    fresh,  // "new": made for this request
    live,
    unavailable,  // the store could not be asked: nothing is known, nothing can be changed
};
std::string_view name(SessionState state) noexcept;  // "off", "none", "new", "live", "unavailable"

// Whether `field_name` begins with `prefix` when letter case is ignored and `_` counts as `-` (CGI
// and WSGI fold them).
bool has_session_prefix(std::string_view field_name, std::string_view prefix) noexcept;

// Appends the request fields of a session, each "Name: value\r\n". `id` and `record` may be null
// (state unavailable, none). With a record there is always exactly one of Data (empty if the
// session is) and Data-Omitted.
struct SessionFields {
    std::string_view prefix;  // "Baton-Session-"
    SessionState state;
    const SessionId* id = nullptr;
    const SessionRecord* record = nullptr;  // live and new
    // -Data longer than this (encoded) becomes -Data-Omitted with its size.
    std::size_t data_max = 4096;
};
void append_session_fields(std::string& out, const SessionFields& fields);

// Limits of what a response may set.
struct ContractLimits {
    std::size_t name_max = 64;
    std::size_t attribute_max = std::size_t{8} << 10;  // bytes of one value
    std::size_t attributes_max = 64;
    std::size_t data_max = std::size_t{24} << 10;  // bytes of all names and values
};

// What one response asks of the session. Feed it each response field whose name has the prefix,
// then call `finish` once. Lines of one field are joined with `&`; a name that Set gives twice has
// the last value; empty pieces between ampersands mean nothing.
class SessionRequest {
public:
    enum class Verdict : std::uint8_t {
        none,     // nothing is asked
        change,   // create, set, unset, destroy: see the members
        refused,  // the response must not pass: 502 session_refused; `complaint()` says why,
                  // without any value
    };

    // `suffix` is the field's name behind the prefix, in any letter case. Returns false if it is no
    // field of the contract: it is stripped and counted all the same.
    bool take(std::string_view suffix, std::string_view value);
    Verdict finish(const ContractLimits& limits);

    // The members below are the answer once `finish` has said `change`.
    bool create() const noexcept { return create_; }  // Create: 1, or a Set (an empty one too)
    bool destroy() const noexcept { return destroy_; }
    Attributes& set() noexcept { return set_; }  // sorted by name, names are unique
    std::vector<std::string>& unset() noexcept { return unset_; }  // sorted, unique

    // Constant phrases that name a field by its suffix ("Incr is not supported yet").
    std::string_view complaint() const noexcept { return complaint_; }
    // The attribute the complaint is about, if it is about one. May hold any bytes and be long:
    // escape and cut it.
    std::string_view attribute() const noexcept { return attribute_; }

private:
    bool decode_set(const ContractLimits& limits);
    bool decode_unset(const ContractLimits& limits);
    bool check_name(std::string_view field, const std::optional<std::string>& name,
                    const ContractLimits& limits);
    bool check_sizes(const ContractLimits& limits);
    // Keeps the first complaint.
    Verdict refuse(std::string complaint, std::string_view attribute = {});

    std::string set_text_;    // all lines of Set, joined
    std::string unset_text_;  // all lines of Unset, joined
    bool create_ = false;
    bool destroy_ = false;
    bool unset_asked_ = false;
    Attributes set_;
    std::vector<std::string> unset_;
    std::string complaint_;
    std::string attribute_;
};

}  // namespace baton
