#include "proxy/http1/http1_response.h"

#include "proxy/http1/head_text.h"
#include "proxy/http1/write_list.h"

namespace baton {

void Http1Response::raw(std::span<const char> bytes) {
    const iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
    write({&piece, 1}, Stream::Then::more);
}

void Http1Response::go_on() {
    constexpr std::string_view text = "HTTP/1.1 100 Continue\r\n\r\n";
    raw(text);
}

// Passed on to those who know it (RFC 9110, 15.2).
void Http1Response::interim(const ForwardResponse& response) {
    if (client_is_1_0_) return;
    lane_.head_out.clear();
    append_response_head(lane_.head_out, response);
    raw(lane_.head_out);
}

std::size_t Http1Response::begin(ForwardResponse& response, const Pieces& data, bool complete) {
    framing_ = framing_for(response.body.framing);
    closes_ = response.close;
    response.body.framing = framing_;
    response.client_is_1_0 = client_is_1_0_;
    lane_.head_out.clear();
    const std::size_t dropped = append_response_head(lane_.head_out, response);
    __attribute__((uninitialized)) WriteList list;
    list.add(lane_.head_out);
    list.add_body(data.view(), data.bytes(), framing_);
    if (complete) list.add_end(framing_);
    write(list.view(), then(complete));
    return dropped;
}

void Http1Response::body(const Pieces& data, bool complete) {
    __attribute__((uninitialized)) WriteList list;
    list.add_body(data.view(), data.bytes(), framing_);
    if (complete) list.add_end(framing_);
    if (!list.empty()) write(list.view(), then(complete));
}

void Http1Response::reply(const Reply& reply, bool close) {
    closes_ = close;
    lane_.head_out.clear();
    append_reply(lane_.head_out, reply,
                 {.date_line = lane_.date_line(),
                  .client_is_1_0 = client_is_1_0_,
                  .close = close,
                  .head_only = head_only_});
    const iovec piece{lane_.head_out.data(), lane_.head_out.size()};
    write({&piece, 1}, then(true));
}

}  // namespace baton
