// The command line: what to run, or what to tell about it.

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "net/log.h"
#include "net/resolve.h"
#include "proxy/command/command_session_key.h"
#include "proxy/command/exit_status.h"
#include "proxy/command/redis_check.h"
#include "proxy/config/config_load.h"
#include "proxy/config/file_text.h"
#include "proxy/config/toml_table.h"
#include "proxy/process/control.h"
#include "session/id.h"

namespace {

using namespace baton;

const char usage[] =
    "usage: baton -c FILE            run with this configuration, in the foreground\n"
    "       baton -t -c FILE         check the file: exit 0 if it is good, 2 if not\n"
    "       baton --listen ADDRESS[,ADDRESS] --to ADDRESS[,ADDRESS]\n"
    "                                run without a file: round robin, managed sessions in memory\n"
    "       baton redis-check -c FILE [--node HOST:PORT]...\n"
    "                                check every Sentinel, the master, its replicas and\n"
    "                                these nodes: exit 0 if all is well, 1 if not\n"
    "       baton session key ID -c FILE [--scope NAME]\n"
    "                                print the key of a session in Redis; ID - reads stdin\n"
    "       baton -V                 print the versions of baton and of its libraries (-v, "
    "--version, "
    "version)\n"
    "       baton -h                 print this help (--help, help)\n"
    "signals: TERM, INT  stop: finish running requests within `grace`; a second one exits at once\n"
    "         USR1       reopen the access log\n"
    "exit: 0 ok, 1 failure at run time or a second signal, 2 usage or configuration\n";

enum class Verb : std::uint8_t { run, check, redis_check, session_key, version, help };

struct Arguments {
    Verb verb = Verb::run;
    const char* file = nullptr;
    const char* listen = nullptr;
    const char* to = nullptr;
    const char* scope = nullptr;
    const char* id = nullptr;  // of a session
    std::vector<Endpoint> nodes;
    std::string complaint;
};

// The words behind the verb, if it is one: its number of words is returned.
int read_verb(int count, char** words, Arguments& arguments) {
    const std::string_view word = count > 1 ? words[1] : "";
    if (word == "redis-check") {
        arguments.verb = Verb::redis_check;
        return 1;
    }
    if (word == "help" || word == "version") {
        arguments.verb = word == "help" ? Verb::help : Verb::version;
        return 1;
    }
    if (word != "session") return 0;
    arguments.verb = Verb::session_key;
    if (count > 3 && std::string_view{words[2]} == "key") {
        arguments.id = words[3];
        return 3;
    }
    arguments.complaint = "expected session key ID";
    return 1;
}

// What does not go together.
std::string complaint_about(const Arguments& arguments) {
    const bool listens = arguments.listen != nullptr;
    const bool forwards = arguments.to != nullptr;
    if (arguments.verb == Verb::redis_check || arguments.verb == Verb::session_key) {
        if (arguments.file == nullptr || listens || forwards) return "expected -c FILE";
    }
    if (arguments.scope != nullptr && arguments.verb != Verb::session_key)
        return "--scope goes with session key";
    if (!arguments.nodes.empty() && arguments.verb != Verb::redis_check)
        return "--node goes with redis-check";
    if (arguments.file != nullptr && (listens || forwards))
        return "-c and --listen/--to exclude each other";
    if (arguments.file != nullptr || (listens && forwards)) return {};
    return listens || forwards ? "--listen and --to go together"
                               : "expected -c FILE, or --listen and --to";
}

std::string unknown_argument(std::string_view word) {
    const std::size_t equals = std::min(word.find('='), word.size());
    const std::string_view near =
        nearest(word.substr(0, equals), {"--listen", "--to", "--scope", "--node", "--version",
                                         "--help", "redis-check", "session", "version", "help"});
    std::string out = "unknown argument " + (word.empty() ? "\"\"" : std::string{word});
    if (near.empty()) return out;
    // A value follows its argument as a word of its own.
    out.append(", did you mean ").append(near);
    return equals < word.size() ? out + " " + std::string{word.substr(equals + 1)} : out;
}

Arguments parse(int count, char** words) {
    Arguments arguments;
    for (int i = 1 + read_verb(count, words, arguments); i < count && arguments.complaint.empty();
         ++i) {
        const std::string_view word = words[i];
        const auto value = [&](const char*& into) {
            if (i + 1 == count || *words[i + 1] == '\0')
                arguments.complaint = std::string{word} + " needs a value";
            else if (into != nullptr)
                arguments.complaint = std::string{word} + " given twice";
            else
                into = words[++i];
        };
        const auto verb = [&](Verb wanted) {
            // Of -h, -V and -t the one that does least is done.
            arguments.verb = std::max(arguments.verb, wanted);
        };
        if (word == "-c") {
            value(arguments.file);
        } else if (word == "--listen") {
            value(arguments.listen);
        } else if (word == "--to") {
            value(arguments.to);
        } else if (word == "--scope") {
            value(arguments.scope);
        } else if (word == "--node") {
            const char* text = nullptr;
            value(text);
            const auto node = text != nullptr ? parse_endpoint(text) : std::nullopt;
            if (node)
                arguments.nodes.push_back(*node);
            else if (arguments.complaint.empty())
                arguments.complaint = "--node: expected a host with a port";
        } else if (word == "-t") {
            verb(Verb::check);
        } else if (word == "-V" || word == "-v" || word == "--version") {
            verb(Verb::version);
        } else if (word == "-h" || word == "--help") {
            verb(Verb::help);
        } else {
            arguments.complaint = unknown_argument(word);
        }
    }
    if (arguments.complaint.empty() && arguments.verb < Verb::version)
        arguments.complaint = complaint_about(arguments);
    return arguments;
}

int print_version() {
    std::printf("baton %s (libuv %s, llhttp %d.%d.%d, %s)\n", BATON_VERSION, uv_version_string(),
                LLHTTP_VERSION_MAJOR, LLHTTP_VERSION_MINOR, LLHTTP_VERSION_PATCH, crypto_version());
    return 0;
}

// The whole usage only if nothing was said: else it would hide the reason.
int refuse_usage(const std::string& complaint, bool nothing_said) {
    constexpr const char* short_usage = "usage: baton -c FILE; baton -h prints the rest\n";
    std::fprintf(stderr, "baton: %s\n%s", complaint.c_str(), nothing_said ? usage : short_usage);
    return exit_usage;
}

int refuse(const std::string& file, const std::vector<Complaint>& complaints) {
    for (const Complaint& complaint : complaints)
        std::fprintf(stderr, "%s\n", format_complaint(file, complaint).c_str());
    return exit_usage;
}

Loaded load(const Arguments& arguments) {
    constexpr std::size_t size_max = std::size_t{16} << 20;
    Loaded loaded;
    if (arguments.file == nullptr) {
        loaded.config = config_of_command_line(arguments.listen, arguments.to, loaded.complaints);
        return loaded;
    }
    FileText file = read_text_file(arguments.file, size_max);
    if (file.complaint.empty()) return load_config(file.text);
    loaded.complaints.push_back(Complaint{0, 0, std::move(file.complaint)});
    return loaded;
}

int run(const std::string& name, Loaded loaded) {
    log::set_level(loaded.config.log.level);
    for (const Complaint& warning : loaded.warnings)
        log::warn("risky configuration", {{"reason", format_complaint(name, warning)}});
    Control control{std::move(loaded.config)};
    return control.run();
}

void print_warnings(const std::string& name, const std::vector<Complaint>& warnings) {
    for (const Complaint& warning : warnings)
        std::fprintf(stderr, "%s (a warning)\n", format_complaint(name, warning).c_str());
}

}  // namespace

int main(int count, char** words) {
    const Arguments arguments = parse(count, words);
    if (!arguments.complaint.empty()) return refuse_usage(arguments.complaint, count < 2);
    if (arguments.verb == Verb::help) return std::fputs(usage, stdout) < 0 ? 1 : 0;
    if (arguments.verb == Verb::version) return print_version();
    const std::string name = arguments.file != nullptr ? arguments.file : "command line";
    Loaded loaded = load(arguments);
    if (!loaded.complaints.empty()) return refuse(name, loaded.complaints);
    if (arguments.verb == Verb::run) return run(name, std::move(loaded));
    print_warnings(name, loaded.warnings);
    switch (arguments.verb) {
    case Verb::check: std::printf("%s: ok\n", name.c_str()); break;
    case Verb::redis_check: return check_redis(loaded.config, arguments.nodes);
    case Verb::session_key:
        return print_session_keys(loaded.config, arguments.id,
                                  arguments.scope != nullptr ? arguments.scope : "");
    case Verb::run:
    case Verb::version:
    case Verb::help: break;
    }
    return 0;
}
