// Runs the tests if there is a server for them; else says that each of them is skipped.

#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <iostream>
#include <ostream>
#include <string_view>
#include <vector>

#include "tests/store/redis_process.h"

namespace {

constexpr std::string_view why = "there is no redis-server, and no redis-tools";

// doctest's own JUnit leaves out what is skipped.
class Skipped final : public doctest::IReporter {
public:
    explicit Skipped(const doctest::ContextOptions& options) : out_(*options.cout) {}

    void report_query(const doctest::QueryData& tests) override {
        out_ << "<testsuites><testsuite name=\"store-redis\">\n";
        for (unsigned i = 0; i < tests.num_data; ++i) {
            out_ << "<testcase name=\"";
            write(tests.data[i]->m_name);
            out_ << "\"><skipped message=\"" << why << "\"/></testcase>\n";
        }
        out_ << "</testsuite></testsuites>\n";
    }
    void test_run_start() override {}
    void test_run_end(const doctest::TestRunStats&) override {}
    void test_case_start(const doctest::TestCaseData&) override {}
    void test_case_reenter(const doctest::TestCaseData&) override {}
    void test_case_end(const doctest::CurrentTestCaseStats&) override {}
    void test_case_exception(const doctest::TestCaseException&) override {}
    void subcase_start(const doctest::SubcaseSignature&) override {}
    void subcase_end() override {}
    void log_assert(const doctest::AssertData&) override {}
    void log_message(const doctest::MessageData&) override {}
    void test_case_skipped(const doctest::TestCaseData&) override {}

private:
    void write(std::string_view text) {
        for (const char c : text) {
            switch (c) {
            case '&': out_ << "&amp;"; break;
            case '<': out_ << "&lt;"; break;
            case '"': out_ << "&quot;"; break;
            default: out_ << c;
            }
        }
    }

    std::ostream& out_;
};

REGISTER_REPORTER("skipped", 0, Skipped);

}  // namespace

int main(int argc, char** argv) {
    if (!baton::test::redis_program().empty()) return doctest::Context(argc, argv).run();
    std::cerr << "all tests are skipped: " << why << "\n";
    std::vector<const char*> words = {argv[0], "-ltc", "-r=skipped"};
    for (int i = 1; i < argc; ++i)
        if (std::string_view{argv[i]}.starts_with("-o=")) words.push_back(argv[i]);
    return doctest::Context(static_cast<int>(words.size()), words.data()).run();
}
