#include "proxy/http1/head_block.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "proxy/exchange/local_call.h"
#include "proxy/exchange/relay.h"

namespace baton {

static_assert(sizeof(Relay) <= HeadBlock::exchange_size);
static_assert(sizeof(LocalCall) <= HeadBlock::exchange_size);

namespace {

void empty(std::string& bytes) {
    bytes.clear();
    if (bytes.capacity() > HeadBlock::waiting_max) bytes.shrink_to_fit();
}

}  // namespace

void ExchangeEnd::operator()(Exchange* exchange) const noexcept { exchange->~Exchange(); }

HeadBlock::HeadBlock(const HeadLimits& limits)
    : parser(HeadGuard::Kind::request, limits),
      server(limits),
      grown_size_(limits.head + room_size),
      room_(std::make_unique_for_overwrite<char[]>(room_size)) {}

HeadBlock::~HeadBlock() = default;

std::size_t HeadBlock::add(std::string_view bytes) {
    if (!grown_ && filled_ + bytes.size() > room_size) {
        grown_ = std::make_unique_for_overwrite<char[]>(grown_size_);
        std::memcpy(grown_.get(), room_.get(), filled_);
    }
    const std::size_t size = std::min(bytes.size(), (grown_ ? grown_size_ : room_size) - filled_);
    std::memcpy(room() + filled_, bytes.data(), size);
    filled_ += size;
    return size;
}

void HeadBlock::settle(std::string_view head_bytes) {
    if (filled_ == 0) add(head_bytes);
    head.bytes = room();
}

void HeadBlock::clear() {
    exchange.reset();
    server.close();
    parser.reset();
    head.bytes = nullptr;
    head.method_text = head.target = {};
    head.fields.clear();
    filled_ = 0;
    grown_.reset();
    empty(held);
}

std::unique_ptr<HeadBlock> HeadBlocks::take() {
    if (free_.empty()) return std::make_unique<HeadBlock>(limits_);
    std::unique_ptr<HeadBlock> block = std::move(free_.back());
    free_.pop_back();
    return block;
}

void HeadBlocks::give_back(std::unique_ptr<HeadBlock> block) {
    block->clear();
    empty(block->reading);
    empty(block->later);
    if (free_.size() < free_max) free_.push_back(std::move(block));
}

}  // namespace baton
