#include "proxy/context/access_log.h"

#include <array>
#include <utility>

#include "net/text.h"

namespace baton {

namespace {

// The most a text takes in the line, escaped. Together with names, numbers and punctuation they
// stay under 4 KiB.
constexpr std::size_t target_max = 2048;
constexpr std::size_t host_max = 300;  // a name of 253 bytes and a port
constexpr std::size_t label_max = 256;
constexpr std::size_t word_max = 128;
constexpr std::size_t own_word_max = 40;  // one of a list of ours

// time; id, client, method, detail; session, token, fault, reason; host; target; route, server; nine
// numbers; names and punctuation.
static_assert(24 + 4 * word_max + 4 * own_word_max + host_max + target_max + 2 * label_max +
                  9 * 21 + 254 <=
              access_line_max);

constexpr std::string_view cut_mark = "...";
constexpr std::size_t escape_size = 6;  // \u00HH

constexpr std::array<bool, 256> make_plain() {
    std::array<bool, 256> plain{};
    for (std::size_t c = 0x20; c <= 0x7e; ++c) plain[c] = c != '"' && c != '\\';
    return plain;
}
constexpr std::array<bool, 256> plain = make_plain();

bool is_plain(char c) noexcept { return plain[static_cast<unsigned char>(c)]; }

void append_escape(std::string& out, char c) {
    constexpr std::string_view digits = "0123456789abcdef";
    const auto byte = static_cast<unsigned char>(c);
    const std::array<char, escape_size> bytes{
        '\\', 'u', '0', '0', digits[byte >> 4U], digits[byte & 0x0fU]};
    out.append(bytes.data(), bytes.size());
}

// Runs of plain bytes are copied as they are: nearly every text is one run.
void append_escaped(std::string& out, std::string_view text) {
    while (!text.empty()) {
        std::size_t run = 0;
        while (run < text.size() && is_plain(text[run])) ++run;
        out.append(text.substr(0, run));
        if (run == text.size()) return;
        append_escape(out, text[run]);
        text.remove_prefix(run + 1);
    }
}

// The most bytes of `text` that take no more than `max` when escaped.
std::size_t fitting(std::string_view text, std::size_t max) noexcept {
    std::size_t taken = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        taken += is_plain(text[i]) ? 1 : escape_size;
        if (taken > max) return i;
    }
    return text.size();
}

void append_cut(std::string& out, std::string_view text, std::size_t max) {
    // Nearly every text is so short that nothing has to be counted.
    if (text.size() * escape_size <= max || fitting(text, max) == text.size()) {
        return append_escaped(out, text);
    }
    append_escaped(out, text.substr(0, fitting(text, max - cut_mark.size())));
    out += cut_mark;
}

void append_text(std::string& out, std::string_view opening, std::string_view text,
                 std::size_t max) {
    if (text.empty()) return;
    out += opening;
    append_cut(out, text, max);
    out += '"';
}

void append_number(std::string& out, std::string_view opening, std::uint64_t number) {
    out.append(opening).append(Decimal{number}.view());
}

void append_ms(std::string& out, std::string_view opening, std::int64_t us) {
    if (us < 0) return;
    append_number(out, opening, static_cast<std::uint64_t>(us / 1000));
    const auto rest = static_cast<unsigned>(us % 1000);
    const std::array<char, 4> decimals{'.', static_cast<char>('0' + rest / 100),
                                       static_cast<char>('0' + rest / 10 % 10),
                                       static_cast<char>('0' + rest % 10)};
    out.append(decimals.data(), decimals.size());
}

void append_time(std::string& out, std::int64_t epoch_ms) {
    std::array<char, 24> time;
    log::format_time(epoch_ms, time.data());
    out += "{\"time\":\"";
    out.append(time.data(), time.size());
    out += '"';
}

}  // namespace

void append_access_line(std::string& block, const AccessLine& line) {
    append_time(block, line.time_ms);
    append_text(block, ",\"id\":\"", line.id, word_max);
    append_text(block, ",\"client\":\"", line.client, word_max);
    append_text(block, ",\"method\":\"", line.method, word_max);
    append_text(block, ",\"host\":\"", line.host, host_max);
    append_text(block, ",\"target\":\"", line.target, target_max);
    if (line.status > 0) {
        append_number(block, ",\"status\":", static_cast<std::uint64_t>(line.status));
    }
    append_number(block, ",\"in\":", line.in);
    append_number(block, ",\"out\":", line.out);
    append_text(block, ",\"route\":\"", line.route, label_max);
    append_text(block, ",\"server\":\"", line.server, label_max);
    if (line.tries > 0) append_number(block, ",\"tries\":", line.tries);
    append_text(block, ",\"session\":\"", line.session, own_word_max);
    append_text(block, ",\"token\":\"", line.token, own_word_max);
    append_ms(block, ",\"wait_ms\":", line.wait_us);
    append_ms(block, ",\"connect_ms\":", line.connect_us);
    append_ms(block, ",\"first_ms\":", line.first_us);
    append_ms(block, ",\"total_ms\":", line.total_us);
    append_text(block, ",\"fault\":\"", line.fault, own_word_max);
    append_text(block, ",\"reason\":\"", line.reason, own_word_max);
    append_text(block, ",\"detail\":\"", line.detail, word_max);
    block += "}\n";
}

KeptAccessLine::KeptAccessLine(const AccessLine& line) : line_(line) {
    std::string_view* const texts[] = {&line_.id,     &line_.client, &line_.method, &line_.host,
                                       &line_.target, &line_.route,  &line_.server, &line_.session,
                                       &line_.token,  &line_.fault,  &line_.reason, &line_.detail};
    std::size_t size = 0;
    for (const std::string_view* text : texts) size += text->size();
    texts_ = std::make_unique_for_overwrite<char[]>(size);
    char* at = texts_.get();
    for (std::string_view* text : texts) {
        const std::size_t copied = text->copy(at, text->size());
        *text = {at, copied};
        at += copied;
    }
}

void AccessLog::write(const AccessLine& line) {
    if (!enabled()) return;
    if (block_.capacity() < block_size) {
        block_ = writer_->spare();
        block_.reserve(block_size);
    }
    append_access_line(block_, line);
    ++lines_;
    if (block_.size() > block_size - access_line_max) flush();
}

void AccessLog::flush() {
    if (lines_ == 0) return;
    writer_->write(sink_, std::exchange(block_, {}), std::exchange(lines_, 0));
}

}  // namespace baton
