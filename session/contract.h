#pragma once

// The Baton-Session-* fields: what a server is told of a session, and what its response asks of it.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/reason.h"
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
// True if it is Data-Omitted.
bool append_session_fields(std::string& out, const SessionFields& fields);

// Whether `text` may be an attribute's name: up to `size_max` letters, digits, ".", "_" and "-".
bool is_attribute_name(std::string_view text, std::size_t size_max) noexcept;

// Limits of what a response may set.
struct ContractLimits {
    std::size_t name_max = 64;
    std::size_t attribute_max = std::size_t{8} << 10;  // bytes of one value
    std::size_t attributes_max = 64;
    std::size_t data_max = std::size_t{24} << 10;  // bytes of all names and values
    // Names that one response may remove: as many as a session may have, and a few in any case.
    std::size_t unset_max() const noexcept { return std::max<std::size_t>(attributes_max, 64); }
};

// What one response asks of the session. Feed it each response field whose name has the prefix,
// then call `finish` once. Lines of one field are joined with `&`; a name that Set gives twice has
// the last value; empty pieces between ampersands mean nothing.
class SessionRequest {
public:
    enum class Verdict : std::uint8_t {
        none,     // nothing is asked
        change,   // see the members
        refused,  // the response must not pass: 502 session_refused; `complaint()` says why,
                  // without any value
    };

    // `suffix` is the field's name behind the prefix, in any letter case. Returns false if it is no
    // field of the contract: it is stripped and counted all the same.
    bool take(std::string_view suffix, std::string_view value);
    Verdict finish(const ContractLimits& limits);

    // The members below are the answer once `finish` has said `change`.
    bool create() const noexcept { return create_; }  // Create, Set (an empty one too), or Incr
    bool destroy() const noexcept { return destroy_; }
    bool rotate() const noexcept { return rotate_; }
    // No name stands in two of these three; each is sorted by name, names are unique.
    const Attributes& set() const noexcept { return set_; }
    const std::vector<std::string>& unset() const noexcept { return unset_; }
    const std::vector<Increment>& increments() const noexcept { return increments_; }
    // The version that the change was made for.
    std::optional<std::uint64_t> base() const noexcept { return base_; }
    // As asked for: whoever takes it keeps it within its limits.
    std::optional<std::int64_t> idle_ms() const noexcept { return idle_ms_; }
    // Stands alone.
    const std::optional<SessionId>& use() const noexcept { return use_; }
    // Whether the session's attributes or its idle time are to change.
    bool writes() const noexcept {
        return !set_.empty() || !unset_.empty() || !increments_.empty() || idle_ms_;
    }

    // Constant phrases that name a field by its suffix ("Create must be 1").
    std::string_view complaint() const noexcept { return complaint_; }
    // The attribute the complaint is about, if it is about one. May hold any bytes and be long:
    // escape and cut it.
    std::string_view attribute() const noexcept { return attribute_; }
    // The same for the access log: its word, and the attribute or the field it is about.
    Reason reason() const noexcept { return reason_; }
    std::string_view detail() const noexcept { return attribute_.empty() ? field_ : attribute_; }

private:
    bool take_word(std::string_view suffix, std::string_view value);
    template <class Value>
    void take_once(std::string_view field, std::optional<Value>& out, std::optional<Value> value,
                   std::string_view expected);
    std::string_view clash() const noexcept;
    bool decode_set(const ContractLimits& limits);
    bool decode_unset(const ContractLimits& limits);
    bool decode_increments(const ContractLimits& limits);
    bool check_once_each();
    bool check_name(std::string_view field, const std::optional<std::string>& name,
                    const ContractLimits& limits);
    bool check_sizes(const ContractLimits& limits);
    // Keeps the first complaint.
    Verdict refuse(Reason reason, std::string complaint, std::string_view field);
    Verdict refuse_attribute(Reason reason, std::string complaint, std::string_view attribute);

    // All lines of each, joined. Empty ones count as asked for.
    std::optional<std::string> set_text_;
    std::optional<std::string> unset_text_;
    std::optional<std::string> increments_text_;
    bool create_ = false;
    bool destroy_ = false;
    bool rotate_ = false;
    std::optional<std::uint64_t> base_;
    std::optional<std::int64_t> idle_ms_;
    std::optional<SessionId> use_;
    Attributes set_;
    std::vector<std::string> unset_;
    std::vector<Increment> increments_;
    std::string complaint_;
    std::string attribute_;
    Reason reason_ = Reason::none;
    std::string_view field_;  // a constant
};

}  // namespace baton
