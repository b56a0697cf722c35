#include "net/http/head_guard.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "net/check.h"
#include "net/http/head_rules.h"
#include "net/http/http_syntax.h"
#include "net/text.h"

namespace baton {
namespace {

constexpr std::uint8_t empty_lines_max = 2;  // RFC 9112, 2.2: at least one is to be ignored

constexpr char tls_handshake = 0x16;  // the first byte of TLS (RFC 8446, 5.1)

Slice slice(std::size_t begin, std::size_t end) noexcept {
    return {static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end - begin)};
}

// Sixteen bytes at once. In a mask of them a byte is 255 or 0.
using Sixteen = unsigned char __attribute__((vector_size(16)));

Sixteen sixteen_of(const char* p) noexcept {
    Sixteen bytes;
    std::memcpy(&bytes, p, sizeof bytes);
    return bytes;
}

// Of letters and `-`, of which most names consist.
Sixteen letters_of(Sixteen bytes) noexcept {
    const Sixteen from_a = (bytes | 0x20) - 'a';
    return reinterpret_cast<Sixteen>((from_a < 26) | (bytes == '-'));
}

Sixteen in_values_of(Sixteen bytes) noexcept {
    return reinterpret_cast<Sixteen>((bytes >= 0x20) & (bytes != 0x7f));
}

// The place of the first byte that is 0 in a mask; 16 if none is.
std::ptrdiff_t first_unset(Sixteen mask) noexcept {
    static_assert(std::endian::native == std::endian::little);
    std::uint64_t halves[2];
    std::memcpy(halves, &mask, sizeof halves);
    if (~halves[0] != 0) return std::countr_one(halves[0]) / 8;
    return 8 + std::countr_one(halves[1]) / 8;
}

// Passes over the bytes of a value.
const char* skip_value(const char* p, const char* end) noexcept {
    while (end - p >= 16) {
        const std::ptrdiff_t passed = first_unset(in_values_of(sixteen_of(p)));
        p += passed;
        if (passed == 16) continue;
        if (*p != '\t') return p;
        ++p;
    }
    while (p < end && (class_of(*p) & in_value)) ++p;
    return p;
}

// Passes over the bytes of a name and adds what they are to `classes`.
const char* skip_name(const char* p, const char* end, std::uint8_t& classes) noexcept {
    while (end - p >= 16) {
        const std::ptrdiff_t passed = first_unset(letters_of(sixteen_of(p)));
        p += passed;
        if (passed < 16) break;
    }
    unsigned seen = classes;  // a store to `classes` for each byte would cost a third of the walk
    for (; p < end; ++p) {
        const unsigned byte_class = class_of(*p);
        if (!(byte_class & in_name)) break;
        seen |= byte_class;
    }
    classes = static_cast<std::uint8_t>(seen);
    return p;
}

}  // namespace

Result<std::size_t> HeadGuard::walk(std::string_view received, Head& head) {
    check(state_ != State::whole, "a head was walked again after its end");
    if (walked_ == 0) begin(head);
    head.bytes = received.data();
    const std::string_view bytes = received.substr(0, limits_->head);

    Refusal refusal = walk_line(bytes, head);
    if (!refusal && state_ >= State::field_start) refusal = walk_fields(bytes, head);
    if (!refusal && state_ == State::whole) {
        refusal = kind_ == Kind::request ? check_request(head)
                                         : refused_if(declare_body(head, count(head), body_));
        if (fields_ > limits_->fields && !refusal)
            refusal = Refused{Fault::head_too_large, Reason::too_many_fields};
        if (kind_ == Kind::response && body_.framing == Framing::none) {
            body_.framing = Framing::until_close;
        }
    } else if (!refusal && walked_ >= limits_->head) {
        // What is wrong with a request line that was read comes first.
        if (kind_ == Kind::request && state_ >= State::field_start) refusal = check_line(head);
        if (!refusal) refusal = Refused{Fault::head_too_large, Reason::head_too_long};
    }
    if (refusal) return error(*refusal, head);
    if (state_ != State::whole) return std::size_t{0};
    head.size = static_cast<std::uint32_t>(walked_);
    return walked_;
}

HeadGuard::Refusal HeadGuard::refused(Reason reason) noexcept {
    return Refused{is_of_coding(reason) ? Fault::coding_unknown : Fault::bad_request, reason};
}

// A field is named once its name is known to be one.
Error HeadGuard::error(Refused refused, const Head& head) const noexcept {
    const bool in_value = state_ == State::value || state_ == State::value_lf;
    return {kind_ == Kind::request ? refused.fault : Fault::bad_response, 0, refused.reason,
            in_value ? head.text(name_) : std::string_view{}};
}

void HeadGuard::begin(Head& head) noexcept {
    head.size = 0;
    head.method_text = head.target = head.reason = {};
    head.method = Method::unknown;
    head.minor = 1;
    head.status = 0;
    head.fields.clear();
    head.present = 0;
    if (kind_ == Kind::response) state_ = State::status;
}

HeadGuard::Refusal HeadGuard::walk_line(std::string_view bytes, Head& head) {
    while (walked_ < bytes.size() && state_ < State::field_start) {
        const char c = bytes[walked_];
        Refusal refusal;
        switch (state_) {
        case State::method:
            refusal = walk_word(bytes, in_name, head.method_text, State::target);
            break;
        case State::target:
            refusal = walk_word(bytes, in_target, head.target, State::version);
            break;
        case State::version:
            if (!skip_version(bytes)) refusal = walk_version(c, head);
            break;
        case State::status:
            if (!skip_status(bytes, head)) refusal = walk_status(c, head);
            break;
        case State::reason: refusal = walk_reason(bytes, head); break;
        case State::line_lf:
            if (c != '\n') return refused(Reason::bare_cr);
            ++walked_;
            state_ = State::field_start;
            break;
        default: refusal = start(c); break;
        }
        if (refusal) return refusal;
    }
    return {};
}

// Compared in place: the compiler knows the size.
template <std::size_t n>
bool follows(std::string_view bytes, std::size_t at, const char (&text)[n]) noexcept {
    return bytes.size() - at >= n - 1 && std::memcmp(bytes.data() + at, text, n - 1) == 0;
}

// The version and the status as nearly every message has them, in one step each. What is cut or
// otherwise is walked byte by byte.
bool HeadGuard::skip_version(std::string_view bytes) noexcept {
    if (walked_ != token_ || !follows(bytes, walked_, "HTTP/1.1\r")) return false;
    if (walked_ + 8 - line_ >= limits_->request_line) return false;
    walked_ += 9;
    state_ = State::line_lf;
    return true;
}

bool HeadGuard::skip_status(std::string_view bytes, Head& head) noexcept {
    if (walked_ != token_ || !follows(bytes, walked_, "HTTP/1.1 200 ")) return false;
    head.status = 200;
    walked_ += 13;
    token_ = static_cast<std::uint32_t>(walked_);
    state_ = State::reason;
    return true;
}

// Empty lines before a request, of clients that send one too many behind a body.
HeadGuard::Refusal HeadGuard::start(char c) noexcept {
    if (state_ == State::start_lf) {
        if (c != '\n') return refused(Reason::bare_cr);
        ++empty_lines_;
        ++walked_;
        state_ = State::start;
        return {};
    }
    if (c == '\r' && empty_lines_ < empty_lines_max) {
        ++walked_;
        state_ = State::start_lf;
        return {};
    }
    if (c == '\r') return refused(Reason::empty_lines);
    if (c == tls_handshake) return refused(Reason::tls);
    if (!(class_of(c) & in_name)) return refused(byte_reason(c, Reason::bad_method));
    line_ = token_ = static_cast<std::uint32_t>(walked_);
    state_ = State::method;
    return {};
}

// The method or the target, to the single SP behind it.
HeadGuard::Refusal HeadGuard::walk_word(std::string_view bytes, std::uint8_t allowed, Slice& word,
                                        State next) noexcept {
    const std::size_t line_end = line_ + limits_->request_line;
    const char* const base = bytes.data();
    const char* const end = base + std::min(bytes.size(), line_end);
    const char* p = base + walked_;
    while (p < end && (class_of(*p) & allowed)) ++p;
    walked_ = static_cast<std::size_t>(p - base);
    word = slice(token_, walked_);
    if (walked_ == bytes.size()) return {};

    const bool ends = *p == ' ' && word.size > 0;
    if (!ends && !(class_of(*p) & allowed))
        return refused(word_reason(*p, word.size == 0, state_ == State::method));
    if (walked_ >= line_end) return Refused{Fault::target_too_long};
    token_ = static_cast<std::uint32_t>(++walked_);
    state_ = next;
    return {};
}

// Any two digits here: which they are is judged at the end of the head.
HeadGuard::Refusal HeadGuard::walk_version(char c, Head& head) noexcept {
    constexpr std::string_view form = "HTTP/0.0\r";
    const std::size_t i = walked_ - token_;
    if (form[i] == '0' ? !is_digit(c) : c != form[i])
        return refused(i == 0 && c == ' ' ? Reason::double_space
                                          : byte_reason(c, Reason::bad_version));
    if (c == '\r') {
        state_ = State::line_lf;
    } else if (walked_ - line_ >= limits_->request_line) {
        return Refused{Fault::target_too_long};
    }
    if (i == 5) major_ = c;
    if (i == 7) {
        minor_ = c;
        head.minor = static_cast<std::uint8_t>(c - '0');
    }
    ++walked_;
    return {};
}

// RFC 9112, 4. The SP behind the status is left out by some servers together with the reason.
HeadGuard::Refusal HeadGuard::walk_status(char c, Head& head) noexcept {
    constexpr std::string_view form = "HTTP/1.m sdd";
    constexpr std::size_t name_size = 5;
    const std::size_t i = walked_ - token_;
    ++walked_;
    if (i == form.size()) {
        state_ = c == ' ' ? State::reason : State::line_lf;
        token_ = static_cast<std::uint32_t>(walked_);
        return c == ' ' || c == '\r' ? Refusal{} : refused(byte_reason(c, Reason::bad_status));
    }
    switch (form[i]) {
    case 'm':
        if (c != '0' && c != '1') return refused(Reason::bad_version);
        head.minor = static_cast<std::uint8_t>(c - '0');
        return {};
    case 's':
        if (c < '1' || c > '5') return refused(Reason::bad_status);
        break;
    case 'd':
        if (!is_digit(c)) return refused(Reason::bad_status);
        break;
    default:
        if (c == form[i]) return {};
        return refused(i < name_size ? Reason::not_http : Reason::bad_version);
    }
    head.status = static_cast<std::uint16_t>(head.status * 10 + (c - '0'));
    return {};
}

HeadGuard::Refusal HeadGuard::walk_reason(std::string_view bytes, Head& head) noexcept {
    const char* const base = bytes.data();
    walked_ = static_cast<std::size_t>(skip_value(base + walked_, base + bytes.size()) - base);
    head.reason = slice(token_, walked_);
    if (walked_ == bytes.size()) return {};
    if (bytes[walked_] != '\r')
        return refused(byte_reason(bytes[walked_], Reason::bad_reason_phrase));
    ++walked_;
    state_ = State::line_lf;
    return {};
}

HeadGuard::Refusal HeadGuard::walk_fields(std::string_view bytes, Head& head) {
    const char* const base = bytes.data();
    const char* const end = base + bytes.size();
    const char* p = base + walked_;
    while (p < end && state_ != State::whole) {
        switch (state_) {
        case State::field_start:
            if (*p == '\r') {
                ++p;
                state_ = State::end_lf;
                break;
            }
            token_ = static_cast<std::uint32_t>(p - base);
            name_classes_ = 0;
            state_ = State::name;
            [[fallthrough]];
        case State::name:
            // A line that begins with a blank, a fold, fails here like any name that is no token.
            p = skip_name(p, end, name_classes_);
            if (p == end) break;
            name_ = slice(token_, static_cast<std::size_t>(p - base));
            if (*p != ':' || name_.size == 0) return refused(name_reason(*p, name_.size == 0));
            ++p;
            state_ = State::value_start;
            [[fallthrough]];
        case State::value_start:
            while (p < end && is_blank(*p)) ++p;
            if (p == end) break;
            token_ = static_cast<std::uint32_t>(p - base);
            state_ = State::value;
            [[fallthrough]];
        case State::value:
            p = skip_value(p, end);
            if (p == end) break;
            if (*p != '\r') return refused(byte_reason(*p, Reason::bad_value));
            add_field(head, static_cast<std::size_t>(p - base));
            state_ = State::value_lf;
            if (++p == end) break;
            [[fallthrough]];
        default:  // behind a CR
            if (*p != '\n') return refused(Reason::bare_cr);
            ++p;
            state_ = state_ == State::end_lf ? State::whole : State::field_start;
            break;
        }
    }
    walked_ = static_cast<std::size_t>(p - base);
    return {};
}

void HeadGuard::add_field(Head& head, std::size_t end) {
    if (++fields_ > limits_->fields) return;
    const std::size_t line_end = end;
    while (end > token_ && is_blank(head.bytes[end - 1])) --end;
    Field field;
    field.name = name_;
    field.value = slice(token_, end);
    field.id = field_name(head.text(name_));
    field.underscore = (name_classes_ & is_underscore) != 0;
    field.plain =
        end == line_end && token_ == name_.begin + name_.size + 2 && head.bytes[token_ - 1] == ' ';
    head.add(field);
}

HeadGuard::Refusal HeadGuard::check_request(Head& head) {
    if (const Refusal refusal = check_line(head)) return refusal;
    if (fields_ > limits_->fields) return Refused{Fault::head_too_large, Reason::too_many_fields};
    if (const Refusal refusal = refused_if(target_reason(head))) return refusal;
    const Census census = count(head);
    if (const Refusal refusal = refused_if(host_reason(head, census))) return refusal;
    if (const Refusal refusal = refused_if(declare_body(head, census, body_))) return refusal;
    if (limits_->body_max != 0 && body_.length > limits_->body_max)
        return Refused{Fault::body_too_large};
    if (census.expects_oddly) return Refused{Fault::expectation_unknown};
    return {};
}

HeadGuard::Refusal HeadGuard::check_line(Head& head) const noexcept {
    if (major_ != '1' || minor_ > '1') return Refused{Fault::version_unknown};
    head.method = method_of(head.text(head.method_text));
    if (head.method == Method::unknown) return Refused{Fault::method_unknown};
    if (head.method == Method::connect || head.method == Method::trace) {
        return Refused{Fault::method_refused};
    }
    return {};
}

}  // namespace baton
