#include "proxy/command/redis_trial.h"

#include <cstdint>
#include <span>
#include <string_view>

#include "session/redis/redis_command.h"

namespace baton {
namespace {

constexpr std::uint64_t tag_read = 1;
constexpr std::uint64_t tag_script = 2;

// On the loop of its own until it is over.
class Trial {
public:
    Trial(Loop& loop, const RedisAccess& access, const std::string& prefix)
        : loop_(loop),
          key_(redis_key(prefix, SessionKey{})),
          link_(loop, access, this, events, tcp_) {}

    std::string run(const Endpoint& master) {
        link_.open(master);
        while (!over_) loop_.run();
        return complaint_;
    }

private:
    static const RedisLink::Events events;

    void on_ready() {
        std::string commands;
        append_load(commands, key_);
        link_.ask(tag_read, commands, 2);
        commands.clear();
        append_touch(commands, key_, 0);
        link_.ask(tag_script, commands);
    }
    void on_answered(std::uint64_t tag, std::span<RedisReply> replies) {
        for (const RedisReply& reply : replies)
            if (reply.is_error()) return end(reply.text);
        if (tag == tag_script) end({});
    }
    void end(std::string complaint) {
        complaint_ = std::move(complaint);
        over_ = true;
        link_.close();
        loop_.stop();
    }

    Loop& loop_;
    const std::string key_;
    TcpCounts tcp_;
    RedisLink link_;
    bool over_ = false;
    std::string complaint_;
};

const RedisLink::Events Trial::events = {
    [](void* trial) { static_cast<Trial*>(trial)->on_ready(); },
    [](void* trial, std::uint64_t tag, std::span<RedisReply> replies) {
        static_cast<Trial*>(trial)->on_answered(tag, replies);
    },
    [](void* trial, RedisLoss loss, std::string_view text) {
        static_cast<Trial*>(trial)->end(text_of(loss, text));
    },
};

}  // namespace

std::string try_master(Loop& loop, const RedisAccess& access, const std::string& prefix,
                       const Endpoint& master) {
    return Trial{loop, access, prefix}.run(master);
}

}  // namespace baton
