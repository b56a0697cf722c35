// Writes what people read about the keys: conf/baton.toml, and the tables of docs/configuration.md.
// `./dev keys` calls it with the root of the sources.

#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

#include "proxy/config/config_reference.h"

namespace {

std::string read(const std::string& name) {
    std::ifstream file{name};
    return {std::istreambuf_iterator<char>{file}, {}};
}

bool write(const std::string& name, const std::string& text) {
    std::ofstream file{name};
    file << text;
    return file.flush().good();
}

}  // namespace

int main(int count, char** words) {
    if (count != 2) {
        std::fprintf(stderr, "usage: write-keys FOLDER\n");
        return 2;
    }
    const std::string file = std::string{words[1]} + "/conf/baton.toml";
    const std::string page = std::string{words[1]} + "/docs/configuration.md";
    const bool done =
        write(file, baton::reference_file()) && write(page, baton::with_key_tables(read(page)));
    if (!done) std::fprintf(stderr, "cannot write %s and %s\n", file.c_str(), page.c_str());
    return done ? 0 : 1;
}
