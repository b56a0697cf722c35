#pragma once

// What the parts of the load program share: options, sockets, and messages that can be checked.
//
// A request carries a number in its target, /NUMBER/SIZE, and the answer must carry it back, in the
// field X-Id and in each byte of a body of that size. The body of a POST is made the same way.

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <string_view>

namespace load {

// The words behind the verb, KEY=VALUE each.
class Options {
public:
    Options(int count, char** words);
    std::uint64_t number(const std::string& key, std::uint64_t otherwise) const;
    std::string text(const std::string& key) const;

private:
    std::map<std::string, std::string> values_;
};

using Random = std::mt19937;
// Below `end`, which is not 0.
std::size_t below(Random& random, std::size_t end);

// Ends the program; nothing here goes on after a failure of its own.
[[noreturn]] void die(const std::string& what);

// `size` bytes that only `id` has, and how many of `bytes` are the first of them.
std::string body_of(std::uint64_t id, std::size_t size);
bool is_body_of(std::uint64_t id, std::string_view bytes);

// The value of a field, empty if there is none. `head` ends with the empty line.
std::string_view field(std::string_view head, std::string_view name);
// Of decimal digits; 0 if there is none.
std::uint64_t to_number(std::string_view text);

std::string request_of(std::string_view method, std::uint64_t id, std::size_t answer_size,
                       std::size_t body_size);

// An answer at the beginning of `bytes`, if it is whole.
struct Answer {
    int status = 0;
    std::string_view head;
    std::string_view body;
};
std::optional<Answer> whole_answer(std::string_view bytes);

// A connection to the port on loopback; what it reads and writes later does not block.
int connect_to(std::uint64_t port);
void reset(int fd);

// The verbs.
int serve(const Options& options);
int ask(const Options& options);
int leave(const Options& options);
int crowd(const Options& options);

}  // namespace load
