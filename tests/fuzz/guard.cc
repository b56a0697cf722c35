// The head guard alone: its verdict does not depend on how the bytes come, it reads none but those
// it was given, and it takes exactly the heads that keep its rules.

#include <optional>
#include <string>

#include "tests/fuzz/check.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/plain.h"

namespace baton::fuzz {
namespace {

// All that can be seen of a walk.
struct Walked {
    std::optional<Fault> fault;
    std::size_t size = 0;
    std::string head;
    Body body;
};

std::string text_of(const Head& head) {
    std::string text;
    for (const Slice slice : {head.method_text, head.target, head.reason})
        text.append(head.text(slice)).append("|");
    for (const int number : {static_cast<int>(head.method), int{head.minor}, int{head.status}})
        text.append(std::to_string(number)).append("|");
    for (const Field& field : head.fields) {
        text.append("\n").append(head.text(field.name)).append("=").append(head.text(field.value));
        text.append("|").append(std::to_string(static_cast<int>(field.id)));
        text.append(field.underscore ? "_" : "");
    }
    return text;
}

Walked walk(HeadGuard& guard, Head& head, std::string_view bytes, Cut cut) {
    Walked walked;
    std::size_t received_size = 0;
    for (const std::string_view piece : in_pieces(bytes, cut)) {
        received_size += piece.size();
        // All of it moves each time.
        const Exact received{bytes.substr(0, received_size)};
        const auto size = guard.walk(received.view(), head);
        if (!size)
            walked.fault = size.error().fault;
        else
            walked.size = *size;
        if (!walked.fault && walked.size == 0 && received_size < bytes.size()) continue;
        walked.head = text_of(head);
        walked.body = guard.body();
        break;
    }
    return walked;
}

Walked walk(HeadGuard::Kind kind, const HeadLimits& limits, std::string_view bytes, Cut cut) {
    HeadGuard guard{kind, limits};
    Head head;
    return walk(guard, head, bytes, cut);
}

void check_equal(const Walked& found, const Walked& expected, std::string_view property) {
    check(found.fault == expected.fault && found.size == expected.size, property);
    check_same(found.head, expected.head, property);
    check(found.body.framing == expected.body.framing && found.body.length == expected.body.length,
          property);
}

// A guard that has seen the beginning of another message.
Walked walk_again(HeadGuard::Kind kind, const HeadLimits& limits, std::string_view bytes) {
    HeadGuard guard{kind, limits};
    Head head;
    walk(guard, head, bytes.substr(0, bytes.size() / 2), Cut::whole);
    guard.reset();
    return walk(guard, head, bytes, Cut::whole);
}

void check_rules(HeadGuard::Kind kind, const HeadLimits& limits, std::string_view bytes,
                 const Walked& walked) {
    const PlainHead plain = read_plain_head(kind, bytes, limits);
    if (walked.size == 0) {
        check(plain.reading != Reading::good, "a head that keeps the rules is taken");
        check(walked.fault || plain.reading == Reading::cut, "a whole head has a verdict");
        if (walked.fault && kind == HeadGuard::Kind::response)
            check(*walked.fault == Fault::bad_response, "a response has one fault");
        return;
    }
    check(plain.reading == Reading::good, "a head that is taken keeps the rules");
    HeadGuard guard{kind, limits};
    Head head;
    const Exact received{bytes};
    check(static_cast<bool>(guard.walk(received.view(), head)),
          "a head that was taken is taken again");
    check_same_head(head, plain);
    check(walked.body.framing == plain.body.framing && walked.body.length == plain.body.length,
          "the body is framed as the fields say");

    const std::string_view exactly = bytes.substr(0, walked.size);
    check_equal(walk(kind, limits, exactly, Cut::whole), walked, "nothing behind a head counts");
    const Walked less = walk(kind, limits, exactly.substr(0, exactly.size() - 1), Cut::whole);
    check(!less.fault && less.size == 0, "a head is whole with its last byte and not before");
}

void run(Input input) {
    const auto kind = input.flag() ? HeadGuard::Kind::response : HeadGuard::Kind::request;
    const HeadLimits& limits = limits_for(input.flag());
    const std::string_view bytes = input.bytes();
    const Walked whole = walk(kind, limits, bytes, Cut::whole);
    check_equal(walk(kind, limits, bytes, Cut::everywhere), whole, "byte by byte is as whole");
    check_equal(walk(kind, limits, bytes, Cut::twice), whole, "cut twice is as whole");
    check_equal(walk_again(kind, limits, bytes), whole, "a guard forgets what came before");
    check_rules(kind, limits, bytes, whole);
}

}  // namespace

// The lowest bit of the choices says which kind it is.
std::optional<Seed> seed_of(const test::Row& row) {
    return Seed{row.bytes, row.kind == HeadGuard::Kind::response ? 1U : 0U, 1};
}

}  // namespace baton::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    baton::fuzz::run({data, size});
    return 0;
}
