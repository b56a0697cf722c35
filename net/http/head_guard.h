#pragma once

// The head guard: our strictness in front of llhttp. It walks a head once, byte by byte, finds its
// end, records its fields, and refuses what llhttp 8.1.0 lets through even in strict mode: bare LF,
// folded lines, empty names, versions other than 1.0 and 1.1, odd Transfer-Encoding, wrong Host.
// What the guard refuses reaches neither parser nor peer.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "net/http/head_rules.h"
#include "net/http/http_head.h"
#include "net/result.h"

namespace baton {

struct HeadLimits {
    std::size_t request_line = std::size_t{8} << 10;  // bytes, without its CR LF
    std::size_t head = std::size_t{32} << 10;         // bytes, the empty line included
    std::size_t fields = 100;
    // Bytes of a request's body, 0 for any number: a Content-Length over it is refused with the
    // head, a chunked body as soon as it announces more. Responses have no such limit.
    std::uint64_t body_max = 0;

    bool operator==(const HeadLimits&) const = default;
};

// What to do with fields whose name holds `_`: some servers fold it to `-`, so that X_Real_IP
// passes for X-Real-IP.
enum class Underscores : std::uint8_t { drop, reject, keep };

// The walk over one head. Bytes may come in any pieces: the verdict is the same.
//
// A bad byte, a bad line end and a limit are refused where they stand; what needs the whole head
// (the version's number, the method, the fields' meaning) is judged at its end, always in the same
// order.
class HeadGuard {
public:
    enum class Kind : std::uint8_t { request, response };

    HeadGuard(Kind kind, const HeadLimits& limits) noexcept : kind_(kind), limits_(&limits) {}

    // Ready for the next head.
    void reset() noexcept { *this = HeadGuard{kind_, *limits_}; }

    // `received` begins with the message's first byte and holds all of it received so far; it may
    // have moved since the last call, and what was walked before is not walked again. `head` is the
    // same each time. Gives the head's size once it is whole, 0 while it is not, an error if it
    // never can be; after an error or a whole head only `reset` may follow. For a request the fault
    // is the client's (400, 414, ...), for a response always bad_response. Fills `head` as far as
    // it is known, also before an error; `head.bytes` is set to `received`. Empty lines before the
    // first line are part of the head.
    Result<std::size_t> walk(std::string_view received, Head& head);

    // Framing as the head declares it; after a whole head. That an answer to HEAD, a 1xx, a 204 and
    // a 304 have no body in spite of it is not the guard's business.
    Body body() const noexcept { return body_; }

private:
    struct Refused {
        Fault fault;
        Reason reason = Reason::none;
    };
    using Refusal = std::optional<Refused>;

    enum class State : std::uint8_t {
        start,     // before the first line
        start_lf,  // behind the CR of an empty line before it
        method,
        target,
        version,
        status,  // a response's version and status
        reason,
        line_lf,      // behind the first line's CR
        field_start,  // at the beginning of a line
        name,
        value_start,  // blanks before a value
        value,
        value_lf,
        end_lf,  // behind the CR of the empty line
        whole,
    };

    void begin(Head& head) noexcept;
    Refusal walk_line(std::string_view bytes, Head& head);
    bool skip_version(std::string_view bytes) noexcept;
    bool skip_status(std::string_view bytes, Head& head) noexcept;
    Refusal start(char c) noexcept;
    Refusal walk_word(std::string_view bytes, std::uint8_t allowed, Slice& word,
                      State next) noexcept;
    Refusal walk_version(char c, Head& head) noexcept;
    Refusal walk_status(char c, Head& head) noexcept;
    Refusal walk_reason(std::string_view bytes, Head& head) noexcept;
    Refusal walk_fields(std::string_view bytes, Head& head);
    void add_field(Head& head, std::size_t end);
    Refusal check_request(Head& head);
    Refusal check_line(Head& head) const noexcept;
    static Refusal refused(Reason reason) noexcept;
    // `none`: no rule was broken.
    static Refusal refused_if(Reason reason) noexcept {
        return reason == Reason::none ? Refusal{} : refused(reason);
    }
    Error error(Refused refused, const Head& head) const noexcept;

    Kind kind_;
    const HeadLimits* limits_;
    Body body_;
    State state_ = State::start;
    std::uint8_t empty_lines_ = 0;
    std::uint8_t name_classes_ = 0;  // of all bytes of the current name
    char major_ = '1';               // as written
    char minor_ = '1';
    std::uint32_t line_ = 0;   // where the first line begins
    std::uint32_t token_ = 0;  // where the current word begins
    std::size_t walked_ = 0;
    std::size_t fields_ = 0;  // also those over the limit, which are not recorded
    Slice name_;              // of the current field
};

}  // namespace baton
