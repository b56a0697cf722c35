#include "proxy/exchange/server_choice.h"

#include <utility>

#include "net/wall_clock.h"

namespace baton {
namespace {

// Of a connect: what is said if no server's went otherwise.
Reason connect_reason(int uv_error) noexcept {
    switch (uv_error) {
    case UV_ECONNREFUSED: return Reason::all_refused;
    case UV_ETIMEDOUT: return Reason::all_timed_out;
    case UV_EHOSTUNREACH:
    case UV_ENETUNREACH: return Reason::all_unreachable;
    case UV_EMFILE:
    case UV_ENFILE: return Reason::no_descriptors;
    case UV_EADDRNOTAVAIL: return Reason::no_ports;
    case UV_ENOBUFS:
    case UV_ENOMEM: return Reason::no_memory;
    case UV_EACCES:
    case UV_EPERM: return Reason::not_permitted;
    default: return Reason::none_connected;
    }
}

}  // namespace

ServerChoice::Step ServerChoice::next(const Wish& wish) {
    upstream_ = wish.route->upstream;
    if (connecting_ || connect_result_) {
        if (!connect_result_) return Step::waits;
        const int error = *std::exchange(connect_result_, std::nullopt);
        if (error == 0) return connected();
        if (!connect_failed(error)) return Step::failed;
    } else if (wish.bound != nullptr) {
        if (const Step step = bound_connection(*wish.bound); step == Step::leased) return step;
    }
    return pick(wish);
}

ServerChoice::Step ServerChoice::pick(const Wish& wish) {
    source_ = Source::fresh;
    for (;;) {
        server_ = upstream_->pick(tried_);
        if (server_ == nullptr && tries_ > 0 && tried_ != refused_) {
            // The only server there is lost the request: it may have come back.
            tried_ = refused_;
            server_ = upstream_->pick(tried_);
        }
        if (server_ == nullptr) return Step::failed;
        tried_.add(server_->index);
        // The failure of a connect may be told before this iteration has looked for events.
        const bool unlooked = wish.resendable && !has_failed();
        const Source idle = unlooked ? Source::idle_unlooked : Source::idle;
        if (Lease lease = idle_connection(idle)) return leased(std::move(lease), idle);
        connect_began_ms_ = lane_.loop.now();
        connecting_.emplace(lane_.loop, lane_.tcp, addresses(), this,
                            [](void* holder, int uv_error) {
                                auto* choice = static_cast<ServerChoice*>(holder);
                                choice->connect_result_ = uv_error;
                                choice->happened_(choice->holder_);
                            });
        const int error = connecting_->begin();
        if (error == 0) return Step::waits;
        if (!connect_failed(error)) return Step::failed;
    }
}

ServerChoice::Step ServerChoice::leased(Lease lease, Source source) noexcept {
    lease_ = std::move(lease);
    source_ = source;
    return Step::leased;
}

// Of two addresses the one that worked last comes first.
Connect::To ServerChoice::addresses() const noexcept {
    const bool other_first = server_->has_other() && pool().other_first;
    return {.first = other_first ? server_->other : server_->address,
            .second = other_first ? server_->address : server_->other,
            .layer = lane_.server_layer};
}

ServerChoice::Step ServerChoice::connected() {
    if (server_->has_other()) pool().other_first = connecting_->address() == server_->other;
    Lease lease = pool().lend(connecting_->take(), lane_.loop.now());
    connecting_.reset();
    return leased(std::move(lease), Source::fresh);
}

// What cannot be sent twice is not sent where the server's end, or something that nobody asked for, lies
// in the kernel already, though its event has not come yet.
Lease ServerChoice::idle_connection(Source source) {
    if (connections_ == Connections::fresh) return nullptr;
    const std::uint64_t now = lane_.loop.now();
    return source == Source::idle ? pool().take_silent(now) : pool().take(now);
}

// The connection to one of the upstream's servers on which this client is logged in. If it has ended, the
// client begins again on another one.
ServerChoice::Step ServerChoice::bound_connection(BoundServers& bound) {
    Lease lease = bound.take([&](const Pool& of_lease) {
        for (const Server& server : upstream_->servers()) {
            server_ = &server;
            if (&pool() == &of_lease) return true;
        }
        return false;
    });
    if (!lease) return Step::failed;
    const Stream::Unread unread = lease->stream->peek();
    // What is read next is no answer, if it is anything.
    const bool unlooked = unread == Stream::Unread::unknown && !lane_.loop.in_timer();
    if (unread != Stream::Unread::nothing && !unlooked) return Step::failed;
    tried_.add(server_->index);
    return leased(std::move(lease), unlooked ? Source::bound_unlooked : Source::bound);
}

// Another server is tried, unless it is we who cannot connect to any: then false.
bool ServerChoice::connect_failed(int uv_error) {
    connecting_.reset();
    connect_error_ = uv_error;
    const bool ours = is_local(uv_error);
    if ((ours ? lane_.own_connect_warning : lane_.connect_warning).due(lane_.loop.now()))
        log::warn("cannot connect to a server", {{"server", server_->text},
                                                 {"upstream", upstream_->name()},
                                                 {"error", uv_err_name(uv_error)}});
    if (is_exhausted(uv_error) && lane_.pools.close_one()) {
        tried_.remove(server_->index);
        return true;
    }
    add_connect_failure(connect_reason(uv_error));
    if (is_exhausted(uv_error)) return false;
    refused_.add(server_->index);
    if (!ours)
        count(uv_error == UV_ETIMEDOUT ? ServerFault::connect_slow : ServerFault::connect_failed);
    return true;
}

void ServerChoice::add_connect_failure(Reason reason) noexcept {
    const bool alike = connect_reason_ == Reason::none || connect_reason_ == reason;
    connect_reason_ = alike ? reason : Reason::none_connected;
}

void ServerChoice::connect_timed_out() noexcept {
    connecting_.reset();
    connect_result_ = UV_ETIMEDOUT;
}

void ServerChoice::written() noexcept {
    ++tries_;
    pool().counters.requests.add();
}

void ServerChoice::unwritten(bool reused) {
    if (reused) {
        tried_.remove(server_->index);
    } else {
        refused_.add(server_->index);
        add_connect_failure(Reason::none_connected);
    }
    again();
}

void ServerChoice::count(ServerFault fault) noexcept { pool().counters.add(fault, wall_now_ms()); }

Error ServerChoice::error() const noexcept {
    const bool ours = is_local(connect_error_);
    return {.fault = tries_ > 0 ? Fault::server_gone : Fault::no_server,
            .code = connect_error_,
            .reason = tries_ > 0 ? Reason::closed_unanswered : connect_reason_,
            .origin = ours ? Origin::local : Origin::server};
}

}  // namespace baton
