#include "proxy/process/control.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "net/wall_clock.h"

namespace baton {

namespace {

bool is_set(const Address& address) noexcept { return address.raw()->sa_family != AF_UNSPEC; }

// The soft limit of descriptors becomes the hard one. Returns it.
std::size_t raise_descriptor_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}

// Half of the descriptors for clients, half for servers, so that accepting never leaves a request
// without a server.
std::size_t derive_connections(std::size_t descriptors, std::size_t workers,
                               std::size_t listeners) {
    const std::size_t reserved = 64 + 2 * workers * listeners;
    return descriptors > reserved + 2 ? (descriptors - reserved) / 2 : 1;
}

// How long who asked the admin listener last may take to read the answer.
constexpr std::chrono::seconds admin_grace{1};

}  // namespace

Control::Control(Config config)
    : worker_count_(config.workers != 0 ? config.workers
                                        : std::max(1U, uv_available_parallelism())),
      registry_(worker_count_ + 1),
      snapshot_(snapshot_of(std::move(config))),
      stores_(loop_, snapshot_->config()),
      second_(loop_, *this),
      drained_(loop_, *this),
      grace_(loop_, *this),
      admin_grace_(loop_, *this),
      epoch_offset_ms_(measure_epoch_offset_ms()) {}

Control::~Control() {
    admin_.reset();
    workers_.clear();
    log::Writer::carry_events(nullptr);
}

int Control::run() {
    const Config& config = snapshot_->config();
    log::set_level(config.log.level);
    signal(SIGPIPE, SIG_IGN);
    const std::size_t descriptors = raise_descriptor_limit();
    const std::size_t asked = config.limits.connections_max;
    std::size_t most = derive_connections(descriptors, worker_count_, config.listeners.size());
    if (is_set(config.session_api.listener.address)) {
        // Servers hold a few connections each; a flood of one kind leaves the other's alone.
        api_gate_.max = std::clamp<std::size_t>(most / 8, 16, 1024);
        most -= std::min(most - 1, api_gate_.max);
    }
    gate_.max = asked == 0 ? most : std::min(asked, most);
    if (!open_access_log() || !open_listeners() || !open_admin()) return 1;
    log::Writer::carry_events(&writer_);
    if (asked > most)
        log::warn("limits.connections is more than the descriptors allow",
                  {{"asked", asked}, {"connections_max", most}});
    for (const int number : {SIGTERM, SIGINT, SIGUSR1, SIGHUP}) {
        signals_.push_back(open_handle<uv_signal_t>(
            this, [&](uv_signal_t& handle) { return uv_signal_init(loop_.uv(), &handle); }));
        uv_signal_start(
            signals_.back().get(),
            [](uv_signal_t* handle, int signal_number) {
                if (auto* control = owner_of<Control>(handle)) control->on_signal(signal_number);
            },
            number);
    }
    start_workers();
    for (const ListenerSockets& sockets : sockets_)
        log::info("listening", {{"address", sockets.address.text()}});
    if (!api_sockets_.fds.empty())
        log::info("listening",
                  {{"address", api_sockets_.address.text()}, {"serves", "session-api"}});
    if (admin_)
        log::info("listening", {{"address", admin_->address().text()}, {"serves", "admin"}});
    log::info(
        "ready",
        {{"workers", worker_count_}, {"connections_max", gate_.max}, {"descriptors", descriptors}});
    second_.repeat(std::chrono::seconds{1});
    loop_.run();
    for (const auto& worker : workers_) worker->join();
    log::info("stopped");
    return 0;
}

bool Control::open_access_log() {
    const std::string& target = snapshot_->config().log.access;
    if (target == "off") return true;
    access_sink_ = writer_.open(target);
    if (access_sink_ >= 0) return true;
    log::error("cannot open the access log", {{"path", target}, {"error", std::strerror(errno)}});
    return false;
}

bool Control::open_listeners() {
    for (const ListenerConfig& listener : snapshot_->config().listeners) {
        ListenerSockets sockets;
        if (!open_one(listener.address, worker_count_, sockets)) return false;
        sockets_.push_back(std::move(sockets));
    }
    return open_one(snapshot_->config().session_api.listener.address, worker_count_, api_sockets_);
}

// Where there is an address. False if it cannot be listened on.
bool Control::open_one(const Address& address, unsigned count, ListenerSockets& sockets) {
    if (!is_set(address)) return true;
    std::string complaint;
    if (open_listener(address, count, sockets, complaint)) return true;
    log::error("cannot start", {{"reason", complaint}});
    return false;
}

bool Control::open_admin() {
    ListenerSockets sockets;
    if (!open_one(snapshot_->config().admin.address, 1, sockets)) return false;
    if (sockets.fds.empty()) return true;
    admin_ = std::make_unique<AdminListener>(
        loop_, worker_count_, view_, std::make_unique<MemoryStore>(stores_.table()), unknown_limit_,
        this, [](void* control) { static_cast<Control*>(control)->loop_.stop(); });
    admin_->take_descriptors_from(gate_);
    admin_->listen(sockets.fds[0], sockets.address, snapshot_->config().admin);
    return true;
}

void Control::start_workers() {
    for (unsigned i = 0; i < worker_count_; ++i) {
        workers_.push_back(std::make_unique<Worker>(
            Worker::Needs{.index = i,
                          .make_store = [this](Loop& loop) { return stores_.make(loop); },
                          .unknown_limit = &unknown_limit_,
                          .lost_rotations = &lost_rotations_,
                          .gate = &gate_,
                          .api_gate = &api_gate_,
                          .writer = &writer_,
                          .access_sink = access_sink_,
                          .on_traffic_over = [this] { loop_.post([this] { on_traffic_over(); }); },
                          .on_stopped = [this] { loop_.post([this] { on_worker_stopped(); }); }}));
        for (std::size_t l = 0; l < sockets_.size(); ++l)
            workers_.back()->listen(sockets_[l].fds[i], sockets_[l].address,
                                    snapshot_->config().listeners[l]);
        if (!api_sockets_.fds.empty())
            workers_.back()->listen_for_api(api_sockets_.fds[i], api_sockets_.address,
                                            snapshot_->config().session_api.listener);
    }
    view_ = {nullptr, &registry_, {}, &gate_, &stores_.table(), nullptr, &writer_, false};
    if (stores_.guide() != nullptr) view_.stores = &stores_;
    for (const auto& worker : workers_) view_.lanes.push_back(&std::as_const(*worker).lane());
    working_ = with_traffic_ = worker_count_;
    publish(snapshot_);
    stores_.start();
    for (const auto& worker : workers_) worker->start();
}

std::shared_ptr<const Snapshot> Control::snapshot_of(Config config) {
    return std::make_shared<const Snapshot>(std::move(config), registry_);
}

void Control::publish(std::shared_ptr<const Snapshot> newest) {
    snapshot_ = view_.snapshot = std::move(newest);
    if (admin_) admin_->take(snapshot_);
    const auto waiting = std::make_shared<std::size_t>(workers_.size());
    for (const auto& worker : workers_)
        worker->publish(snapshot_, [this, waiting] {
            loop_.post([this, waiting] {
                if (--*waiting == 0) registry_.forget_unused();
            });
        });
}

void Control::on_signal(int number) {
    switch (number) {
    case SIGUSR1:
        writer_.reopen();
        log::info("logs reopened");
        return;
    case SIGHUP: log::warn("reloading is not supported yet, SIGHUP ignored"); return;
    default:
        if (state_ == State::serving) return begin_stop();
        log::Writer::carry_events(
            nullptr);  // straight to stderr: nobody waits for the writer any more
        log::warn("second signal, exiting at once");
        _exit(1);
    }
}

void Control::on_second() {
    const std::int64_t now_ms = static_cast<std::int64_t>(loop_.now()) + epoch_offset_ms_;
    MemoryTable& table = stores_.table();
    table.sweep(now_ms);
    const std::uint64_t evicted = table.evicted_confirmed();
    if (evicted != evicted_seen_ && eviction_warning_.due(loop_.now())) {
        log::warn("live sessions evicted, the table is full",
                  {{"sessions", table.sessions()}, {"evicted", evicted}});
        evicted_seen_ = evicted;
    }
}

void Control::begin_stop() {
    const auto delay = snapshot_->config().drain_delay;
    log::info("stopping", {{"connections", gate_.open.load(std::memory_order_relaxed)}});
    state_ = State::draining;
    view_.draining = true;
    if (delay.count() == 0) return on_drained();
    for (const auto& worker : workers_) worker->drain();
    drained_.arm(delay);
}

void Control::on_drained() {
    state_ = State::stopping;
    for (const auto& worker : workers_) worker->stop();
    // It goes on telling those who are connected how far the others are.
    if (admin_) admin_->finish();
    const auto grace = snapshot_->config().grace;
    if (grace.count() > 0) grace_.arm(grace);
}

void Control::on_grace_over() {
    log::warn("grace is over, closing the remaining connections",
              {{"connections", gate_.open.load(std::memory_order_relaxed)}});
    for (const auto& worker : workers_) worker->abort();
}

// The server of any worker's request may be connected to the session API at another worker.
void Control::on_traffic_over() {
    if (--with_traffic_ > 0) return;
    for (const auto& worker : workers_) worker->stop_api();
}

void Control::on_worker_stopped() {
    if (--working_ > 0) return;
    if (!admin_) return loop_.stop();
    admin_grace_.arm(admin_grace);
    admin_->stop();
}

void Control::on_admin_grace_over() { admin_->abort(); }

}  // namespace baton
