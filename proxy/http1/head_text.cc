#include "proxy/http1/head_text.h"

#include "net/text.h"

namespace baton {
namespace {

constexpr std::string_view line_end = "\r\n";  // its size is known: a literal's would be counted

void append_field(std::string& out, std::string_view name, std::string_view value) {
    out.append(name).append(": ").append(value).append(line_end);
}

// A head that is written anew. Lines that go on as they came are copied, those that stand together
// in one piece: each of them is a line the guard has passed, byte for byte what we would write.
class HeadText {
public:
    HeadText(std::string& out, const Head& head) noexcept : out_(out), bytes_(head.bytes) {}

    // What is written so far: for lines of our own.
    std::string& text() {
        if (end_ > begin_) write_copied();
        return out_;
    }
    // A range of the head as it came.
    void copy(std::uint32_t begin, std::uint32_t end) {
        if (begin != end_) {
            text();
            begin_ = begin;
        }
        end_ = end;
    }

    void pass(const Head& head, const Field& field) {
        if (field.plain) return copy(field.name.begin, field.value.begin + field.value.size + 2);
        add(head.text(field.name), head.text(field.value));
    }
    void add(std::string_view name, std::string_view value) { append_field(text(), name, value); }
    template <class Write>
    void compose(std::string_view name, Write write) {
        std::string& out = text();
        const std::size_t before = out.size();
        out.append(name).append(": ");
        if (write(out))
            out.append(line_end);
        else
            out.resize(before);
    }
    void lines(std::string_view lines) {
        if (!lines.empty()) text().append(lines);
    }
    void framing(const Body& body) {
        if (body.framing == Framing::length)
            add("Content-Length", Decimal{body.length}.view());
        else if (body.framing == Framing::chunked)
            lines("Transfer-Encoding: chunked\r\n");
    }

private:
    void write_copied() {
        out_.append(bytes_ + begin_, end_ - begin_);
        begin_ = end_ = 0;
    }

    std::string& out_;
    const char* bytes_;
    std::uint32_t begin_ = 0;
    std::uint32_t end_ = 0;
};

// The request line and the Host as they came, if they say what we say.
bool keeps_request_line(const ForwardRequest& request) noexcept {
    const Head& head = *request.head;
    return head.minor == 1 && request.to.path.data() == head.bytes + head.target.begin &&
           !request.to.slash_missing;
}

bool keeps_host(const ForwardRequest& request) noexcept {
    const Head& head = *request.head;
    if (head.fields.empty() || head.fields.front().id != FieldName::host) return false;
    const Field& host = head.fields.front();
    return host.plain && head.text(host.name) == "Host" &&
           request.to.host.data() == head.bytes + host.value.begin && !request.to.host.empty();
}

// The request line and the Host.
void append_request_line(HeadText& lines, const ForwardRequest& request) {
    const Head& head = *request.head;
    const bool line_kept = keeps_request_line(request);
    if (line_kept) {
        const auto end =
            head.target.begin + head.target.size + std::uint32_t{11};  // " HTTP/1.1\r\n"
        lines.copy(head.method_text.begin, end);
        if (keeps_host(request)) return lines.pass(head, head.fields.front());
    }
    std::string& out = lines.text();
    if (!line_kept)
        out.append(head.text(head.method_text))
            .append(request.to.slash_missing ? " /" : " ")
            .append(request.to.path)
            .append(" HTTP/1.1\r\n");
    append_field(out, "Host", request.to.host.empty() ? request.listener_host : request.to.host);
}

void append_status_line(HeadText& lines, const Head& head) {
    constexpr std::uint32_t reason_at = 13;  // behind "HTTP/1.1 200 "
    if (head.minor == 1 && head.reason.begin == reason_at)
        return lines.copy(0, head.reason.begin + head.reason.size + 2);
    std::string& out = lines.text();
    out.append("HTTP/1.1 ");
    out.append(Decimal{head.status}.view())
        .append(" ")
        .append(head.text(head.reason))
        .append(line_end);
}

constexpr std::string_view upgrade_lines = "Connection: Upgrade\r\nUpgrade: websocket\r\n";

// What Connection says of the client's connection, and the end of the head.
void append_end(std::string& out, bool close, bool client_is_1_0) {
    if (close)
        out.append("Connection: close\r\n");
    else if (client_is_1_0)
        out.append("Connection: keep-alive\r\n");
    out.append(line_end);
}

}  // namespace

std::size_t append_request_head(std::string& out, const ForwardRequest& request) {
    HeadText lines{out, *request.head};
    append_request_line(lines, request);
    const std::size_t dropped = write_request_fields(request, lines);
    lines.text();
    if (request.websocket) out.append(upgrade_lines);
    out.append(line_end);
    return dropped;
}

std::size_t append_response_head(std::string& out, const ForwardResponse& response) {
    HeadText lines{out, *response.head};
    append_status_line(lines, *response.head);
    const std::size_t dropped = write_response_fields(response, lines);
    lines.text();
    if (response.upgrade)
        out.append(upgrade_lines).append(line_end);
    else
        append_end(out, response.close, response.client_is_1_0);
    return dropped;
}

void append_reply(std::string& out, const Reply& reply, const ReplyTo& to) {
    out.append("HTTP/1.1 ").append(Decimal{static_cast<std::uint64_t>(reply.status)}.view());
    out.append(" ").append(reason_of(reply.status)).append(line_end);
    // RFC 9110, 8.6: a 204 has no length.
    if (reply.status != 204) {
        if (!reply.content_type.empty()) append_field(out, "Content-Type", reply.content_type);
        append_field(out, "Content-Length", Decimal{reply.body.size()}.view());
    }
    // A cache may keep a 404 or 501 on its own guess (RFC 9111, 4.2.2); what is true now need not be
    // in a minute.
    out.append(to.date_line).append("Cache-Control: no-store\r\n").append(reply.fields);
    append_end(out, to.close, to.client_is_1_0);
    if (!to.head_only) out.append(reply.body);
}

}  // namespace baton
