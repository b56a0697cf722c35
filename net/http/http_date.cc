#include "net/http/http_date.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <string>

#include "net/text.h"

namespace baton {
namespace {

constexpr std::array<std::string_view, 12> months = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
constexpr std::array<std::string_view, 7> days = {"Monday", "Tuesday",  "Wednesday", "Thursday",
                                                  "Friday", "Saturday", "Sunday"};

// Reads a text from its beginning; what is not as expected leaves it failed.
class Reader {
public:
    explicit Reader(std::string_view text) noexcept : rest_(text) {}

    bool done() const noexcept { return good_ && rest_.empty(); }
    void word(std::string_view expected) noexcept {
        good_ = good_ && rest_.starts_with(expected);
        if (good_) rest_.remove_prefix(expected.size());
    }
    int number(std::size_t digits) noexcept {
        int value = 0;
        good_ = good_ && rest_.size() >= digits;
        for (std::size_t i = 0; good_ && i < digits; ++i) {
            good_ = is_digit(rest_[i]);
            value = value * 10 + (rest_[i] - '0');
        }
        if (good_) rest_.remove_prefix(digits);
        return value;
    }
    unsigned month() noexcept {
        const auto at = std::find(months.begin(), months.end(), rest_.substr(0, 3));
        good_ = good_ && at != months.end();
        if (good_) rest_.remove_prefix(3);
        return static_cast<unsigned>(at - months.begin()) + 1;
    }
    // The name of a day in full, or its first three letters.
    void day_name(bool full) noexcept {
        const auto at = std::find_if(days.begin(), days.end(), [&](std::string_view day) {
            return rest_.starts_with(full ? day : day.substr(0, 3));
        });
        good_ = good_ && at != days.end();
        if (good_) rest_.remove_prefix(full ? at->size() : 3);
    }
    bool skips(char c) noexcept {
        const bool there = good_ && rest_.starts_with(c);
        if (there) rest_.remove_prefix(1);
        return there;
    }

private:
    std::string_view rest_;
    bool good_ = true;
};

struct Parts {
    int year = 0;
    unsigned month = 1;
    int day = 0;
    int hour = 0;
    int minute = 0;
    int second = 0;
};

void read_time(Reader& reader, Parts& parts) noexcept {
    parts.hour = reader.number(2);
    reader.word(":");
    parts.minute = reader.number(2);
    reader.word(":");
    parts.second = reader.number(2);
}

// "Sun, 06 Nov 1994 08:49:37 GMT"
bool read_fixed(std::string_view text, Parts& parts) noexcept {
    Reader reader{text};
    reader.day_name(false);
    reader.word(", ");
    parts.day = reader.number(2);
    reader.word(" ");
    parts.month = reader.month();
    reader.word(" ");
    parts.year = reader.number(4);
    reader.word(" ");
    read_time(reader, parts);
    reader.word(" GMT");
    return reader.done();
}

// "Sunday, 06-Nov-94 08:49:37 GMT"
bool read_rfc850(std::string_view text, Parts& parts) noexcept {
    Reader reader{text};
    reader.day_name(true);
    reader.word(", ");
    parts.day = reader.number(2);
    reader.word("-");
    parts.month = reader.month();
    reader.word("-");
    const int year = reader.number(2);
    parts.year = year >= 70 ? 1900 + year : 2000 + year;  // from 1970 to 2069
    reader.word(" ");
    read_time(reader, parts);
    reader.word(" GMT");
    return reader.done();
}

// "Sun Nov  6 08:49:37 1994"
bool read_asctime(std::string_view text, Parts& parts) noexcept {
    Reader reader{text};
    reader.day_name(false);
    reader.word(" ");
    parts.month = reader.month();
    reader.word(" ");
    parts.day = reader.number(reader.skips(' ') ? 1 : 2);
    reader.word(" ");
    read_time(reader, parts);
    reader.word(" ");
    parts.year = reader.number(4);
    return reader.done();
}

void append_digits(std::string& out, long number, std::size_t digits) {
    const std::string text = std::to_string(number);
    out.append(digits - std::min(digits, text.size()), '0').append(text);
}

}  // namespace

std::optional<std::int64_t> parse_http_date(std::string_view text) noexcept {
    using namespace std::chrono;
    Parts parts;
    if (!read_fixed(text, parts) && !read_rfc850(text, parts) && !read_asctime(text, parts))
        return std::nullopt;
    const year_month_day date{year{parts.year}, month{parts.month},
                              day{static_cast<unsigned>(parts.day)}};
    // 60: a leap second.
    if (!date.ok() || parts.hour > 23 || parts.minute > 59 || parts.second > 60)
        return std::nullopt;
    const std::int64_t day_number = sys_days{date}.time_since_epoch().count();
    return ((day_number * 24 + parts.hour) * 60 + parts.minute) * 60 + parts.second;
}

void append_http_date(std::string& out, std::int64_t epoch_s) {
    using namespace std::chrono;
    const sys_seconds time{seconds{epoch_s}};
    const sys_days day_of_time = floor<std::chrono::days>(time);
    const year_month_day date{day_of_time};
    const hh_mm_ss clock{time - day_of_time};
    out.append(baton::days[weekday{day_of_time}.iso_encoding() - 1].substr(0, 3)).append(", ");
    append_digits(out, static_cast<unsigned>(date.day()), 2);
    out.append(" ").append(baton::months[static_cast<unsigned>(date.month()) - 1]).append(" ");
    append_digits(out, static_cast<int>(date.year()), 4);
    out.append(" ");
    append_digits(out, clock.hours().count(), 2);
    out.append(":");
    append_digits(out, clock.minutes().count(), 2);
    out.append(":");
    append_digits(out, clock.seconds().count(), 2);
    out.append(" GMT");
}

}  // namespace baton
