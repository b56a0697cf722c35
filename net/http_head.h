#pragma once

// A message's first line and fields, seen in the bytes that hold them.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace baton {

// A piece of a head, as offsets into the bytes that hold it, so that the bytes may move.
struct Slice {
    std::uint32_t begin = 0;
    std::uint32_t size = 0;
};

// The fields this program treats specially; all others are `other`.
enum class FieldName : std::uint8_t {  // at most 32
    other,
    // Framing and connection: written anew, never copied.
    host,
    content_length,
    transfer_encoding,
    connection,
    keep_alive,
    proxy_connection,
    te,
    trailer,
    upgrade,
    expect,
    // Forwarding.
    forwarded,
    x_forwarded_for,
    x_forwarded_proto,
    x_forwarded_host,
    x_forwarded_port,
    x_real_ip,
    x_request_id,
    // Sessions and caching.
    cookie,
    set_cookie,
    cache_control,
    authorization,
};
// In any letter case.
FieldName field_name(std::string_view text) noexcept;

struct Field {
    Slice name;
    Slice value;  // without blanks around it
    FieldName id = FieldName::other;
    bool underscore = false;  // the name holds a `_`
    bool plain = false;       // the line is "Name: value", without other blanks
};

enum class Method : std::uint8_t {
    unknown,
    get,
    head,
    post,
    put,
    delete_,
    options,
    connect,
    trace,
    other
};

// Whether a request may be sent twice (RFC 9110, 9.2.2, the methods every proxy agrees on).
constexpr bool is_idempotent(Method m) noexcept {
    return m == Method::get || m == Method::head || m == Method::put || m == Method::delete_ ||
           m == Method::options;
}

// Filled by the guard, read by everyone. Copies nothing: valid as long as `bytes` is held.
struct Head {
    const char* bytes = nullptr;  // where the slices point into
    std::uint32_t size = 0;       // of the head, its empty line included
    Slice method_text, target;    // requests
    Slice reason;                 // responses
    Method method = Method::unknown;
    std::uint8_t minor = 1;     // HTTP/1.minor
    std::uint16_t status = 0;   // responses
    std::vector<Field> fields;  // keeps its memory from one message to the next
    std::uint32_t present = 0;  // a bit for each FieldName among them

    void add(const Field& field) {
        fields.push_back(field);
        present |= 1U << static_cast<unsigned>(field.id);
    }
    bool has(FieldName name) const noexcept {
        return ((present >> static_cast<unsigned>(name)) & 1U) != 0;
    }
    std::string_view text(Slice s) const noexcept { return {bytes + s.begin, s.size}; }
    // The first field called `name`, or an empty view. An empty value and no field look alike: use
    // `find` to tell.
    std::string_view value(FieldName name) const noexcept;
    const Field* find(FieldName name) const noexcept;
};

// Letter case ignored, ASCII only.
bool equal_fold(std::string_view a, std::string_view b) noexcept;
// Whether a comma-separated list holds `token`, in any letter case (RFC 9110, 5.6.1).
bool list_has(std::string_view list, std::string_view token) noexcept;

// What the Connection fields of a head say (RFC 9110, 7.6.1). The names view the head.
class ConnectionOptions {
public:
    explicit ConnectionOptions(const Head& head) noexcept
        : persistent(head.minor == 1), head_(&head) {
        if (head.has(FieldName::connection)) read();  // most heads have none
    }

    bool close = false;
    bool keep_alive = false;
    bool upgrade = false;
    // Whether the connection may carry another message after this one (RFC 9112, 9.3).
    bool persistent = false;
    // More names than any program lists: such a head is refused, for each of its fields would have to
    // be compared with each name.
    bool too_many = false;

    // Whether a field of this name ends at this connection. Keep-Alive and Upgrade do in any case.
    bool names(std::string_view field_name) const noexcept {
        if (count_ > 0) return is_listed(field_name);
        return close && equal_fold(field_name, "close");
    }

private:
    static constexpr std::size_t names_max = 16;

    void read() noexcept;
    void take(std::string_view option) noexcept;
    bool is_listed(std::string_view field_name) const noexcept;

    const Head* head_;
    std::size_t count_ = 0;  // of options that are none of the above
};

}  // namespace baton
