// The command line: what to run, or what to tell about it.

#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "proxy/config_load.h"
#include "proxy/control.h"
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
    "       baton -V                 version, and those of its libraries\n"
    "       baton -h                 this text\n"
    "signals: TERM, INT  stop: finish what runs, at most `grace`; a second one ends at once\n"
    "         USR1       open the log files anew\n"
    "exit: 0 ok, 1 failure at run time or a second signal, 2 usage or configuration\n";

struct Arguments {
    const char* file = nullptr;
    const char* listen = nullptr;
    const char* to = nullptr;
    bool check = false;
    bool version = false;
    bool help = false;
    std::string complaint;
};

Arguments parse(int count, char** words) {
    Arguments arguments;
    for (int i = 1; i < count && arguments.complaint.empty(); ++i) {
        const std::string_view word = words[i];
        const auto value = [&](const char*& into) {
            if (i + 1 == count)
                arguments.complaint = std::string{word} + " needs a value";
            else if (into != nullptr)
                arguments.complaint = std::string{word} + " given twice";
            else
                into = words[++i];
        };
        if (word == "-c")
            value(arguments.file);
        else if (word == "--listen")
            value(arguments.listen);
        else if (word == "--to")
            value(arguments.to);
        else if (word == "-t")
            arguments.check = true;
        else if (word == "-V" || word == "--version")
            arguments.version = true;
        else if (word == "-h" || word == "--help")
            arguments.help = true;
        else
            arguments.complaint = "unknown argument " + std::string{word};
    }
    if (!arguments.complaint.empty() || arguments.help || arguments.version) return arguments;
    if (arguments.file != nullptr && (arguments.listen != nullptr || arguments.to != nullptr))
        arguments.complaint = "-c and --listen/--to exclude each other";
    else if (arguments.file == nullptr && (arguments.listen == nullptr || arguments.to == nullptr))
        arguments.complaint = arguments.listen == nullptr && arguments.to == nullptr
                                  ? "expected -c FILE, or --listen and --to"
                                  : "--listen and --to go together";
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
    if (arguments.help) return std::fputs(usage, stdout) < 0 ? 1 : 0;
    if (arguments.version) return print_version();
    if (arguments.file == nullptr) {
        std::vector<Complaint> complaints;
        Config config = config_of_command_line(arguments.listen, arguments.to, complaints);
        if (!complaints.empty()) return refuse("command line", complaints);
        return arguments.check ? 0 : run(std::move(config));
    }
    std::string text;
    if (!read_file(arguments.file, text)) {
        std::fprintf(stderr, "%s: %s\n", arguments.file, std::strerror(errno));
        return exit_usage;
    }
    Loaded loaded = load_config(text);
    if (!loaded.complaints.empty()) return refuse(arguments.file, loaded.complaints);
    if (arguments.check) {
        std::printf("%s: ok\n", arguments.file);
        return 0;
    }
    return run(std::move(loaded.config));
}
