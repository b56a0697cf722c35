#pragma once

// A server on the test's own loop that looks like Redis or Sentinel: says what a test tells it to, and keeps all that
// it is told.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "net/loop.h"
#include "net/resolve.h"
#include "net/tcp.h"

namespace baton::test {

// The bytes of replies.
std::string resp_text(std::string_view text);  // a "bulk string"
std::string resp_status(std::string_view text);
std::string resp_error(std::string_view text);
std::string resp_integer(std::int64_t value);
std::string resp_array(std::initializer_list<std::string> replies);
std::string resp_texts(std::initializer_list<std::string_view> texts);  // an array of them
std::string resp_message(std::string_view channel, std::string_view text);
inline constexpr std::string_view resp_ok = "+OK\r\n";
inline constexpr std::string_view resp_nil = "$-1\r\n";
inline constexpr std::string_view resp_nil_array = "*-1\r\n";

// Turns the loop until it is so. False if that takes longer than any test should.
bool turns_until(Loop& loop, const std::function<bool()>& so);
// For what must not happen.
void turns_for(Loop& loop, std::chrono::milliseconds time);

class RedisPeer {
public:
    using Command = std::vector<std::string>;

    class Connection {
    public:
        ~Connection();
        Connection(const Connection&) = delete;
        Connection& operator=(const Connection&) = delete;

        const std::size_t id;        // 0 for the first that came, and so on
        std::size_t channels = 0;    // that it has subscribed to
        bool silent = false;         // hears and says nothing
        std::vector<Command> asked;  // all that came here

        void send(std::string_view bytes);
        // Both take effect when the loop turns: what was sent before leaves first.
        void close() noexcept { ending_ = Ending::close; }
        void reset() noexcept { ending_ = Ending::reset; }

    private:
        friend class RedisPeer;
        enum class Ending : std::uint8_t { none, close, reset };
        static const StreamEvents events;
        Connection(RedisPeer& peer, std::size_t its_id) : id(its_id), peer_(peer) {}
        void arrived(std::string_view bytes);

        RedisPeer& peer_;
        std::unique_ptr<Tcp> tcp_;
        std::string in_;
        std::string out_;  // what is dribbled and has not left
        Ending ending_ = Ending::none;
    };
    using Answer = std::function<void(Connection&, const Command&)>;

    // Listens on a port of its own that nobody else can get as long as it lives.
    explicit RedisPeer(Loop& loop);
    ~RedisPeer();
    RedisPeer(const RedisPeer&) = delete;
    RedisPeer& operator=(const RedisPeer&) = delete;

    const Address& address() const noexcept { return address_; }
    Endpoint endpoint() const { return {"127.0.0.1", address_.port()}; }

    // To a command by its first word or its first two, in capitals ("GET", "SENTINEL MASTER"; the longer goes first).
    // What has no answer is answered as an unknown command, but for PING, and SUBSCRIBE and what may come behind it.
    void on(std::string_view command, std::string_view bytes);
    void on(std::string_view command, Answer answer);
    // What is said from now on leaves byte by byte, one in each turn.
    void dribble(bool on) noexcept { dribble_ = on; }
    // All connections from now on hear and say nothing.
    void silence(bool on) noexcept;

    // To all connections that have subscribed.
    void publish(std::string_view channel, std::string_view text);
    void close_all() noexcept;
    void reset_all() noexcept;
    // Connections from now on are told these bytes at once, and closed; with none they are taken.
    void turn_away(std::string_view bytes) { farewell_ = bytes; }
    // Refuses connections; those that are there stay. And takes them again.
    void refuse();
    void listen();

    // All commands of all connections, in order: "GET key".
    const std::vector<std::string>& heard() const noexcept { return heard_; }
    // How many of them begin so.
    std::size_t heard(std::string_view beginning) const noexcept;
    // Those that are open, oldest first.
    std::vector<Connection*> connections() noexcept;
    // That ever came.
    std::size_t accepted() const noexcept { return accepted_; }
    TcpCounts& counts() noexcept { return counts_; }

private:
    void accept();
    void take(Connection& connection, const Command& command);
    void on_turn();
    void say(Connection& connection);

    Loop& loop_;
    TcpCounts counts_;
    Address address_;
    int held_ = -1;  // bound and never listening: it keeps the port
    int listening_ = -1;
    Handle<uv_poll_t> poll_;
    Handle<uv_prepare_t> turn_;
    Handle<uv_idle_t> busy_;  // active while something is dribbled: the loop must not wait then
    std::map<std::string, Answer, std::less<>> answers_;
    std::vector<std::unique_ptr<Connection>> connections_;
    std::vector<std::string> heard_;
    std::size_t accepted_ = 0;
    std::string farewell_;
    bool dribble_ = false;
    bool silent_ = false;
};

}  // namespace baton::test
