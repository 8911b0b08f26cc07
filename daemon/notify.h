// Tells the service manager how we are (sd_notify(3)), without its library.
#pragma once

#include <string_view>

namespace vps::daemon {

// Does nothing when NOTIFY_SOCKET is not set; failures are not ours to care about.
void notify_service_manager(std::string_view state);  // "READY=1\nSTATUS=..."

}  // namespace vps::daemon
