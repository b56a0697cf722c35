#pragma once

// A message's first line and fields, seen in the bytes that hold them.

#include <array>
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
    via,
    max_forwards,
    // Sessions and caching.
    cookie,
    set_cookie,
    cache_control,
    authorization,
    date,
};
// In any letter case.
FieldName field_name(std::string_view text) noexcept;
// As if each `_` were a `-`: some servers take the one for the other.
FieldName field_name_with_hyphens(std::string_view text) noexcept;

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

// What the Connection fields of a head say (RFC 9110, 7.6.1), split once.
class ConnectionOptions {
public:
    // Elements of any kind, empty ones too, of all Connection fields together. A head with more is
    // refused: each of its fields would have to be compared with each of them.
    static constexpr std::size_t elements_max = 32;

    ConnectionOptions() noexcept = default;
    explicit ConnectionOptions(const Head& head) noexcept { read(head); }

    // In place of what was read before.
    void read(const Head& head) noexcept {
        close = keep_alive = upgrade = too_many = false;
        persistent = head.minor == 1;
        count_ = elements_ = 0;
        if (head.has(FieldName::connection)) read_fields(head);  // most heads have none
    }

    bool close = false;
    bool keep_alive = false;
    bool upgrade = false;
    // Whether the connection may carry another message after this one (RFC 9112, 9.3).
    bool persistent = false;
    bool too_many = false;  // elements: the head is to be refused

    // Whether `field` of the head that was read ends at this connection. Keep-Alive and Upgrade do in
    // any case, and are not looked for.
    bool names(const Head& head, const Field& field) const noexcept {
        return count_ > 0 && is_listed(head, head.text(field.name));
    }

private:
    void read_fields(const Head& head) noexcept;
    void take(const Head& head, std::string_view element) noexcept;
    bool is_listed(const Head& head, std::string_view field_name) const noexcept;

    // Without initial values: what lies behind `count_` is never read.
    struct Name {
        std::uint32_t begin, size;
    };
    std::array<Name, elements_max> names_;
    std::uint8_t count_ = 0;     // of the names
    std::uint8_t elements_ = 0;  // seen so far
};

}  // namespace baton
