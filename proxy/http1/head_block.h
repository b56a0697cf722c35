#pragma once

// The memory of one running request: its head, what of its body waits, the server side, the
// exchange.
// Taken from the worker's free list when a request's first byte comes, given back when its
// connection idles: an idle connection holds none of it.

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/http/http_parser.h"
#include "proxy/http1/http1_server.h"

namespace baton {

class Exchange;

// Ends an exchange without freeing it: it lives in its block.
struct ExchangeEnd {
    void operator()(Exchange* exchange) const noexcept;
};

class HeadBlock {
public:
    // A head of this size needs no other memory. A larger one moves once, into room for the
    // largest.
    static constexpr std::size_t room_size = std::size_t{16} << 10;
    // Body and pipelined bytes that wait; when there are as many, reading stops.
    static constexpr std::size_t waiting_max = room_size;

    explicit HeadBlock(const HeadLimits& limits);
    ~HeadBlock();
    HeadBlock(const HeadBlock&) = delete;
    HeadBlock& operator=(const HeadBlock&) = delete;

    // The bytes of a head that is not whole yet.
    std::string_view partial() const noexcept { return {room(), filled_}; }
    // Adds as much as there is room for; returns how much that was.
    std::size_t add(std::string_view bytes);
    // The head is whole: it lies in `bytes`, or in the room already. Afterwards `head` views the
    // room.
    void settle(std::string_view head_bytes);
    // Ready for the connection's next head; waiting input stays. What is larger than it need be is
    // given back.
    void clear();

    HttpParser parser;  // the request's
    Head head;          // the request's
    Http1Server server;
    std::unique_ptr<Exchange, ExchangeEnd> exchange;
    std::string held;     // decoded body bytes, from the body's first on: to be sent, or sent again
    std::string reading;  // input that had to wait and is read now
    std::string later;    // input that waits behind it

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

class HeadBlocks {
public:
    explicit HeadBlocks(const HeadLimits& limits) : limits_(limits) {}
    std::unique_ptr<HeadBlock> take();
    void give_back(std::unique_ptr<HeadBlock> block);

private:
    // Beyond this, what a burst needed is given back to the system.
    static constexpr std::size_t free_max = 256;

    HeadLimits limits_;
    std::vector<std::unique_ptr<HeadBlock>> free_;
};

}  // namespace baton
