// Load and its target, fast enough to race: `load VERB [KEY=VALUE]...`, each verb until the end of
// stdin or until it is done. Prints what happened, one line each; the tests judge it.
//
//     serve port=0 ports=1 [record=FILE] [close=US] [delay=US]   one server; prints its ports
//     ask port=P requests=N connections=N [method=POST] [large=N]   prints "NUMBER OUTCOME", each
//     leave port=P clients=N connections=N seed=N     clients that leave at random moments
//     crowd port=P connections=N                      connections that ask when told to

#include "tests/apps/load.h"

#include <sys/resource.h>

#include <cerrno>
#include <csignal>

int main(int count, char** words) {
    std::signal(SIGPIPE, SIG_IGN);
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);

    const std::string verb = count > 1 ? words[1] : "";
    const load::Options options{count > 2 ? count - 2 : 0, words + 2};
    if (verb == "serve") return load::serve(options);
    if (verb == "ask") return load::ask(options);
    if (verb == "leave") return load::leave(options);
    if (verb == "crowd") return load::crowd(options);
    errno = EINVAL;
    load::die("no verb: " + verb);
}
