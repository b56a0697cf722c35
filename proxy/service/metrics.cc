#include "proxy/service/metrics.h"

#include <array>
#include <cstdint>
#include <initializer_list>

namespace baton {

namespace {

struct Label {
    std::string_view name;
    std::string_view value;
};

class Text {
public:
    void family(std::string_view name, std::string_view type, std::string_view help) {
        name_ = name;
        line({"# HELP ", name, " ", help});
        line({"# TYPE ", name, " ", type});
    }

    void sample(std::initializer_list<Label> labels, std::uint64_t value) {
        out_.append(name_);
        char before = '{';
        for (const Label& label : labels) {
            out_ += before;
            out_.append(label.name).append("=\"");
            append_escaped(label.value);
            out_ += '"';
            before = ',';
        }
        if (labels.size() > 0) out_ += '}';
        line({" ", std::to_string(value)});
    }

    void only(std::string_view name, std::string_view type, std::string_view help,
              std::uint64_t value) {
        family(name, type, help);
        sample({}, value);
    }

    std::string take() { return std::move(out_); }

private:
    void line(std::initializer_list<std::string_view> parts) {
        for (const std::string_view part : parts) out_.append(part);
        out_ += '\n';
    }

    void append_escaped(std::string_view value) {
        for (const char c : value) {
            if (c == '\\' || c == '"') out_ += '\\';
            out_ += c;
        }
    }

    std::string out_;
    std::string_view name_;
};

// The sum of one number over all workers.
template <class Read>
std::uint64_t sum(const ProcessView& view, Read read) {
    std::uint64_t total = 0;
    for (const Lane* lane : view.lanes) total += read(*lane);
    return total;
}

std::uint64_t sum_of(const ProcessView& view, Counter Counters::*counter) {
    return sum(view, [&](const Lane& lane) { return (lane.counters.*counter).read(); });
}

void write_requests(Text& text, const ProcessView& view) {
    text.family("baton_requests_total", "counter",
                "Requests answered, by route and class of status; route=\"\" if no route matched.");
    const auto& classes = StatusCounters::classes;
    for (const Route& route : view.snapshot->routes())
        for (std::size_t i = 0; i < classes.size(); ++i)
            text.sample({{"route", route.state->name()}, {"class", classes[i]}},
                        route.state->requests(i));
    for (std::size_t i = 0; i < classes.size(); ++i)
        text.sample({{"route", ""}, {"class", classes[i]}}, sum(view, [&](const Lane& lane) {
                        return lane.counters.unrouted.by_class[i].read();
                    }));
    text.only("baton_requests_in_flight", "gauge", "Running requests and tunnels.",
              sum(view, [](const Lane& lane) { return lane.counters.requests_in_flight.read(); }));
    text.only("baton_request_retries_total", "counter", "Requests sent to a server again.",
              sum_of(view, &Counters::retries));
    text.family("baton_faults_total", "counter",
                "Requests that went wrong, by the fault in the access log.");
    for (int i = 0; i < fault_count; ++i)
        text.sample({{"fault", name(static_cast<Fault>(i))}}, sum(view, [&](const Lane& lane) {
                        return lane.counters.faults[static_cast<std::size_t>(i)].read();
                    }));
}

void write_connections(Text& text, const ProcessView& view) {
    text.family("baton_connections", "gauge", "Open connections, idle ones included.");
    text.sample({{"side", "client"}}, view.gate->open.load(std::memory_order_relaxed));
    text.sample({{"side", "server"}}, view.registry->server_connections());
    text.only("baton_connection_evictions_total", "counter",
              "Idle client connections closed at limits.connections to make room for new ones.",
              sum_of(view, &Counters::connections_evicted));
    text.only("baton_connections_refused_total", "counter",
              "Client connections closed at once: their client had "
              "listener.connections_per_client_max already.",
              sum_of(view, &Counters::connections_refused));
}

template <class Write>
void for_each_server(const ProcessView& view, Write write) {
    for (const auto& upstream : view.snapshot->upstreams())
        for (const Server& server : upstream->servers()) write(upstream->name(), server);
}

void write_servers(Text& text, const ProcessView& view) {
    text.family("baton_server_requests_total", "counter", "Requests sent to a server, each try.");
    for_each_server(view, [&](std::string_view upstream, const Server& server) {
        text.sample(
            {{"upstream", upstream}, {"server", server.text}},
            server.state->sum([](const ServerCounters& one) { return one.requests.read(); }));
    });
    text.family("baton_server_requests_in_flight", "gauge",
                "Running requests and tunnels of a server.");
    for_each_server(view, [&](std::string_view upstream, const Server& server) {
        text.sample(
            {{"upstream", upstream}, {"server", server.text}},
            server.state->sum([](const ServerCounters& one) { return one.in_flight.read(); }));
    });
    text.family("baton_server_faults_total", "counter",
                "Faults of a server, each try; another server may have saved the request.");
    for_each_server(view, [&](std::string_view upstream, const Server& server) {
        for (std::size_t i = 0; i < server_fault_count; ++i) {
            const auto fault = static_cast<ServerFault>(i);
            text.sample(
                {{"upstream", upstream}, {"server", server.text}, {"fault", name(fault)}},
                server.state->sum([&](const ServerCounters& one) { return one.faults(fault); }));
        }
    });
}

// Counters of sessions that stand alone: one sample each.
struct SessionCounter {
    std::string_view name;
    std::string_view help;
    Counter Counters::*counter;
};
constexpr SessionCounter session_counters[] = {
    {"baton_session_overwrites_total",
     "Lost updates: attributes set without Base that had changed since the server got "
     "them.",
     &Counters::session_overwrites},
    {"baton_session_replays_total",
     "Requests sent once more because their session had changed meanwhile.",
     &Counters::session_replays},
    {"baton_session_use_ignored_total",
     "Ids in Use of no session that was just created or rotated.", &Counters::session_use_ignored},
    {"baton_session_second_live_total", "Requests with the cookies of two live sessions.",
     &Counters::session_second_live},
    {"baton_session_omitted_total",
     "Requests whose session was longer than headers.limit, so that its server was told "
     "Data-Omitted.",
     &Counters::session_omitted},
    {"baton_session_cookies_passed_over_total",
     "Session cookies of a request beyond the 16 that are looked up.",
     &Counters::session_cookies_passed_over},
    {"baton_session_fields_dropped_total",
     "Session fields where none are allowed: from a client, unknown ones, on a route "
     "without sessions.",
     &Counters::session_fields_dropped},
    {"baton_session_cookies_dropped_total",
     "Cookies of the session's name that servers set themselves.",
     &Counters::session_cookies_dropped},
    {"baton_session_changes_dropped_total",
     "Changes dropped: the session had ended, or the server had been told that the store is "
     "unavailable.",
     &Counters::session_gone},
};

void write_sessions(Text& text, const ProcessView& view) {
    const MemoryTable& table = *view.table;
    text.only("baton_sessions", "gauge", "Live sessions in the table.", table.sessions());
    text.only("baton_session_memory_bytes", "gauge", "Memory of the session table.",
              table.memory());
    text.family("baton_session_unknown_total", "counter",
                "Session cookies without a live session.");
    text.sample({{"reason", "malformed"}}, sum_of(view, &Counters::session_unknown_malformed));
    text.sample({{"reason", "absent"}}, sum_of(view, &Counters::session_unknown_absent));
    text.sample({{"reason", "dead"}}, sum_of(view, &Counters::session_unknown_dead));
    text.family("baton_session_evictions_total", "counter",
                "Sessions pushed out of a full table; confirmed: a client had come back with it.");
    text.sample({{"confirmed", "false"}}, table.evicted_unconfirmed());
    text.sample({{"confirmed", "true"}}, table.evicted_confirmed());
    for (const SessionCounter& one : session_counters)
        text.only(one.name, "counter", one.help, sum_of(view, one.counter));
}

void write_store(Text& text, const ProcessView& view) {
    const StoreView store = view.stores->guide()->view();
    const auto sum_of = [&](auto RedisCounters::*counter) {
        std::uint64_t total = 0;
        for (const RedisCounters* counters : view.stores->counters())
            total += (counters->*counter).read();
        return total;
    };
    text.family("baton_store_state", "gauge", "1 for the present state of the session store.");
    for (const StoreState state :
         {StoreState::ready, StoreState::read_only, StoreState::failover, StoreState::down})
        text.sample({{"state", text_of(state)}}, state == store.state ? 1 : 0);
    std::uint64_t answer = 0;
    for (const SentinelView& sentinel : store.sentinels) answer += sentinel.answers ? 1 : 0;
    text.family("baton_store_sentinels", "gauge", "Known Sentinels, by whether they answer.");
    text.sample({{"answers", "true"}}, answer);
    text.sample({{"answers", "false"}}, store.sentinels.size() - answer);
    std::int64_t lag = 0;
    for (const StoreView::Replica& replica : store.replicas) lag = std::max(lag, replica.lag);
    text.only("baton_store_replicas", "gauge", "Replicas that the master reports.",
              store.replicas.size());
    text.only("baton_store_replica_lag_max_seconds", "gauge",
              "How long ago the master last heard from its slowest replica.",
              static_cast<std::uint64_t>(lag));
    text.only("baton_store_failovers_total", "counter", "Masters that took another's place.",
              store.failovers);
    text.only("baton_store_losses_total", "counter", "Times a ready master was lost.",
              store.losses);
    text.only("baton_store_data_losses_total", "counter",
              "Times most of the master's keys were gone from one second to the next.",
              store.data_losses);
    text.only("baton_store_connections_total", "counter",
              "Connections of workers that became ready.", sum_of(&RedisCounters::connections));
    text.only("baton_store_commands_total", "counter", "Commands sent for sessions.",
              sum_of(&RedisCounters::commands));
    text.only("baton_store_retries_total", "counter",
              "Commands repeated because their answer was lost.", sum_of(&RedisCounters::retries));
    text.only("baton_store_refused_writes_total", "counter",
              "Writes that Redis refused for now: NOREPLICAS, OOM, MISCONF.",
              sum_of(&RedisCounters::refusals));
    text.only("baton_store_waiting", "gauge", "Operations that wait for the store.",
              sum_of(&RedisCounters::waiting));
    text.only("baton_store_waited_total", "counter", "Operations that had to wait.",
              sum_of(&RedisCounters::waited));
    text.only("baton_store_unavailable_total", "counter", "Operations that waited in vain.",
              sum_of(&RedisCounters::unavailable));
    text.only("baton_store_touches_dropped_total", "counter",
              "Times a session's expiry was not extended.",
              sum_of(&RedisCounters::touches_dropped));
    text.only("baton_store_foreign_total", "counter",
              "Keys with the prefix that hold no session, and fields that are not baton's.",
              sum_of(&RedisCounters::foreign));
    text.only("baton_store_too_large_total", "counter", "Sessions that were too large to be read.",
              sum_of(&RedisCounters::too_large));
}

}  // namespace

std::string metrics_text(const ProcessView& view) {
    Text text;
    write_requests(text, view);
    write_connections(text, view);
    write_servers(text, view);
    write_sessions(text, view);
    if (view.stores != nullptr) write_store(text, view);
    text.only("baton_log_lines_dropped_total", "counter",
              "Log lines lost to a full disk or a stuck reader.", view.writer->lines_dropped());
    text.family("baton_build_info", "gauge", "The running version.");
    text.sample({{"version", BATON_VERSION}}, 1);
    return text.take();
}

}  // namespace baton
