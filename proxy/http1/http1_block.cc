#include "proxy/http1/http1_block.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace baton {
namespace {

void empty(std::string& bytes) {
    bytes.clear();
    if (bytes.capacity() > Request::waiting_max) bytes.shrink_to_fit();
}

}  // namespace

Http1Block::Http1Block(Lane& lane, std::shared_ptr<const HeadLimits> its_limits)
    : limits(std::move(its_limits)),
      parser(HeadGuard::Kind::request, *limits),
      server(lane, *limits),
      grown_size_(limits->head + room_size),
      room_(std::make_unique_for_overwrite<char[]>(room_size)) {}

Http1Block::~Http1Block() = default;

std::size_t Http1Block::add(std::string_view bytes) {
    if (!grown_ && filled_ + bytes.size() > room_size) {
        grown_ = std::make_unique_for_overwrite<char[]>(grown_size_);
        std::memcpy(grown_.get(), room_.get(), filled_);
    }
    const std::size_t size = std::min(bytes.size(), (grown_ ? grown_size_ : room_size) - filled_);
    std::memcpy(room() + filled_, bytes.data(), size);
    filled_ += size;
    return size;
}

void Http1Block::settle(std::string_view head_bytes) {
    if (filled_ == 0) add(head_bytes);
    request.head.bytes = room();
}

void Http1Block::clear() {
    exchange.reset();
    server.close();
    parser.reset();
    Head& head = request.head;
    head.bytes = nullptr;
    head.method_text = head.target = {};
    head.fields.clear();
    filled_ = 0;
    grown_.reset();
    request.drop_held();
}

void Http1Blocks::use(const HeadLimits& limits) {
    if (limits_ && *limits_ == limits) return;
    limits_ = std::make_shared<const HeadLimits>(limits);
    free_.clear();
}

std::unique_ptr<Http1Block> Http1Blocks::take() {
    if (free_.empty()) return std::make_unique<Http1Block>(lane_, limits_);
    std::unique_ptr<Http1Block> block = std::move(free_.back());
    free_.pop_back();
    return block;
}

void Http1Blocks::give_back(std::unique_ptr<Http1Block> block) {
    block->clear();
    empty(block->reading);
    empty(block->pending);
    if (block->limits == limits_ && free_.size() < free_max) free_.push_back(std::move(block));
}

}  // namespace baton
