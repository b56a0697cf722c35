#include "net/http/http_parser.h"

#include <cstring>
#include <utility>

#include "net/check.h"

namespace baton {

// llhttp before version 9 has two parsers; the loose one lets messages be smuggled.
#if LLHTTP_VERSION_MAJOR < 9
static_assert(LLHTTP_STRICT_MODE == 1);
#endif

namespace {

// llhttp has no limits. No program we know sends extensions or trailers near these; without a bound
// a client could keep a server reading a body without data (CVE-2024-22019).
constexpr std::size_t extension_max = std::size_t{4} << 10;        // of a chunk
constexpr std::uint64_t extensions_max = std::uint64_t{16} << 10;  // of a message
// Other bytes that are no data: a chunk's lines (16 digits, `;`, two CR LF and some) ...
constexpr std::uint64_t padding_per_chunk = 24;
// ... and, for the whole message, trailers and zeros before chunk sizes.
constexpr std::uint64_t padding_max = std::uint64_t{16} << 10;

HttpParser& owner_of(llhttp_t* parser) noexcept { return *static_cast<HttpParser*>(parser->data); }

}  // namespace

void Pieces::add(char* data, std::size_t size) noexcept {
    bytes_ += size;
    if (count_ > 0) {
        std::string_view& before = pieces_[count_ - 1];
        // The buffer is ours to write: read_body was given it as such.
        char* const end = const_cast<char*>(before.data()) + before.size();
        if (end == data || size < moved_max || count_ == pieces_.size()) {
            std::memmove(end, data, size);
            before = {before.data(), before.size() + size};
            return;
        }
    }
    pieces_[count_++] = {data, size};
}

const llhttp_settings_t HttpParser::events = {
    .on_chunk_extension_name = on_chunk_extension,
    .on_chunk_extension_value = on_chunk_extension,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
    .on_chunk_header = on_chunk_header,
};

HttpParser::HttpParser(HeadGuard::Kind kind, const HeadLimits& limits) noexcept
    : guard_(kind, limits), kind_(kind), limits_(&limits) {
    llhttp_init(&llhttp_, kind == HeadGuard::Kind::request ? HTTP_REQUEST : HTTP_RESPONSE, &events);
    llhttp_.data = this;
}

void HttpParser::reset() noexcept {
    guard_.reset();
    llhttp_reset(&llhttp_);
    body_ = {};
    asked_ = {};
    head_seen_ = complete_ = too_large_ = line_read_ = false;
    last_ = 0;
    read_ = data_ = chunks_ = extensions_ = 0;
    extension_in_chunk_ = 0;
}

Result<std::size_t> HttpParser::read_head(std::string_view received, Head& head) {
    check(!head_seen_, "a head was read twice");
    const auto size = guard_.walk(received, head);
    if (!size || *size == 0) return size;
    if (head.status == 101 && !asked_.upgrade) return bad(Reason::unasked_101);

    // Only what llhttp says at the end of its call counts: it calls on_headers_complete also for a
    // head that it refuses right after.
    const llhttp_errno_t rc = llhttp_execute(&llhttp_, received.data(), *size);
    const bool paused =
        rc == HPE_PAUSED && complete_ && llhttp_get_error_pos(&llhttp_) == received.data() + *size;
    if (!head_seen_ || (rc != HPE_OK && !paused)) return bad(Reason::parsers_disagree, rc);
    if (llhttp_.http_minor != head.minor || llhttp_.status_code != head.status)
        return bad(Reason::parsers_disagree);
    body_ = is_bodiless_answer() ? Body{} : guard_.body();
    return size;
}

Result<std::size_t> HttpParser::read_body(std::span<char> bytes, Pieces& pieces) {
    check(head_seen_, "a body was read before its head");
    pieces.clear();
    if (complete_ || bytes.empty()) return std::size_t{0};
    pieces_ = &pieces;
    read_begin_ = bytes.data();
    const llhttp_errno_t rc = llhttp_execute(&llhttp_, bytes.data(), bytes.size());
    pieces_ = nullptr;

    const char* const end =
        rc == HPE_OK ? bytes.data() + bytes.size() : llhttp_get_error_pos(&llhttp_);
    // Whether the bytes came whole or in pieces: a bound that was passed on the way counts first.
    if (is_padded(end)) return bad(Reason::padding);
    if (too_large_) return Error{Fault::body_too_large};
    if (rc != HPE_OK && !(rc == HPE_PAUSED && complete_)) return bad(body_reason(rc), rc);
    const auto size = static_cast<std::size_t>(end - bytes.data());
    if (complete_ && body_.framing == Framing::chunked) {
        // llhttp takes a bare LF as the end of the trailers.
        if ((size > 1 ? bytes[size - 2] : last_) != '\r') return bad(Reason::bare_lf);
    }
    read_ += size;
    last_ = bytes[size - 1];
    return size;
}

bool HttpParser::end_of_input() noexcept {
    llhttp_finish(&llhttp_);  // ends a body until close by on_message_complete
    return complete_;
}

Error HttpParser::bad(Reason reason, int code) const noexcept {
    return {kind_ == HeadGuard::Kind::request ? Fault::bad_request : Fault::bad_response, code,
            reason};
}

// What was wrong with the body where llhttp stopped with `code`.
Reason HttpParser::body_reason(int code) const noexcept {
    if (extended_too_far()) return Reason::extensions_too_long;
    switch (code) {
    case HPE_INVALID_CHUNK_SIZE: return Reason::bad_chunk_size;
    case HPE_STRICT:
        // One number for two rules; the words of llhttp tell them apart.
        return std::string_view{llhttp_get_error_reason(&llhttp_)}.starts_with("Expected")
                   ? Reason::bad_chunk_end
                   : Reason::bad_chunk_extension;
    default: return Reason::bad_trailer;
    }
}

bool HttpParser::extended_too_far() const noexcept {
    return extension_in_chunk_ > extension_max || extensions_ > extensions_max;
}

// Whether llhttp frames the body as the guard does.
bool HttpParser::agrees() const noexcept {
    constexpr int framing_flags = F_CHUNKED | F_CONTENT_LENGTH | F_TRANSFER_ENCODING;
    const int flags = llhttp_.flags & framing_flags;
    const Body declared = guard_.body();
    switch (declared.framing) {
    case Framing::chunked: return flags == (F_CHUNKED | F_TRANSFER_ENCODING);
    case Framing::length:
        return flags == F_CONTENT_LENGTH && llhttp_.content_length == declared.length;
    default: return flags == 0;
    }
}

// RFC 9112, 6.3, rule 1. llhttp would wait for the body that their fields announce.
bool HttpParser::is_bodiless_answer() const noexcept {
    if (kind_ == HeadGuard::Kind::request) return false;
    const int status = llhttp_.status_code;
    return asked_.head || status < 200 || status == 204 || status == 304;
}

// Whether the body up to `at` holds more bytes that are no data than we put up with. A chunk pays
// for the line of the next one only once it has data: on_body is the one place where llhttp says how
// far it is, so that a body is judged the same however it is split.
bool HttpParser::is_padded(const char* at) const noexcept {
    const std::uint64_t body = read_ + static_cast<std::uint64_t>(at - read_begin_);
    return body - data_ > extensions_ + padding_per_chunk * (chunks_ + 1) + padding_max;
}

int HttpParser::on_headers_complete(llhttp_t* parser) {
    HttpParser& self = owner_of(parser);
    self.head_seen_ = true;
    // What Upgrade and Connection say is for the caller to judge; with this set, llhttp would take
    // the rest of the connection for another protocol (request smuggling by upgrade).
    parser->upgrade = 0;
    if (!self.agrees()) return -1;
    return self.is_bodiless_answer() ? 1 : 0;
}

int HttpParser::on_body(llhttp_t* parser, const char* data, std::size_t size) {
    HttpParser& self = owner_of(parser);
    // No body while the head is read: llhttp would have found its end before the guard.
    if (self.pieces_ == nullptr || self.is_padded(data)) return -1;
    if (std::exchange(self.line_read_, false)) ++self.chunks_;
    // The bytes lie in the span that read_body was given.
    self.pieces_->add(const_cast<char*>(data), size);
    self.data_ += size;
    return 0;
}

int HttpParser::on_chunk_header(llhttp_t* parser) {
    HttpParser& self = owner_of(parser);
    self.line_read_ = true;
    self.extension_in_chunk_ = 0;
    const std::uint64_t most = self.kind_ == HeadGuard::Kind::request ? self.limits_->body_max : 0;
    self.too_large_ = most != 0 && parser->content_length > most - self.data_;
    return self.too_large_ || self.pieces_ == nullptr ? -1 : 0;
}

int HttpParser::on_chunk_extension(llhttp_t* parser, const char*, std::size_t size) {
    HttpParser& self = owner_of(parser);
    self.extension_in_chunk_ += size;
    self.extensions_ += size;
    return self.extended_too_far() ? -1 : 0;
}

// One message at a time: what follows it is not this call's business.
int HttpParser::on_message_complete(llhttp_t* parser) {
    owner_of(parser).complete_ = true;
    return HPE_PAUSED;
}

}  // namespace baton
