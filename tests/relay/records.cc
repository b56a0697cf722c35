#include "tests/relay/records.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <utility>

namespace baton::test {

namespace {

constexpr std::size_t record_max = 4093;
constexpr char data_type = 'D';
constexpr char end_type = 'E';
constexpr char ticket_type = 'T';  // no data, as a session ticket

void append_record(std::string& out, char type, std::string_view bytes) {
    out += type;
    out += static_cast<char>(bytes.size() >> 8);
    out += static_cast<char>(bytes.size() & 0xff);
    out += bytes;
}

struct LeftOut {
    std::map<std::string, int> reasons;
    ~LeftOut() {
        for (const auto& [reason, count] : reasons)
            std::printf("left out %d times: %s\n", count, reason.c_str());
    }
};

class RecordStream;

// The streams of a loop that hold something to deliver. All of it is delivered in one round of events, behind
// those of the sockets.
class Round : public std::enable_shared_from_this<Round> {
public:
    explicit Round(Loop& loop)
        : check_(open_handle<uv_check_t>(
              this, [&](uv_check_t& handle) { return uv_check_init(loop.uv(), &handle); })),
          idle_(open_handle<uv_idle_t>(
              this, [&](uv_idle_t& handle) { return uv_idle_init(loop.uv(), &handle); })) {}
    static std::shared_ptr<Round> of(Loop& loop) {
        static std::map<Loop*, std::weak_ptr<Round>> rounds;
        std::shared_ptr<Round> round = rounds[&loop].lock();
        if (!round) rounds[&loop] = round = std::make_shared<Round>(loop);
        return round;
    }
    void add(RecordStream& stream) {
        if (std::find(ready_.begin(), ready_.end(), &stream) != ready_.end()) return;
        ready_.push_back(&stream);
        // So that the loop does not wait for a socket.
        uv_idle_start(idle_.get(), [](uv_idle_t*) {});
        uv_check_start(check_.get(), [](uv_check_t* handle) {
            if (auto* round = owner_of<Round>(handle)) round->run();
        });
    }
    void remove(RecordStream& stream) { std::erase(ready_, &stream); }

private:
    void run();

    std::deque<RecordStream*> ready_;
    Handle<uv_check_t> check_;
    Handle<uv_idle_t> idle_;
};

class RecordStream final : public Stream {
public:
    RecordStream(Loop& loop, StreamPtr below) : round_(Round::of(loop)), below_(std::move(below)) {
        below_->attach(this, below_events);
    }
    ~RecordStream() override {
        round_->remove(*this);
        if (!resets_ && below_->unsent() == 0) half_close();
    }

    void attach(void* holder, const StreamEvents& events) noexcept override {
        holder_ = holder;
        events_ = &events;
    }
    using Stream::write;
    std::size_t write(std::span<const iovec> pieces, Then then) override {
        if (half_closed_) return 0;
        std::string plain;
        for (const iovec& piece : pieces)
            plain.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
        std::string wire = plain.empty() ? std::string{} : as_records(plain);
        half_closed_ = then == Then::end;
        if (half_closed_) wire += end_record();
        const iovec piece{wire.data(), wire.size()};
        return below_->write({&piece, 1}, then) == 0 ? 0 : plain.size();
    }
    std::size_t unsent() const noexcept override { return below_->unsent(); }
    std::uint64_t sent() const noexcept override { return below_->sent(); }
    bool broken() const noexcept override { return below_->broken(); }
    Unread peek() const noexcept override {
        if (CannotTell::alive > 0 && !end_) return Unread::unknown;
        if (!reader_.plain.empty()) return Unread::bytes;
        if (end_ || reader_.ended)
            return reader_.ended && below_->peek() != Unread::broken ? Unread::end : Unread::broken;
        switch (below_->peek()) {
        case Unread::nothing: return Unread::nothing;
        case Unread::bytes: return Unread::unknown;
        default: return Unread::broken;
        }
    }
    Address local_address() const noexcept override { return below_->local_address(); }
    std::size_t unacknowledged() const noexcept override { return below_->unacknowledged(); }
    void read(bool on) noexcept override {
        reading_ = on;
        below_->read(on && !end_);
        if (holds_something()) round_->add(*this);
    }
    void half_close() noexcept override { write({}, Then::end); }
    void reset_on_close() noexcept override {
        resets_ = true;
        below_->reset_on_close();
    }

    // One record, or the end. May destroy this.
    void deliver() {
        if (!holds_something()) return;
        if (reader_.plain.empty()) {
            end_told_ = true;
            return events_->ended(holder_, *end_);
        }
        std::string bytes = reader_.plain.substr(0, record_max);
        reader_.plain.erase(0, bytes.size());
        if (holds_something()) round_->add(*this);
        events_->arrived(holder_, bytes);
    }

private:
    static const StreamEvents below_events;

    bool holds_something() const noexcept {
        return reading_ && (!reader_.plain.empty() || (end_ && !end_told_));
    }
    void arrived(std::span<char> bytes) {
        if (end_) return;
        reader_.feed({bytes.data(), bytes.size()});
        if (reader_.ended) end_ = StreamEnd::orderly();
        if (holds_something()) round_->add(*this);
    }
    void ended(StreamEnd end) {
        // A write that failed.
        if (!reading_ || end_told_) {
            if (!end.is_orderly()) events_->ended(holder_, end);
            return;
        }
        if (end_) return;
        end_ = end.is_orderly() ? StreamEnd::truncated() : end;
        round_->add(*this);
    }

    std::shared_ptr<Round> round_;
    StreamPtr below_;
    void* holder_ = nullptr;
    const StreamEvents* events_ = nullptr;
    RecordReader reader_;
    std::optional<StreamEnd> end_;
    bool end_told_ = false;
    bool reading_ = false;
    bool half_closed_ = false;
    bool resets_ = false;
};

const StreamEvents RecordStream::below_events{
    .arrived = [](void* stream,
                  std::span<char> bytes) { static_cast<RecordStream*>(stream)->arrived(bytes); },
    .flushed =
        [](void* stream) {
            auto* self = static_cast<RecordStream*>(stream);
            self->events_->flushed(self->holder_);
        },
    .ended = [](void* stream, StreamEnd end) { static_cast<RecordStream*>(stream)->ended(end); },
};

void Round::run() {
    const std::shared_ptr<Round> lives = shared_from_this();
    while (!ready_.empty()) {
        RecordStream* const next = ready_.front();
        ready_.pop_front();
        next->deliver();
    }
    uv_check_stop(check_.get());
    uv_idle_stop(idle_.get());
}

}  // namespace

bool speaks_records() noexcept {
    static const bool records = std::getenv("BATON_RECORDS") != nullptr;
    return records;
}

bool only_tcp(std::string_view reason) {
    static LeftOut left_out;
    if (speaks_records()) ++left_out.reasons[std::string{reason}];
    return speaks_records();
}

StreamPtr over_records(Loop& loop, StreamPtr below) {
    return std::make_unique<RecordStream>(loop, std::move(below));
}

std::string as_records(std::string_view bytes) {
    std::string wire;
    append_record(wire, ticket_type, "ticket");
    for (; !bytes.empty(); bytes.remove_prefix(std::min(bytes.size(), record_max)))
        append_record(wire, data_type, bytes.substr(0, record_max));
    return wire;
}

std::string_view end_record() noexcept { return {"E\0\0", 3}; }

void RecordReader::feed(std::string_view wire) {
    partial_ += wire;
    std::size_t at = 0;
    while (!ended && partial_.size() - at >= 3) {
        const auto high = static_cast<unsigned char>(partial_[at + 1]);
        const auto low = static_cast<unsigned char>(partial_[at + 2]);
        const std::size_t size = std::size_t{high} << 8 | low;
        if (partial_.size() - at < 3 + size) break;
        if (partial_[at] == data_type) plain.append(partial_, at + 3, size);
        ended = partial_[at] == end_type;
        at += 3 + size;
    }
    partial_.erase(0, at);
}

}  // namespace baton::test
