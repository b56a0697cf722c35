// Which address is the master's: the rules, a row each.

#include "session/redis/master_choice.h"

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

std::string text_of(const std::vector<MasterChoice>& choices) {
    std::string text;
    for (const MasterChoice& choice : choices)
        text += (text.empty() ? "" : " ") + choice.master.host +
                (choice.epoch ? std::to_string(*choice.epoch) : "");
    return text.empty() ? "none" : text;
}

struct Case {
    const char* name;
    std::vector<std::string_view> votes;
    std::size_t known;
    // "": none. "A7!": it is not reachable. "A7+": a majority has agreed for long. "A7-X9": and X9 was overruled.
    std::string_view last;
    std::string_view candidates;  // the likeliest first
};

std::string candidates_of(const Case& c) {
    std::vector<MasterVote> votes;
    for (const std::string_view vote : c.votes) votes.push_back(vote_of(vote));
    std::optional<LastMaster> last;
    Agreement agreement = Agreement::fresh;
    std::string_view text = c.last;
    if (const auto at = text.find('-'); at != text.npos) {
        const MasterVote overruled = vote_of(text.substr(at + 1));
        last.emplace().overruled = {overruled.master, overruled.epoch};
        text = text.substr(0, at);
    }
    if (!text.empty()) {
        const bool marked = text.back() == '!' || text.back() == '+';
        const MasterVote vote = vote_of(text.substr(0, text.size() - (marked ? 1 : 0)));
        if (!last) last.emplace();
        last->choice = {vote.master, vote.epoch};
        last->reachable = text.back() != '!';
        if (text.back() == '+') agreement = Agreement::lasting;
    }
    return text_of(master_candidates(votes, c.known, last, agreement));
}

void check(const std::vector<Case>& cases) {
    for (const Case& c : cases) {
        CAPTURE(c.name);
        CHECK(candidates_of(c) == c.candidates);
    }
}

TEST_CASE("without a master before, those that the Sentinels name are tried") {
    check({
        {"nobody answers", {}, 3, "", "none"},
        {"nobody answers, there was one", {}, 3, "A7", "none"},
        {"nobody knows the name", {"-", "-", "-"}, 3, "", "none"},
        {"nobody knows the name any more", {"-", "-", "-"}, 3, "A7!", "none"},
        {"all agree", {"A7", "A7", "A7"}, 3, "", "A7"},
        {"one answers of three", {"A7"}, 3, "", "A7"},
        {"one knows of three", {"-", "A7", "-"}, 3, "", "A7"},
        {"epoch 0", {"A0", "A0"}, 2, "", "A0"},
        {"the largest epoch", {"A18446744073709551615", "B1"}, 2, "", "A18446744073709551615 B1"},
        {"the highest epoch goes first against most", {"A7", "A7", "B8"}, 3, "", "B8 A7"},
        {"the highest epoch goes first, whoever answers first", {"B8", "A7", "A7"}, 3, "", "B8 A7"},
        {"most votes of one epoch", {"A7", "B7", "B7"}, 3, "", "B7 A7"},
        {"votes of lower epochs do not count for it",
         {"A8", "B8", "A7", "A7", "B8"},
         5,
         "",
         "B8 A8"},
        {"votes without an epoch count for it", {"A8", "B8", "B"}, 5, "", "B8 A8"},
        {"votes without an epoch for who has not that epoch",
         {"A8", "B7", "B", "B"},
         7,
         "",
         "A8 B7"},
        {"as many: the first", {"A7", "B7"}, 2, "", "A7 B7"},
        {"no epochs, all agree", {"A", "A", "A"}, 3, "", "A"},
        {"no epochs, a majority", {"B", "A", "A"}, 3, "", "A"},
        {"no epochs, no majority", {"A"}, 3, "", "none"},
        {"no epochs, half", {"A", "A"}, 4, "", "none"},
        {"an epoch, and another without", {"A5", "B"}, 3, "", "A5"},
        {"a majority without epochs, and an epoch", {"A5", "B", "B"}, 3, "", "B A5"},
    });
}

TEST_CASE("F:one-liar a higher epoch is tried, and the last master stays a candidate") {
    check({
        {"a failover", {"A7", "B8", "B8"}, 3, "A7", "B8 A7"},
        {"a failover of which one has heard", {"A7", "B8", "A7"}, 3, "A7", "B8 A7"},
        {"a failover that all have heard of", {"B8", "B8", "B8"}, 3, "A7", "B8"},
        {"a failover of a master that is lost", {"A7", "B8", "A7"}, 3, "A7!", "B8 A7"},
        {"one that lies, and a failover", {"X99", "B8", "B8"}, 3, "A7", "X99 B8"},
        {"one that lies, while the others say where it is", {"A7", "X99", "A7"}, 3, "A7", "X99 A7"},
        {"two that lie differently", {"Y100", "X99", "A7"}, 3, "A7", "Y100 X99 A7"},
        {"the same again", {"A7", "A7", "A7"}, 3, "A7", "A7"},
        {"the same master in a new configuration", {"A8", "A8", "A7"}, 3, "A7", "A8"},
        {"as many with a new epoch: the last master", {"B8", "A8"}, 2, "A7", "A8 B8"},
        {"neither was the last", {"A8", "B8"}, 2, "C6", "A8 B8"},
        {"no epochs, and a higher one", {"A", "A", "B8"}, 3, "A7", "B8 A7"},
        {"no epochs but one, none before", {"B", "B", "A5"}, 3, "B", "B"},
        {"no epochs but one, none before, no majority", {"B", "A5"}, 3, "B", "A5 B"},
        {"an epoch comes to the last master", {"A5", "A"}, 3, "A", "A5"},
        {"one that was overruled is no news", {"A5", "A5", "X99"}, 3, "A5-X99", "A5"},
        {"nor with a lower epoch", {"A5", "A5", "X98"}, 3, "A5-X99", "A5"},
        {"but with a higher one", {"A5", "A5", "X100"}, 3, "A5-X99", "X100 A5"},
        {"and others are", {"A5", "A5", "Y6"}, 3, "A5-X99", "Y6 A5"},
        {"an overruled one that a majority names", {"X99", "X99", "A5"}, 3, "A5!-X99", "X99 A5"},
    });
}

TEST_CASE("F:sentinels-agree a lower epoch is followed if a majority names it") {
    check({
        {"one tells of an older one", {"A6"}, 3, "B7", "none"},
        {"one tells of an older one, the last is lost", {"A6"}, 3, "B7!", "none"},
        {"one tells of an older one for long", {"A6"}, 3, "B7+", "none"},
        {"all tell of an older one, the last is fine", {"A6", "A6", "A6"}, 3, "B7", "none"},
        {"all tell of an older one for long", {"A6", "A6", "A6"}, 3, "B7+", "A6"},
        {"most tell of an older one for long", {"A6", "A6", "B7"}, 3, "B7+", "A6 B7"},
        {"most tell of an older one, the last is lost", {"A6", "A6"}, 3, "B7!", "A6"},
        {"most tell of an older one, one of the last", {"A6", "A6", "B7"}, 3, "B7!", "A6 B7"},
        {"all have begun anew at 0", {"A0", "A0", "A0"}, 3, "B7!", "A0"},
        {"all have begun anew at 0 for long", {"A0", "A0", "A0"}, 3, "B7+", "A0"},
        {"all have begun anew at 0 with the last master", {"B0", "B0", "B0"}, 3, "B7!", "B0"},
        {"and it is fine", {"B0", "B0", "B0"}, 3, "B7", "B0"},
        {"one has begun anew with the last master", {"B0", "B7"}, 3, "B7", "B7"},
        {"half is no majority", {"A6", "A6"}, 4, "B7!", "none"},
        {"half for long is none", {"A6", "A6"}, 4, "B7+", "none"},
        {"more than half is", {"A6", "A6", "A6"}, 4, "B7!", "A6"},
        {"a majority of those who answer is none", {"A6"}, 2, "B7!", "none"},
        {"a majority that differs", {"A6", "C6", "A6"}, 5, "B7!", "none"},
        {"its epoch is the highest told of it", {"A3", "A5", "C6"}, 3, "B7!", "A5"},
        {"not that of others", {"A3", "A3", "C6"}, 3, "B7!", "A3"},
        {"an answer without an epoch is part of it", {"A6", "A"}, 3, "B7!", "A6"},
        {"a lone Sentinel is a majority", {"A6"}, 1, "B7!", "A6"},
        {"and must agree with itself for long", {"A6"}, 1, "B7", "none"},
        {"the same epoch, the last is fine", {"A7", "B7", "B7"}, 3, "A7", "A7"},
        {"the same epoch for long", {"A7", "B7", "B7"}, 3, "A7+", "B7 A7"},
        {"the same epoch, the last is lost", {"A7", "B7", "B7"}, 3, "A7!", "B7 A7"},
        {"the same epoch, no majority", {"A7", "B7"}, 2, "B7!", "B7"},

        {"no epochs, no majority, but the last master", {"A"}, 3, "A", "A"},
        {"no epochs, the last master keeps its own", {"A"}, 3, "A7", "A7"},
        {"no epochs, the last master that is lost", {"A"}, 3, "A7!", "A7"},
        {"no epochs, no majority, not the last master", {"B"}, 3, "A", "none"},
        {"no epochs, no majority for long", {"B"}, 3, "A+", "none"},
        {"no epochs, a majority moves on", {"B", "B", "A"}, 3, "A7!", "B7 A7"},
        {"no epochs, a majority for long", {"B", "B", "A"}, 3, "A7+", "B7 A7"},
        {"no epochs, a majority, the last is fine", {"B", "B", "A"}, 3, "A7", "A7"},
        {"no epochs ever, a majority moves on", {"B", "B", "A"}, 3, "A!", "B A"},
        {"a majority without epochs and the last epoch", {"B", "B", "A7"}, 3, "A7!", "B7 A7"},
        {"an older epoch, and the last master without one", {"B6", "A"}, 3, "A7", "A7"},
    });
}

TEST_CASE("F:sentinels-agree which master a majority names") {
    const auto agreed = [](const std::vector<std::string_view>& texts, std::size_t known) {
        std::vector<MasterVote> votes;
        for (const std::string_view text : texts) votes.push_back(vote_of(text));
        const auto choice = agreed_master(votes, known);
        return choice ? text_of({*choice}) : "none";
    };
    CHECK(agreed({}, 0) == "none");
    CHECK(agreed({"A7"}, 1) == "A7");
    CHECK(agreed({"A7"}, 2) == "none");
    CHECK(agreed({"A7", "A5"}, 3) == "A7");
    CHECK(agreed({"A", "A5", "B9"}, 3) == "A5");
    CHECK(agreed({"A", "A", "B9"}, 3) == "A");
    CHECK(agreed({"-", "-", "B9"}, 3) == "none");
    CHECK(agreed({"A7", "A7"}, 4) == "none");
}

TEST_CASE("the port is part of the address") {
    MasterVote a = vote_of("A7"), b = vote_of("A7"), c = vote_of("A7");
    b.master.port = c.master.port = 6380;
    const std::vector<MasterVote> votes = {a, b, c};
    const auto choices = master_candidates(votes, 3, std::nullopt, Agreement::fresh);
    REQUIRE(choices.size() == 2);
    CHECK(choices[0].master == Endpoint{"A", 6380});
}

}  // namespace
}  // namespace baton
