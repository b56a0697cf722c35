#include "tests/relay/proxy.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <utility>

namespace baton::test {

namespace {

// A guard against hanging, not a measure.
constexpr std::chrono::seconds patience{10};

void fail_now(const std::string& why) {
    FAIL(why);  // doctest throws: the test ends here
}

TableLimits table_limits(const Config& config) {
    return {.sessions_max = config.session.sessions_max,
            .memory_max = config.session.memory_max,
            .attributes_max = config.session.attributes_max,
            .data_max = config.session.data_max};
}

Config base_config(const Setup& setup) {
    Config config;
    config.workers = 1;
    config.listeners.push_back({*parse_address("127.0.0.1:0"), {}});
    UpstreamConfig upstream;
    upstream.name = "app";
    upstream.request_buffer = setup.request_buffer;
    config.upstreams.push_back(upstream);
    RouteConfig route;
    route.name = "all";
    route.hosts = {"*"};
    route.upstream = "app";
    route.session = setup.sessions ? SessionMode::managed : SessionMode::off;
    config.routes.push_back(route);
    return config;
}

}  // namespace

Peer::~Peer() {
    if (fd_ >= 0) ::close(fd_);
}

Peer::Peer(Peer&& other) noexcept
    : proxy_(other.proxy_),
      fd_(std::exchange(other.fd_, -1)),
      got_(std::move(other.got_)),
      ended_(other.ended_),
      reset_(other.reset_),
      records_(std::move(other.records_)),
      unsent_(std::move(other.unsent_)) {}

Peer& Peer::operator=(Peer&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(got_, other.got_);
    std::swap(ended_, other.ended_);
    std::swap(reset_, other.reset_);
    std::swap(records_, other.records_);
    std::swap(unsent_, other.unsent_);
    return *this;
}

Peer& Peer::sends(std::string_view text) {
    const std::string records = speaks_records() ? as_records(text) : std::string{};
    if (speaks_records()) text = records;
    while (!text.empty()) {
        const ssize_t sent = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
        if (sent > 0) {
            text.remove_prefix(static_cast<std::size_t>(sent));
        } else if (errno == EAGAIN) {
            proxy_->turn(1);
            fill();
        } else {
            return *this;  // the other end is gone: what it did before is what counts
        }
    }
    return *this;
}

// Of records it is taken when the last byte of the last one is.
std::size_t Peer::offers(std::string_view text) {
    constexpr int flags = MSG_NOSIGNAL | MSG_DONTWAIT;
    if (!speaks_records()) {
        const ssize_t sent = ::send(fd_, text.data(), text.size(), flags);
        return sent > 0 ? static_cast<std::size_t>(sent) : 0;
    }
    if (unsent_.empty()) unsent_ = as_records(text);
    const ssize_t sent = ::send(fd_, unsent_.data(), unsent_.size(), flags);
    if (sent > 0) unsent_.erase(0, static_cast<std::size_t>(sent));
    return unsent_.empty() ? text.size() : 0;
}

ssize_t Peer::takes(char* room, std::size_t size) {
    if (!speaks_records()) return ::recv(fd_, room, size, MSG_DONTWAIT);
    const ssize_t got = ::recv(fd_, room, size, MSG_DONTWAIT);
    if (got < 0 && records_.plain.empty()) return got;
    if (got > 0) records_.feed({room, static_cast<std::size_t>(got)});
    if (records_.plain.empty()) {
        errno = got == 0 && !records_.ended ? ECONNABORTED : EAGAIN;
        return records_.ended ? 0 : -1;
    }
    const std::size_t given = records_.plain.copy(room, size);
    records_.plain.erase(0, given);
    return static_cast<ssize_t>(given);
}

Peer& Peer::dribbles(std::string_view text) {
    for (const char& byte : text) {
        sends({&byte, 1});
        proxy_->turn(2);
    }
    return *this;
}

// Takes what has arrived. False if nothing had.
bool Peer::fill() {
    char room[65536];
    const ssize_t size = ::recv(fd_, room, sizeof(room), MSG_DONTWAIT);
    if (size > 0 && !speaks_records()) got_.append(room, static_cast<std::size_t>(size));
    if (size > 0 && speaks_records()) {
        records_.feed({room, static_cast<std::size_t>(size)});
        got_ += std::exchange(records_.plain, {});
        ended_ = records_.ended;
    }
    if (size == 0) ended_ = true;
    if (size == 0 && speaks_records() && !records_.ended) reset_ = true;
    if (size < 0 && errno != EAGAIN) ended_ = reset_ = true;
    return size > 0;
}

Peer& Peer::expects(std::string_view text) {
    std::size_t at = std::string::npos;
    proxy_->turn_until(
        [&] {
            fill();
            at = got_.find(text);
            return at != std::string::npos || ended_;
        },
        std::string{text}.c_str());
    if (at == std::string::npos)
        fail_now("the connection ended before \"" + std::string{text} + "\", after \"" + got_ +
                 "\"");
    got_.erase(0, at + text.size());
    return *this;
}

std::string Peer::head() {
    std::string head = dated_head();
    constexpr std::string_view date = "\r\nDate: ";
    if (const std::size_t at = head.find(date); at != head.npos)
        head.erase(at, head.find("\r\n", at + date.size()) - at);
    return head;
}

std::string Peer::dated_head() {
    std::size_t at = std::string::npos;
    proxy_->turn_until(
        [&] {
            fill();
            at = got_.find("\r\n\r\n");
            return at != std::string::npos || ended_;
        },
        "a head");
    if (at == std::string::npos)
        fail_now("the connection ended before a head, after \"" + got_ + "\"");
    std::string head = got_.substr(0, at + 4);
    got_.erase(0, at + 4);
    return head;
}

std::string Peer::bytes(std::size_t size) {
    proxy_->turn_until(
        [&] {
            fill();
            return got_.size() >= size || ended_;
        },
        "bytes");
    if (got_.size() < size)
        fail_now("the connection ended after " + std::to_string(got_.size()) + " bytes");
    std::string taken = got_.substr(0, size);
    got_.erase(0, size);
    return taken;
}

std::string Peer::until_end() {
    proxy_->turn_until(
        [&] {
            fill();
            return ended_;
        },
        "the end of the connection");
    return std::exchange(got_, {});
}

bool Peer::ended() {
    proxy_->turn();
    while (fill()) {
    }
    return ended_;
}

std::string Peer::got() {
    proxy_->turn();
    while (fill()) {
    }
    return got_;
}

void Peer::expects_nothing() {
    proxy_->turn(20);
    fill();
    CHECK(got_ == "");
    CHECK_FALSE(ended_);
}

void Peer::send_end() noexcept {
    const std::string_view end = end_record();
    if (speaks_records()) ::send(fd_, end.data(), end.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

Peer& Peer::closes() {
    send_end();
    ::close(std::exchange(fd_, -1));
    proxy_->turn(2);
    return *this;
}

Peer& Peer::shuts() {
    send_end();
    ::shutdown(fd_, SHUT_WR);
    proxy_->turn(2);
    return *this;
}

Peer& Peer::resets() {
    const linger now{.l_onoff = 1, .l_linger = 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    return closes();
}

std::optional<StoreAnswer> LateStore::load(const SessionKey& key, ShownBy shown_by,
                                           const StoreAsk& ask) {
    questions.push_back({ask, "load", table_.load(key, ask.now_ms, shown_by), key, {}, {}, {}});
    return std::nullopt;
}

std::optional<StoreAnswer> LateStore::load_several(std::span<const SessionKey> keys,
                                                   ShownBy shown_by, const StoreAsk& ask) {
    StoreAnswer answer;
    answer.kind = StoreAnswer::Kind::several;
    for (const SessionKey& key : keys)
        answer.each.push_back(table_.load(key, ask.now_ms, shown_by));
    questions.push_back(
        {ask, "load several", std::move(answer), keys.front(), {}, {keys.begin(), keys.end()}, {}});
    return std::nullopt;
}

std::optional<StoreAnswer> LateStore::create(const SessionKey& key, NewSession session,
                                             const StoreAsk& ask) {
    const auto replaces = session.replaces;
    StoreAnswer answer = table_.create(key, std::move(session), ask.now_ms);
    questions.push_back({ask, "create", std::move(answer), key, {}, {}, replaces});
    return std::nullopt;
}

std::optional<StoreAnswer> LateStore::commit(const SessionKey& key, SessionChange change,
                                             const StoreAsk& ask) {
    StoreAnswer answer = table_.commit(key, change, ask.now_ms);
    questions.push_back({ask, "commit", std::move(answer), key, std::move(change), {}, {}});
    return std::nullopt;
}

std::optional<StoreAnswer> LateStore::kill(const SessionKey& key, const StoreAsk& ask) {
    questions.push_back({ask, "kill", table_.kill(key, ask.now_ms), key, {}, {}, {}});
    return std::nullopt;
}

void LateStore::forget(StoreTicket ticket) noexcept {
    ++forgotten;
    std::erase_if(questions,
                  [&](const Question& question) { return question.ask.ticket == ticket; });
}

Proxy::Proxy(Setup setup)
    : table_([&] {
          Config config = base_config(setup);
          setup.change(config);
          return table_limits(config);
      }()) {
    signal(SIGPIPE, SIG_IGN);
    log::set_level(log::Level::error);
    Config config = base_config(setup);
    for (std::size_t i = 0; i < setup.servers; ++i) {
        ServerEnd end;
        end.fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        end.address = *parse_address("127.0.0.1:0");
        if (::bind(end.fd, end.address.raw(), end.address.size()) != 0 || ::listen(end.fd, 64) != 0)
            fail_now("no server port");
        socklen_t size = end.address.size();
        getsockname(end.fd, end.address.raw(), &size);
        servers_.push_back(end);
        config.upstreams[0].servers.push_back({end.address, end.address.text(), 1});
    }
    setup.change(config);
    char path[] = "/tmp/baton-relay-XXXXXX";
    ::close(mkstemp(path));
    log_path_ = path;
    snapshot_ = std::make_shared<const Snapshot>(std::move(config), registry_);
    gate_.max = snapshot_->config().limits.connections_max != 0
                    ? snapshot_->config().limits.connections_max
                    : 1000;
    std::unique_ptr<Store> store;
    if (setup.late_store) {
        auto late = std::make_unique<LateStore>(table_);
        late_store_ = late.get();
        store = std::move(late);
    } else {
        store = std::make_unique<MemoryStore>(table_);
    }
    store->share(&ended_);
    worker_ = std::make_unique<Worker>(
        Worker::Needs{.make_store = [&](Loop&) { return std::move(store); },
                      .unknown_limit = &unknown_limit_,
                      .lost_rotations = &lost_rotations_,
                      .gate = &gate_,
                      .api_gate = &gate_,
                      .writer = &writer_,
                      .access_sink = setup.access_log ? writer_.open(log_path_) : -1});
    worker_->take(snapshot_);
    if (speaks_records())
        worker_->lane().client_layer = worker_->lane().server_layer = over_records;
    ListenerSockets sockets;
    std::string complaint;
    if (!open_listener(snapshot_->config().listeners[0].address, 1, sockets, complaint))
        fail_now(complaint);
    address_ = sockets.address;
    worker_->listen(sockets.fds[0], address_, snapshot_->config().listeners[0]);
}

// The loop must close clean: a handle that somebody forgot ends the test program.
Proxy::~Proxy() {
    worker_.reset();
    for (const ServerEnd& server : servers_)
        if (server.fd >= 0) ::close(server.fd);
    ::unlink(log_path_.c_str());
}

Peer Proxy::connect_client() { return connect_client(address_); }

Peer Proxy::connect_client(const Address& to) {
    const int fd = ::socket(to.raw()->sa_family, SOCK_STREAM, 0);
    if (::connect(fd, to.raw(), to.size()) != 0) fail_now("cannot connect to the proxy");
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    ::fcntl(fd, F_SETFL, O_NONBLOCK);
    turn(2);
    return {*this, fd};
}

int Proxy::accept_now(std::size_t index) {
    const int fd = servers_[index].fd < 0
                       ? -1
                       : ::accept4(servers_[index].fd, nullptr, nullptr, SOCK_NONBLOCK);
    const int on = 1;
    if (fd >= 0) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

Peer Proxy::accept_at_server(std::size_t index) {
    int fd = -1;
    turn_until([&] { return (fd = accept_now(index)) >= 0; }, "a connection to the server");
    return {*this, fd};
}

std::optional<Peer> Proxy::accept_unless_over() {
    int fd = -1;
    const std::uint64_t before = requests();
    turn_until([&] { return (fd = accept_now(0)) >= 0 || requests() > before; },
               "a connection to the server, or the end of a request");
    if (fd < 0) return std::nullopt;
    return Peer{*this, fd};
}

bool Proxy::connects_to_server(std::size_t index) {
    turn(20);
    const int fd = accept_now(index);
    if (fd >= 0) ::close(fd);
    return fd >= 0;
}

Peer Proxy::accept_at_any(std::size_t* index) {
    int fd = -1;
    turn_until(
        [&] {
            for (std::size_t i = 0; i < servers_.size() && fd < 0; ++i) {
                fd = accept_now(i);
                if (fd >= 0 && index != nullptr) *index = i;
            }
            return fd >= 0;
        },
        "a connection to any server");
    return {*this, fd};
}

void Proxy::close_server(std::size_t index) { ::close(std::exchange(servers_[index].fd, -1)); }

void Proxy::reopen_server(std::size_t index) {
    ServerEnd& end = servers_[index];
    end.fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    const int on = 1;
    setsockopt(end.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (::bind(end.fd, end.address.raw(), end.address.size()) != 0 || ::listen(end.fd, 64) != 0)
        fail_now("port taken");
}

void Proxy::fill_queue(std::size_t index, std::vector<int>& fillers) {
    ::listen(servers_[index].fd, 0);
    for (int i = 0; i < 8; ++i) {
        const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        ::connect(fd, servers_[index].address.raw(), servers_[index].address.size());
        fillers.push_back(fd);
    }
}

void Proxy::turn_until(const std::function<bool()>& condition, const char* what) {
    const auto end = std::chrono::steady_clock::now() + patience;
    for (unsigned turns = 0; !condition(); ++turns) {
        worker_->loop().turn();
        if (turns > 50) ::poll(nullptr, 0, 1);  // do not burn a core while a timer runs down
        if (std::chrono::steady_clock::now() > end)
            fail_now(std::string{"waited in vain for: "} + what);
    }
}

void Proxy::turn(int times) {
    for (int i = 0; i < times; ++i) {
        worker_->loop().turn();
        if (i % 4 == 3) ::poll(nullptr, 0, 1);
    }
}

void Proxy::publish(const std::function<void(Config&)>& change) {
    Config config = snapshot_->config();
    change(config);
    snapshot_ = std::make_shared<const Snapshot>(std::move(config), registry_);
    worker_->take(snapshot_);
}

void Proxy::store_answers() {
    if (late_store_->questions.empty()) fail_now("nobody asked the store");
    store_answers(std::move(late_store_->questions.front().answer));
}

void Proxy::store_answers(StoreAnswer instead) {
    if (late_store_->questions.empty()) fail_now("nobody asked the store");
    const StoreTicket ticket = late_store_->questions.front().ask.ticket;
    late_store_->questions.erase(late_store_->questions.begin());
    late_store_->answers(ticket, std::move(instead));
}

std::uint64_t Proxy::requests() {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < StatusCounters::classes.size(); ++i) {
        for (const Route& route : snapshot_->routes()) sum += route.state->requests(i);
        sum += counters().unrouted.by_class[i].read();
    }
    return sum;
}

std::string Proxy::log() {
    worker_->lane().access_log.flush();
    std::string text;
    // The writer is a thread of its own.
    turn_until(
        [&] {
            std::ifstream in{log_path_};
            std::ostringstream all;
            all << in.rdbuf();
            text = std::move(all).str();
            return !text.empty();
        },
        "a log line");
    return text;
}

}  // namespace baton::test
