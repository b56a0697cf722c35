#include "proxy/head/own_reply.h"

namespace baton {

std::string_view reason_of(int status) noexcept {
    switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 204: return "No Content";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    case 508: return "Loop Detected";
    default: return "Internal Server Error";
    }
}

namespace {

void append_line(std::string& out, int status) {
    out.append("HTTP/1.1 ").append(std::to_string(status)).append(" ");
    out.append(reason_of(status)).append("\r\n");
}

// What all of our own answers end in.
void append_end(std::string& out, const OwnReply& reply) {
    out.append(reply.date_line);
    out.append("X-Request-Id: ").append(reply.request_id).append("\r\n");
    // A cache may keep a 404 or 501 on its own guess (RFC 9111, 4.2.2); what is true now need not be
    // in a minute.
    out.append("Cache-Control: no-store\r\n");
    out.append(reply.added);
    if (reply.close)
        out.append("Connection: close\r\n");
    else if (reply.client_is_1_0)
        out.append("Connection: keep-alive\r\n");
    out.append("\r\n");
}

constexpr std::string_view allow_line = "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n";

}  // namespace

void append_reply(std::string& out, const OwnReply& reply) {
    const int status = status_of(reply.fault);
    const std::string_view reason = reason_of(status);
    append_line(out, status);
    out.append("Content-Type: text/plain; charset=utf-8\r\nContent-Length: ");
    out.append(std::to_string(reason.size() + 5)).append("\r\n");
    if (status == 503) out.append("Retry-After: 1\r\n");
    if (status == 409) out.append("Retry-After: 0\r\n");
    if (status == 429) out.append("Retry-After: 60\r\n");
    if (status == 405) out.append(allow_line);
    append_end(out, reply);
    if (reply.head_only) return;
    out.append(std::to_string(status)).append(" ").append(reason).append("\n");
}

void append_options_reply(std::string& out, const OwnReply& reply) {
    append_line(out, 200);
    out.append(allow_line).append("Content-Length: 0\r\n");
    append_end(out, reply);
}

}  // namespace baton
