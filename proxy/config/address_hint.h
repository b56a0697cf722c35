#pragma once

// What a text may have meant that is no address: what people write first. Pure functions.

#include <string>
#include <string_view>

namespace baton {

// What is an address in its place.
struct AddressForm {
    bool (*is_address)(std::string_view);
    std::string_view host;  // meant where none is given
    std::string_view port;  // likewise; empty: there is no usual one
    bool names = false;     // names are looked up
};

// Of a listener, and of a server or what only this host is to reach.
extern const AddressForm anywhere;
extern const AddressForm here;
constexpr std::string_view address_expected = "an IP address or localhost with a port";
constexpr std::string_view server_port_expected = "a port from 1 to 65535";

// Goes behind the complaint: `, did you mean "0.0.0.0:8080"`. Empty if there is nothing to say.
std::string address_hint(std::string_view text, const AddressForm& form);

// The same for a network, of which an address may be one.
std::string network_hint(std::string_view text);

// The same for the host of a route.
std::string host_hint(std::string_view text);

}  // namespace baton
