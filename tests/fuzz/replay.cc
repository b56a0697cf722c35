// Runs a target on inputs that are known, in any build and without libFuzzer:
//
//     replay-TARGET [--junit=PATH] FOLDER|FILE|ROWS.txt...
//     replay-TARGET --write=FOLDER ROWS.txt...
//
// One test for each argument. The inputs run in a child, so that one that ends it, or hangs, is a
// failed test and the others run all the same. Rows, as in http_rows.txt, are run under several
// choices; with --write they are not run but written, for libFuzzer to begin with.

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "tests/fuzz/input.h"

namespace baton::fuzz {
namespace {

namespace fs = std::filesystem;

constexpr unsigned patience = 60;  // seconds for one input, with sanitizers and beside other load

struct Named {
    std::string name;
    std::string bytes;
};

std::string read_file(const fs::path& path) {
    std::ifstream file{path, std::ios::binary};
    return {std::istreambuf_iterator<char>{file}, {}};
}

std::vector<Named> inputs_of_rows(const fs::path& path) {
    constexpr unsigned variants = 8;
    constexpr unsigned spread = 0x9e37;  // any odd number: all bits differ from one to the next
    std::vector<Named> inputs;
    std::string complaint;
    const auto rows = test::load_rows(path, complaint);
    if (!rows) return {};
    for (const test::Row& row : *rows) {
        const auto seed = seed_of(row);
        for (unsigned i = 0; seed && i < variants; ++i) {
            const unsigned choices = seed->choices | (i * spread) << seed->fixed;
            const std::string bytes{static_cast<char>(choices & 0xff),
                                    static_cast<char>(choices >> 8 & 0xff)};
            std::string name = "row-" + std::to_string(inputs.size()) + " " + row.name;
            std::replace(name.begin(), name.end(), '/', '|');
            inputs.push_back({name.substr(0, 80), bytes + seed->bytes});
        }
    }
    return inputs;
}

std::vector<Named> inputs_of(const fs::path& argument) {
    if (argument.extension() == ".txt") return inputs_of_rows(argument);
    std::vector<fs::path> paths;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator{argument, error}) {
        if (entry.is_regular_file()) paths.push_back(entry.path());
    }
    if (paths.empty() && fs::is_regular_file(argument)) paths.push_back(argument);
    std::sort(paths.begin(), paths.end());
    std::vector<Named> inputs;
    for (const fs::path& path : paths) inputs.push_back({path.string(), read_file(path)});
    return inputs;
}

bool write_all(const std::vector<std::string>& arguments, const fs::path& folder) {
    // libFuzzer is to begin with small inputs; it comes to large ones by itself.
    constexpr std::size_t small_max = 2048;
    fs::create_directories(folder);
    for (const std::string& argument : arguments) {
        for (const Named& input : inputs_of(argument)) {
            if (input.bytes.size() > small_max) continue;
            std::ofstream file{folder / input.name, std::ios::binary};
            file << input.bytes;
            if (!file.flush()) return false;
        }
    }
    return true;
}

// Runs the inputs from number `*at` on, which it keeps up to date, in a child whose last words go
// to `words`. True if all of them ran.
bool run(const std::vector<Named>& inputs, std::size_t* at, std::FILE* words) {
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child == 0) {
        dup2(fileno(words), STDERR_FILENO);
        for (; *at < inputs.size(); ++*at) {
            alarm(patience);
            const std::string& bytes = inputs[*at].bytes;
            LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()),
                                   bytes.size());
        }
        std::exit(EXIT_SUCCESS);
    }
    int status = 0;
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
           WEXITSTATUS(status) == EXIT_SUCCESS;
}

std::string read_back(std::FILE* file) {
    constexpr std::size_t most = 4000;
    std::string text(most, '\0');
    std::rewind(file);
    text.resize(std::fread(text.data(), 1, text.size(), file));
    return text;
}

// What went wrong with the inputs; empty if nothing did.
std::string run_all(const fs::path& argument) {
    const std::vector<Named> inputs = inputs_of(argument);
    if (inputs.empty()) return argument.string() + ": no inputs\n";
    void* const shared = mmap(nullptr, sizeof(std::size_t), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return "no memory to share with the child";
    auto* const at = new (shared) std::size_t{0};
    std::string wrong;
    for (bool all = false; !all;) {
        std::FILE* const words = std::tmpfile();
        if (words == nullptr) return "no file for the child's last words";
        all = run(inputs, at, words);
        if (!all) {
            const bool one = *at < inputs.size();
            wrong += (one ? inputs[*at].name : "behind the last input") + '\n';
            wrong += read_back(words) + '\n';
            all = ++*at >= inputs.size();
        }
        std::fclose(words);
    }
    munmap(shared, sizeof(std::size_t));
    std::printf("%s: %zu inputs\n", argument.c_str(), inputs.size());
    return wrong;
}

std::string xml(std::string_view text) {
    std::string out;
    for (const char c : text) {
        switch (c) {
        case '&': out += "&amp;"; break;
        case '<': out += "&lt;"; break;
        case '>': out += "&gt;"; break;
        case '"': out += "&quot;"; break;
        default: out += c; break;
        }
    }
    return out;
}

int run_arguments(const std::string& target, const std::vector<std::string>& arguments,
                  const std::string& junit_path) {
    std::string cases;
    int failures = 0;
    for (const std::string& argument : arguments) {
        const fs::path path = fs::absolute(argument).lexically_normal();
        const std::string wrong = run_all(path);
        std::printf("%s", wrong.c_str());
        cases += "<testcase classname=\"fuzz\" name=\"" + xml(target) + ": " +
                 xml((path.parent_path().filename() / path.filename()).string()) + "\">";
        if (!wrong.empty()) {
            ++failures;
            cases += "<failure message=\"" + xml(wrong) + "\"/>";
        }
        cases += "</testcase>\n";
    }
    if (!junit_path.empty()) {
        std::ofstream file{junit_path};
        file
            << "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"fuzz\" "
               "tests=\""
            << arguments.size() << "\" failures=\"" << failures << "\" errors=\"0\">\n"
            << cases << "</testsuite>\n</testsuites>\n";
        if (!file.flush()) {
            std::fprintf(stderr, "%s: cannot be written\n", junit_path.c_str());
            return 1;
        }
    }
    return failures == 0 ? 0 : 1;
}

}  // namespace
}  // namespace baton::fuzz

int main(int argc, char** argv) {
    constexpr std::string_view junit = "--junit=", write = "--write=";
    std::vector<std::string> arguments;
    std::string junit_path, folder;
    for (int i = 1; i < argc; ++i) {
        const std::string_view argument{argv[i]};
        if (argument.starts_with(junit))
            junit_path = argument.substr(junit.size());
        else if (argument.starts_with(write))
            folder = argument.substr(write.size());
        else
            arguments.emplace_back(argument);
    }
    if (arguments.empty()) {
        std::fprintf(stderr, "usage: %s [--junit=PATH | --write=FOLDER] FOLDER|FILE|ROWS.txt...\n",
                     argv[0]);
        return 2;
    }
    if (!folder.empty()) return baton::fuzz::write_all(arguments, folder) ? 0 : 1;
    // replay-TARGET
    const std::string name = std::filesystem::path{argv[0]}.filename();
    return baton::fuzz::run_arguments(name.substr(name.find('-') + 1), arguments, junit_path);
}
