// Which address is the master's: the rules, a row each.

#include "session/master_choice.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

namespace baton {
namespace {

// "A7": the master A, epoch 7. "A": without an epoch. "-": it knows no master of that name.
MasterVote vote_of(std::string_view text) {
    MasterVote vote;
    if (text == "-") return vote;
    vote.knows = true;
    vote.master = {std::string{text.substr(0, 1)}, 6379};
    if (text.size() > 1) vote.epoch = std::stoull(std::string{text.substr(1)});
    return vote;
}

std::string text_of(const std::optional<MasterChoice>& choice) {
    if (!choice) return "none";
    return choice->master.host + (choice->epoch ? std::to_string(*choice->epoch) : "");
}

struct Case {
    const char* name;
    std::vector<std::string_view> votes;
    std::size_t known;
    std::string_view last;  // "": none. "A7!": and it is not reachable
    std::string_view chosen;
};

std::string chosen_by(const Case& c) {
    std::vector<MasterVote> votes;
    for (const std::string_view vote : c.votes) votes.push_back(vote_of(vote));
    std::optional<LastMaster> last;
    if (!c.last.empty()) {
        const bool lost = c.last.back() == '!';
        const MasterVote vote = vote_of(c.last.substr(0, c.last.size() - (lost ? 1 : 0)));
        last = LastMaster{{vote.master, vote.epoch}, !lost};
    }
    return text_of(choose_master(votes, c.known, last));
}

TEST_CASE("the master is chosen by what the Sentinels say") {
    const std::vector<Case> cases = {
        {"nobody answers", {}, 3, "", "none"},
        {"nobody answers, there was one", {}, 3, "A7", "none"},
        {"nobody knows the name", {"-", "-", "-"}, 3, "", "none"},
        {"nobody knows the name any more", {"-", "-", "-"}, 3, "A7!", "none"},
        {"all agree", {"A7", "A7", "A7"}, 3, "", "A7"},
        {"one answers of three", {"A7"}, 3, "", "A7"},
        {"one knows of three", {"-", "A7", "-"}, 3, "", "A7"},
        {"epoch 0", {"A0", "A0"}, 2, "", "A0"},
        {"the largest epoch", {"A18446744073709551615", "B1"}, 2, "", "A18446744073709551615"},

        // 1
        {"the highest epoch wins against most", {"A7", "A7", "B8"}, 3, "", "B8"},
        {"the highest epoch wins, whoever is first", {"B8", "A7", "A7"}, 3, "", "B8"},
        {"a failover", {"A7", "B8", "B8"}, 3, "A7", "B8"},
        {"a failover of which one has heard", {"A7", "B8", "A7"}, 3, "A7", "B8"},
        {"a failover of a master that still answers", {"B8", "B8", "B8"}, 3, "A7", "B8"},
        {"the same again", {"A7", "A7", "A7"}, 3, "A7", "A7"},
        {"the same master in a new configuration", {"A8", "A8", "A7"}, 3, "A7", "A8"},

        // 2
        {"most votes of one epoch", {"A7", "B7", "B7"}, 3, "", "B7"},
        {"votes of lower epochs do not count for it", {"A8", "B8", "A7", "A7", "B8"}, 5, "", "B8"},
        {"votes without an epoch count for it", {"A8", "B8", "B"}, 5, "", "B8"},
        {"votes without an epoch for who has not that epoch", {"A8", "B7", "B", "B"}, 7, "", "A8"},
        {"as many: the last master", {"A7", "B7"}, 2, "B7", "B7"},
        {"as many: the first", {"A7", "B7"}, 2, "", "A7"},
        {"as many: the first, if the last is not named", {"A7", "B7"}, 2, "C6", "A7"},
        {"most votes of the last epoch, another master", {"A7", "B7", "B7"}, 3, "A7", "B7"},

        // 3
        {"one tells of an older one", {"A6"}, 3, "B7", "none"},
        {"one tells of an older one, the last is lost", {"A6"}, 3, "B7!", "none"},
        {"most tell of an older one, the last is fine", {"A6", "A6", "A6"}, 3, "B7", "none"},
        {"most tell of an older one, the last is lost", {"A6", "A6"}, 3, "B7!", "A6"},
        {"all have begun anew at 0", {"A0", "A0", "A0"}, 3, "B7!", "A0"},
        {"all have begun anew at 0 with the last master", {"B0", "B0", "B0"}, 3, "B7!", "B0"},
        {"begun anew while the last master is fine", {"B0", "B0", "B0"}, 3, "B7", "none"},
        {"half is no majority", {"A6", "A6"}, 4, "B7!", "none"},
        {"more than half is", {"A6", "A6", "A6"}, 4, "B7!", "A6"},
        {"a majority of those who answer is none", {"A6"}, 2, "B7!", "none"},
        {"a majority that differs", {"A6", "C6", "A6"}, 5, "B7!", "none"},
        {"the epoch is the highest told of it", {"A3", "A5", "C6"}, 3, "B7!", "A5"},
        {"its epoch, not that of others", {"A3", "A3", "C6"}, 3, "B7!", "A3"},
        {"one that has not begun anew", {"A0", "A0", "B7"}, 3, "B7!", "B7"},
        {"an answer without an epoch is part of it", {"A6", "A"}, 3, "B7!", "A6"},
        {"a lone Sentinel is a majority", {"A6"}, 1, "B7!", "A6"},

        // 4
        {"no epochs, all agree", {"A", "A", "A"}, 3, "", "A"},
        {"no epochs, a majority", {"B", "A", "A"}, 3, "", "A"},
        {"no epochs, no majority", {"A"}, 3, "", "none"},
        {"no epochs, half", {"A", "A"}, 4, "", "none"},
        {"no epochs, no majority, but the last master", {"A"}, 3, "A", "A"},
        {"no epochs, no majority, but the last master keeps its epoch", {"A"}, 3, "A7", "A7"},
        {"no epochs, no majority for the last master that is lost", {"A"}, 3, "A7!", "A7"},
        {"no epochs, no majority, not the last master", {"B"}, 3, "A", "none"},
        {"no epochs, a majority moves on", {"B", "B", "A"}, 3, "A7", "B7"},
        {"no epochs ever, a majority moves on", {"B", "B", "A"}, 3, "A", "B"},
        {"a majority without epochs and the last epoch", {"B", "B", "A7"}, 3, "A7", "B7"},
        {"a majority without epochs and a higher epoch", {"A", "A", "B8"}, 3, "A7", "B8"},
        {"a majority without epochs and an epoch, none before", {"B", "B", "A5"}, 3, "B", "B"},
        {"an older epoch, and the last master without one", {"B6", "A"}, 3, "A7", "A7"},
        {"an epoch, and another without", {"A5", "B"}, 3, "", "A5"},
        {"an epoch comes to the last master", {"A5", "A"}, 3, "A", "A5"},
    };
    for (const Case& c : cases) {
        CAPTURE(c.name);
        CHECK(chosen_by(c) == c.chosen);
    }
}

TEST_CASE("the port is part of the address") {
    MasterVote a = vote_of("A7"), b = vote_of("A7"), c = vote_of("A7");
    b.master.port = c.master.port = 6380;
    const std::vector<MasterVote> votes = {a, b, c};
    const auto choice = choose_master(votes, 3, std::nullopt);
    REQUIRE(choice);
    CHECK(choice->master == Endpoint{"A", 6380});
}

}  // namespace
}  // namespace baton
