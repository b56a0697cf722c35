// The command line: what to run, or what to tell about it.

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "net/resolve.h"
#include "proxy/command_session_key.h"
#include "proxy/config_load.h"
#include "proxy/control.h"
#include "proxy/redis_check.h"
#include "session/id.h"

namespace {

using namespace baton;

constexpr int exit_usage = 2;

const char usage[] =
    "usage: baton -c FILE            run with this configuration, in the foreground\n"
    "       baton -t -c FILE         check the file: exit 0 if it is good, 2 if not\n"
    "       baton --listen ADDRESS[,ADDRESS] --to ADDRESS[,ADDRESS]\n"
    "                                run without a file: round robin over the servers, managed\n"
    "                                sessions in memory\n"
    "       baton redis-check -c FILE [--node HOST:PORT]...\n"
    "                                ask every Sentinel, the master and its replicas how they "
    "are,\n"
    "                                and those nodes too: exit 0 if all is well, 1 if not\n"
    "       baton session key ID -c FILE [--scope NAME]\n"
    "                                the key of a session in Redis; ID - reads it from stdin\n"
    "       baton -V                 version, and those of its libraries\n"
    "       baton -h                 this text\n"
    "signals: TERM, INT  stop: finish what runs, at most `grace`; a second one ends at once\n"
    "         USR1       open the log files anew\n"
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

Arguments parse(int count, char** words) {
    Arguments arguments;
    for (int i = 1 + read_verb(count, words, arguments); i < count && arguments.complaint.empty();
         ++i) {
        const std::string_view word = words[i];
        const auto value = [&](const char*& into) {
            if (i + 1 == count)
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
        } else if (word == "-V" || word == "--version") {
            verb(Verb::version);
        } else if (word == "-h" || word == "--help") {
            verb(Verb::help);
        } else {
            arguments.complaint = "unknown argument " + std::string{word};
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

int refuse(const std::string& file, const std::vector<Complaint>& complaints) {
    for (const Complaint& complaint : complaints)
        std::fprintf(stderr, "%s\n", format_complaint(file, complaint).c_str());
    return exit_usage;
}

bool read_file(const char* path, std::string& text) {
    std::ifstream in{path, std::ios::binary};
    std::ostringstream all;
    if (!in || !(all << in.rdbuf())) return false;
    text = std::move(all).str();
    return true;
}

int run(Config config) {
    Control control{std::move(config)};
    return control.run();
}

}  // namespace

int main(int count, char** words) {
    const Arguments arguments = parse(count, words);
    if (!arguments.complaint.empty()) {
        std::fprintf(stderr, "baton: %s\n%s", arguments.complaint.c_str(), usage);
        return exit_usage;
    }
    if (arguments.verb == Verb::help) return std::fputs(usage, stdout) < 0 ? 1 : 0;
    if (arguments.verb == Verb::version) return print_version();
    const char* name = arguments.file != nullptr ? arguments.file : "command line";
    Loaded loaded;
    if (arguments.file == nullptr) {
        loaded.config = config_of_command_line(arguments.listen, arguments.to, loaded.complaints);
    } else {
        std::string text;
        if (!read_file(arguments.file, text)) {
            std::fprintf(stderr, "%s: %s\n", arguments.file, std::strerror(errno));
            return exit_usage;
        }
        loaded = load_config(text);
    }
    if (!loaded.complaints.empty()) return refuse(name, loaded.complaints);
    switch (arguments.verb) {
    case Verb::run: return run(std::move(loaded.config));
    case Verb::check:
        if (arguments.file != nullptr) std::printf("%s: ok\n", arguments.file);
        return 0;
    case Verb::redis_check: return check_redis(loaded.config, arguments.nodes);
    case Verb::session_key:
        return print_session_keys(loaded.config, arguments.id,
                                  arguments.scope != nullptr ? arguments.scope : "");
    case Verb::version:
    case Verb::help: break;
    }
    return 0;
}
