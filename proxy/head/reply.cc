#include "proxy/head/reply.h"

namespace baton {
namespace {

constexpr std::string_view allowed_methods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

}  // namespace

void Reply::add(std::string_view name, std::string_view value) {
    fields.append(name).append(": ").append(value).append("\r\n");
}

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

Reply plain_reply(int status) {
    Reply reply;
    reply.status = status;
    reply.body = std::to_string(status) + " " + std::string{reason_of(status)} + "\n";
    return reply;
}

Reply fault_reply(Fault fault, std::string_view request_id, std::string_view cookie) {
    Reply reply = plain_reply(status_of(fault));
    switch (reply.status) {
    case 405: reply.add("Allow", allowed_methods); break;
    case 409: reply.add("Retry-After", "0"); break;
    case 429: reply.add("Retry-After", "60"); break;
    case 503: reply.add("Retry-After", "1"); break;
    default: break;
    }
    reply.add("X-Request-Id", request_id);
    if (!cookie.empty()) reply.add("Set-Cookie", cookie);
    return reply;
}

Reply options_reply(std::string_view request_id) {
    Reply reply;
    reply.content_type = {};
    reply.add("Allow", allowed_methods);
    reply.add("X-Request-Id", request_id);
    return reply;
}

}  // namespace baton
