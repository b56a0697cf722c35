#pragma once

// The memory of one running request on an HTTP/1.1 connection: its bytes, its parser, the server side, the
// exchange.
// Taken from the loop's free list when a request's first byte comes, given back when its connection idles:
// an idle connection holds none of it.

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "net/http/http_parser.h"
#include "proxy/context/lane.h"
#include "proxy/exchange/exchange.h"
#include "proxy/exchange/request.h"
#include "proxy/http1/http1_server.h"

namespace baton {

// Ends an exchange without freeing it: it lives in its block.
struct ExchangeEnd {
    void operator()(Exchange* exchange) const noexcept { exchange->~Exchange(); }
};

class Http1Block {
public:
    // A head of this size needs no other memory. A larger one moves once, into room for the
    // largest.
    static constexpr std::size_t room_size = std::size_t{16} << 10;

    Http1Block(Lane& lane, std::shared_ptr<const HeadLimits> limits);
    ~Http1Block();
    Http1Block(const Http1Block&) = delete;
    Http1Block& operator=(const Http1Block&) = delete;

    // The bytes of a head that is not whole yet.
    std::string_view partial() const noexcept { return {room(), filled_}; }
    // Adds as much as there is room for; returns how much that was.
    std::size_t add(std::string_view bytes);
    // The head is whole: it lies in `bytes`, or in the room already. Afterwards the request's head views the
    // room.
    void settle(std::string_view head_bytes);
    // Ready for the connection's next head; waiting input stays. What is larger than it need be is
    // given back.
    void clear();

    const std::shared_ptr<const HeadLimits> limits;
    HttpParser parser;
    Request request;
    Http1Server server;
    std::unique_ptr<Exchange, ExchangeEnd> exchange;
    std::string reading;  // input that was pending and is read now
    std::string pending;  // input that waits behind it

    // Where the exchange lives.
    static constexpr std::size_t exchange_size = 2048;
    void* exchange_room() noexcept { return exchange_room_; }

private:
    char* room() noexcept { return grown_ ? grown_.get() : room_.get(); }
    const char* room() const noexcept { return grown_ ? grown_.get() : room_.get(); }

    std::size_t grown_size_;
    std::unique_ptr<char[]> room_;
    std::unique_ptr<char[]> grown_;
    std::size_t filled_ = 0;
    alignas(std::max_align_t) std::byte exchange_room_[exchange_size];
};

// One loop's free list.
class Http1Blocks {
public:
    explicit Http1Blocks(Lane& lane) : lane_(lane) {}
    // Of the blocks that are taken from now on. Needed before the first.
    void use(const HeadLimits& limits);
    std::unique_ptr<Http1Block> take();
    void give_back(std::unique_ptr<Http1Block> block);

private:
    // Beyond this, what a burst needed is given back to the system.
    static constexpr std::size_t free_max = 256;

    Lane& lane_;
    std::shared_ptr<const HeadLimits> limits_;
    std::vector<std::unique_ptr<Http1Block>> free_;
};

}  // namespace baton
