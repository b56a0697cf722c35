// The thread that writes every log of the process.

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <system_error>
#include <utility>
#include <vector>

#include "net/log.h"

namespace baton::log {

namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

// What may wait for one sink: 64 blocks of 64 KiB.
constexpr std::size_t queue_max = std::size_t{64} * 64 * 1024;
// Blocks of this size are kept when they are written, so that a busy worker allocates none.
constexpr std::size_t spare_size = std::size_t{32} * 1024;
constexpr std::size_t spares_max = 64;
// How often a sink that is stuck is looked at, and with it whether another sink has something to
// write.
constexpr int stuck_poll_ms = 50;
constexpr auto exit_patience = 1s;

std::uint64_t monotonic_ms() noexcept {
    const auto now = Clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

// What the other end is decides how it can be written without waiting for it.
enum class Kind : std::uint8_t { file, stream, socket };

Kind kind_of(int fd) noexcept {
    struct stat status {};
    if (::fstat(fd, &status) != 0) return Kind::stream;
    if (S_ISREG(status.st_mode)) return Kind::file;
    return S_ISSOCK(status.st_mode) ? Kind::socket : Kind::stream;
}

// A FIFO without a reader is opened as well: what fits is kept for the reader to come.
int open_path(const std::string& path) noexcept {
    constexpr int flags = O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    const int fd = ::open(path.c_str(), O_WRONLY | flags, 0640);
    return fd < 0 && errno == ENXIO ? ::open(path.c_str(), O_RDWR | flags, 0640) : fd;
}

// The bytes to write next: all to a file, else whole lines that a pipe takes at once if poll() says
// that it takes any (POSIX, write: up to PIPE_BUF bytes are one piece, never mixed with another
// process' lines).
std::string_view next_piece(std::string_view rest, Kind kind) noexcept {
    if (kind == Kind::file || rest.size() <= PIPE_BUF) return rest;
    const std::size_t line_end = rest.substr(0, PIPE_BUF).rfind('\n');
    return rest.substr(0, line_end == std::string_view::npos ? PIPE_BUF : line_end + 1);
}

bool takes_bytes_now(int fd) noexcept {
    pollfd poll_fd{fd, POLLOUT, 0};
    return ::poll(&poll_fd, 1, 0) > 0;
}

// Lines on their way to a sink, or the order to open it anew when those before it are written.
struct Block {
    std::string bytes;
    bool reopen = false;
};

struct Target {
    // Guarded by the state's mutex.
    std::vector<Block> incoming;
    std::size_t queued = 0;  // bytes, in both lists

    // The thread's alone, but for `name`, which never changes.
    std::string name;
    bool is_path = false;
    int fd = -1;
    Kind kind = Kind::stream;
    std::vector<Block> outgoing;
    std::size_t next = 0;    // the block being written
    std::size_t offset = 0;  // bytes of it that are written
    bool torn = false;       // an error left the file in the middle of a line

    bool idle() const noexcept { return next == outgoing.size(); }
};

}  // namespace

// Shared by the writer and its thread, which may be stuck in a write when the process ends.
struct Writer::State {
    std::mutex mutex;
    std::condition_variable wake;
    std::condition_variable over;
    std::vector<std::unique_ptr<Target>> targets;  // by Sink; never removed
    std::vector<std::string> spares;
    Clock::time_point give_up = Clock::time_point::max();
    bool stopping = false;
    bool news = false;  // since the thread last looked
    bool ended = false;

    std::atomic<std::uint64_t> dropped{0};

    // The thread's alone.
    std::vector<Target*> active;
    std::uint64_t reported = 0;
    OncePerMinute report_due;
    std::string failed_target;
    int failed_errno = 0;

    void run();
    bool has_work() const noexcept;
    bool take();
    bool write_all();
    bool write_some(Target& target);
    bool write_piece(Target& target);
    void finish_block(Target& target);
    void fail_block(Target& target, int code);
    void open_anew(Target& target);
    void report();
    void wait_for_stuck() const;
    void drop_rest();
    bool push(Target& target, Block block);
    void add_target(int fd, std::string target_name, bool is_path);
};

// The mutex is held. False if there is no room.
bool Writer::State::push(Target& target, Block block) {
    const std::size_t size = block.bytes.size();
    if (size > queue_max - target.queued) return false;
    target.queued += size;
    target.incoming.push_back(std::move(block));
    return true;
}

void Writer::State::add_target(int fd, std::string target_name, bool is_path) {
    auto target = std::make_unique<Target>();
    target->name = std::move(target_name);
    target->is_path = is_path;
    target->fd = fd;
    target->kind = kind_of(fd);
    targets.push_back(std::move(target));
}

void Writer::State::run() {
    while (take()) {
        const bool stuck = write_all();
        report();
        if (stuck) wait_for_stuck();
    }
    drop_rest();
    const std::lock_guard lock{mutex};
    ended = true;
    over.notify_all();
}

// The mutex is held.
bool Writer::State::has_work() const noexcept {
    return std::any_of(targets.begin(), targets.end(), [](const auto& target) {
        return !target->idle() || !target->incoming.empty();
    });
}

// Takes what has come, and waits for something to come if there is nothing to write. False at the
// end.
bool Writer::State::take() {
    std::unique_lock lock{mutex};
    wake.wait(lock, [this] { return news || stopping || has_work(); });
    news = false;

    active.clear();
    for (const auto& target : targets) {
        if (target->idle()) {
            target->outgoing.clear();
            target->next = 0;
            target->outgoing.swap(target->incoming);
        }
        active.push_back(target.get());
    }
    return !stopping || (has_work() && Clock::now() < give_up);
}

// True if something is left that its sink does not take now.
bool Writer::State::write_all() {
    bool stuck = false;
    for (Target* target : active) stuck = !write_some(*target) || stuck;
    return stuck;
}

// False if the sink takes no more.
bool Writer::State::write_some(Target& target) {
    while (!target.idle()) {
        if (target.outgoing[target.next].reopen) {
            open_anew(target);
            finish_block(target);
        } else if (!write_piece(target)) {
            return false;
        }
    }
    return true;
}

bool Writer::State::write_piece(Target& target) {
    const std::string_view rest =
        std::string_view{target.outgoing[target.next].bytes}.substr(target.offset);
    if (rest.empty()) return finish_block(target), true;
    if (target.kind != Kind::file && !takes_bytes_now(target.fd)) return false;

    // A line that an error has torn is ended first, so that the next one can be read.
    const std::string_view piece = target.torn ? "\n" : next_piece(rest, target.kind);
    const ssize_t size = target.kind == Kind::socket
                             ? ::send(target.fd, piece.data(), piece.size(), MSG_DONTWAIT)
                             : ::write(target.fd, piece.data(), piece.size());
    if (size < 0 && errno == EINTR) return true;
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
    if (size <= 0) return fail_block(target, size < 0 ? errno : EIO), true;
    if (std::exchange(target.torn, false)) return true;
    target.offset += static_cast<std::size_t>(size);
    return true;
}

void Writer::State::finish_block(Target& target) {
    std::string& bytes = target.outgoing[target.next].bytes;
    target.offset = 0;
    ++target.next;
    const std::lock_guard lock{mutex};
    target.queued -= bytes.size();
    if (bytes.capacity() < spare_size || spares.size() == spares_max) return;
    bytes.clear();
    spares.push_back(std::move(bytes));
}

void Writer::State::fail_block(Target& target, int code) {
    const std::string_view bytes = target.outgoing[target.next].bytes;
    const std::string_view rest = bytes.substr(target.offset);
    dropped += static_cast<std::uint64_t>(std::count(rest.begin(), rest.end(), '\n'));
    if (target.offset > 0) target.torn = bytes[target.offset - 1] != '\n';
    failed_target = target.name;
    failed_errno = code;
    finish_block(target);
}

void Writer::State::open_anew(Target& target) {
    const int fd = open_path(target.name);
    if (fd < 0) {
        const int code = errno;
        const std::lock_guard lock{mutex};
        std::string line =
            line_now(Level::error, "log file not reopened",
                     {{"path", target.name}, {"error", std::generic_category().message(code)}});
        news = push(*targets[stderr_sink], {std::move(line)}) || news;
        return;
    }
    ::close(target.fd);
    target.fd = fd;
    target.kind = kind_of(fd);
    target.torn = false;
}

// Lost lines are told once a minute, with what is known of the reason.
void Writer::State::report() {
    const std::uint64_t total = dropped.load(std::memory_order_relaxed);
    if (total == reported || !report_due.due(monotonic_ms())) return;
    const std::uint64_t lines = total - reported;
    std::string line = failed_errno == 0
                           ? line_now(Level::warn, "log lines dropped", {{"lines", lines}})
                           : line_now(Level::warn, "log lines dropped",
                                      {{"lines", lines},
                                       {"target", failed_target},
                                       {"error", std::generic_category().message(failed_errno)}});
    reported = total;
    failed_errno = 0;
    const std::lock_guard lock{mutex};
    news = push(*targets[stderr_sink], {std::move(line)}) || news;
}

void Writer::State::wait_for_stuck() const {
    std::vector<pollfd> stuck;
    for (const Target* target : active) {
        if (!target->idle()) stuck.push_back({target->fd, POLLOUT, 0});
    }
    ::poll(stuck.data(), stuck.size(), stuck_poll_ms);
}

// The end has come with lines that nobody takes.
void Writer::State::drop_rest() {
    const std::lock_guard lock{mutex};
    const auto count = [this](const Block& block, std::size_t offset) {
        const auto from = block.bytes.begin() + static_cast<std::ptrdiff_t>(offset);
        dropped += static_cast<std::uint64_t>(std::count(from, block.bytes.end(), '\n'));
    };
    for (const auto& target : targets) {
        for (; !target->idle(); ++target->next, target->offset = 0) {
            count(target->outgoing[target->next], target->offset);
        }
        for (const Block& block : target->incoming) count(block, 0);
        if (target->is_path) ::close(target->fd);
    }
}

Writer::Writer() : state_(std::make_shared<State>()) {
    state_->add_target(STDERR_FILENO, "stderr", false);
    // Signals are for the main thread; and a pipe without a reader is an error here, not a SIGPIPE.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread{[state = state_] { state->run(); }};
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Writer::~Writer() {
    leave_events();
    const auto give_up = Clock::now() + exit_patience;
    bool ended = false;
    {
        std::unique_lock lock{state_->mutex};
        state_->stopping = true;
        state_->give_up = give_up;
        state_->wake.notify_all();
        // A moment more than the thread takes by itself: it may hang in a write that poll() did not
        // foresee (a terminal, a disk that is gone). Then the process ends without it.
        ended = state_->over.wait_until(lock, give_up + 200ms, [this] { return state_->ended; });
    }
    if (ended) {
        thread_.join();
    } else {
        thread_.detach();
    }
}

Writer::Sink Writer::open(const std::string& target) {
    const std::lock_guard lock{state_->mutex};
    auto& targets = state_->targets;
    for (std::size_t i = 1; i < targets.size(); ++i) {
        if (targets[i]->name == target) return static_cast<Sink>(i);
    }
    const bool is_path = target != "stdout";
    const int fd = is_path ? open_path(target) : STDOUT_FILENO;
    if (fd < 0) return -1;
    state_->add_target(fd, target, is_path);
    return static_cast<Sink>(targets.size() - 1);
}

bool Writer::write(Sink sink, std::string block, std::size_t lines) {
    const std::lock_guard lock{state_->mutex};
    const auto index = static_cast<std::size_t>(sink);
    const bool taken =
        index < state_->targets.size() && state_->push(*state_->targets[index], {std::move(block)});
    if (!taken) state_->dropped += lines;
    state_->news = true;  // a loss is news too: the thread tells it
    state_->wake.notify_one();
    return taken;
}

std::string Writer::spare() {
    const std::lock_guard lock{state_->mutex};
    if (state_->spares.empty()) return {};
    std::string block = std::move(state_->spares.back());
    state_->spares.pop_back();
    return block;
}

void Writer::reopen() {
    const std::lock_guard lock{state_->mutex};
    for (const auto& target : state_->targets) {
        auto& incoming = target->incoming;
        if (!target->is_path || (!incoming.empty() && incoming.back().reopen)) continue;
        incoming.push_back({{}, true});
    }
    state_->news = true;
    state_->wake.notify_one();
}

std::uint64_t Writer::lines_dropped() const noexcept {
    return state_->dropped.load(std::memory_order_relaxed);
}

}  // namespace baton::log
