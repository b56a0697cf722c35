#include "proxy/service/api_body.h"

#include <algorithm>
#include <set>
#include <utility>

#include "proxy/service/json_reply.h"
#include "session/base64.h"
#include "session/contract.h"

namespace baton {

namespace {

using Json = SortedJson;

// {"attrs":{"a":{"b64":"..."}}}: what lies deeper is no part of a session.
constexpr std::size_t depth_max = 3;

// A name as a complaint shows it; what is cut in the middle of a letter json_reply mends.
std::string in_quotes(std::string_view name) {
    constexpr std::size_t shown_max = 80;
    return '"' + std::string{name.substr(0, shown_max)} +
           (name.size() > shown_max ? "...\"" : "\"");
}

// Walks the text once before anything is made of it. The library's own complaints would quote values.
class JsonCheck final : public nlohmann::json_sax<Json> {
public:
    std::string complaint;

    bool null() override { return true; }
    bool boolean(bool) override { return true; }
    bool number_integer(number_integer_t) override { return true; }
    bool number_unsigned(number_unsigned_t) override { return true; }
    bool number_float(number_float_t, const string_t&) override { return true; }
    bool string(string_t&) override { return true; }
    bool binary(binary_t&) override { return true; }
    bool start_object(std::size_t) override { return open(); }
    bool start_array(std::size_t) override { return open(); }
    bool end_object() override { return close(); }
    bool end_array() override { return close(); }
    // Of a key given twice the parser would keep the last value, in silence.
    bool key(string_t& name) override {
        return keys_.back().insert(name).second ||
               refuse("key twice in one object: " + in_quotes(name));
    }
    bool parse_error(std::size_t position, const std::string&,
                     const nlohmann::detail::exception& error) override {
        constexpr int number_overflow = 406;
        return refuse(
            (error.id == number_overflow ? "number too large at byte " : "not JSON at byte ") +
            std::to_string(position));
    }

private:
    bool open() {
        if (keys_.size() == depth_max)
            return refuse("nested more than " + std::to_string(depth_max) + " deep");
        keys_.emplace_back();
        return true;
    }
    bool close() {
        keys_.pop_back();
        return true;
    }
    // Ends the walk.
    bool refuse(std::string text) {
        complaint = std::move(text);
        return false;
    }

    std::vector<std::set<std::string>> keys_;  // of the objects and arrays that are open
};

// The first thing that is wrong with `body` as JSON; empty if nothing is.
std::string json_complaint(std::string_view body) {
    // The library takes a NUL for the end and passes over what follows.
    if (const std::size_t at = body.find('\0'); at != std::string_view::npos)
        return "not JSON at byte " + std::to_string(at + 1);
    if (!is_utf8(body)) return "not UTF-8";
    JsonCheck check;
    (void)Json::sax_parse(body, &check);
    return std::move(check.complaint);
}

// A value of "attrs": a string, or {"b64":"..."}.
std::optional<std::string> value_of(const Json& json) {
    if (json.is_string()) return json.get<std::string>();
    if (!json.is_object() || json.size() != 1 || !json.contains("b64")) return std::nullopt;
    const Json& text = json["b64"];
    if (!text.is_string()) return std::nullopt;
    return from_base64(text.get_ref<const std::string&>());
}

// Reads a body key by key.
class BodyReader {
public:
    BodyReader(const SessionConfig& config, ApiCall call)
        : config_(config), rotate_(call == ApiCall::rotate), patch_(call == ApiCall::patch) {}

    ApiBody read(std::string_view body) {
        // Nothing is a session with nothing in it, and all that a rotation needs, but no patch.
        if (!body.empty())
            read_text(body);
        else if (patch_)
            complain("expected a JSON object");
        return std::move(out_);
    }

private:
    void read_text(std::string_view body) {
        complain(json_complaint(body));
        if (!out_.complaint.empty()) return;
        const Json json = Json::parse(body, nullptr, false);
        if (!json.is_object()) return complain("expected a JSON object");
        for (const auto& [key, value] : json.items()) {
            if (rotate_)
                complain("unknown key " + in_quotes(key));
            else if (key == "attrs")
                read_attributes(value);
            else if (key == "idle")
                read_idle(value);
            else if (key == "id" && !patch_)
                read_id(value);
            else
                complain("unknown key " + in_quotes(key));
        }
        check_sizes();
    }

    // The first complaint counts.
    void complain(std::string text, int with_status = 400) {
        if (!out_.complaint.empty()) return;
        out_.complaint = std::move(text);
        out_.status = with_status;
    }

    void read_id(const Json& json) {
        if (json.is_string()) out_.asked.id = bare_session_id(json.get_ref<const std::string&>());
        if (!out_.asked.id) complain("id: expected 32 upper-case hex digits");
    }

    void read_idle(const Json& json) {
        if (!json.is_number_unsigned()) return complain("idle: expected a whole number of seconds");
        const auto seconds = std::min<std::uint64_t>(json.get<std::uint64_t>(), integer_max / 1000);
        out_.asked.idle_ms =
            std::clamp<std::int64_t>(static_cast<std::int64_t>(seconds) * 1000,
                                     config_.idle_min.count(), config_.idle_max.count());
    }

    void read_attributes(const Json& json) {
        if (!json.is_object()) return complain("attrs: expected an object");
        for (const auto& [name, value] : json.items()) read_attribute(name, value);
    }

    void read_attribute(const std::string& name, const Json& value) {
        constexpr std::size_t name_max = ContractLimits{}.name_max;
        const std::string path = "attrs." + in_quotes(name);
        if (!is_attribute_name(name, name_max))
            return complain(path + ": expected a name of 1 to 64 letters, digits, ., _ and -");
        if (value.is_null() && patch_) {
            out_.asked.unset.push_back(name);
            return;
        }
        auto text = value_of(value);
        if (!text) return complain(path + R"(: expected a string or {"b64":"..."})");
        if (text->size() > config_.attribute_max)
            return complain(path + ": longer than attribute_max", 413);
        out_.asked.set.emplace_back(name, std::move(*text));
    }

    // What a patch adds to is the store's to check.
    void check_sizes() {
        const Attributes& set = out_.asked.set;
        std::size_t bytes = 0;
        for (const auto& [name, value] : set) bytes += name.size() + value.size();
        const ContractLimits limits{.attributes_max = config_.attributes_max};
        if (out_.asked.unset.size() > limits.unset_max())
            complain("attrs: too many names to delete", 413);
        if (set.size() > config_.attributes_max) complain("attrs: more than attributes_max", 413);
        if (bytes > config_.data_max) complain("attrs: more bytes than data_max", 413);
    }

    const SessionConfig& config_;
    bool rotate_;
    bool patch_;
    ApiBody out_;
};

}  // namespace

ApiBody read_api_body(std::string_view body, ApiCall call, const SessionConfig& config) {
    return BodyReader{config, call}.read(body);
}

std::optional<SessionId> bare_session_id(std::string_view text) noexcept {
    return text.size() == SessionId{}.text.size() ? parse_session_id(text) : std::nullopt;
}

}  // namespace baton
