// Every named step of the daemon's operations at which a test may make it fail or die (base/failpoint.h). One list, so that
// a fault test can walk it; step() refuses to compile with a name that is not in it.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

#include "base/error.h"
#include "base/failpoint.h"

namespace vps::daemon {

constexpr std::array kFailpoints = {
    std::string_view("daemon.create.template"),   // the template is known, nothing exists yet
    std::string_view("daemon.create.directory"),  // the directory exists, without its marker
    std::string_view("daemon.create.marker"),     // "creating" is on disk
    std::string_view("daemon.create.addresses"),  // its addresses are reserved
    std::string_view("daemon.create.record"),     // record.json is on disk
    std::string_view("daemon.create.disk"),       // the disk exists
    std::string_view("daemon.create.definition"), // vps.yaml is on disk
    std::string_view("daemon.create.commit"),     // the marker is gone
    std::string_view("daemon.start.check"),       // the state is "starting"
    std::string_view("daemon.start.compile"),     // the plans are computed
    std::string_view("daemon.start.directory"),   // the run directory exists
    std::string_view("daemon.start.files"),       // config.json and plan.json are written
    std::string_view("daemon.start.wanted"),      // the marker that it is to run is on disk
    std::string_view("daemon.start.network"),     // bridges and filter hold what is the VPS's
    std::string_view("daemon.start.spawn"),       // the supervisor has been spawned
    std::string_view("daemon.start.running"),     // its init runs
    std::string_view("daemon.stop.wanted"),       // the marker that it is to run is gone
    std::string_view("daemon.stop.request"),      // the supervisor knows
    std::string_view("daemon.stop.ended"),        // its init has ended
    std::string_view("daemon.stop.cleaned"),      // what the run left is removed
    std::string_view("daemon.destroy.marker"),    // "destroying" is on disk
    std::string_view("daemon.destroy.run"),       // cgroups and run directory are gone
    std::string_view("daemon.destroy.disk"),      // the disk is gone
    std::string_view("daemon.destroy.files"),     // only the marker is left
    std::string_view("daemon.destroy.commit"),    // nothing is left on disk
    std::string_view("daemon.destroy.addresses"), // its addresses are free again
    std::string_view("daemon.network.saved"),     // the new network's file is on disk
    std::string_view("daemon.network.link"),      // its bridge is there
    std::string_view("daemon.network.filter"),    // the filter knows it
    std::string_view("daemon.network.unlinked"),  // of a network that is deleted: its bridge is gone, its file is not
    std::string_view("daemon.change.addresses"),  // the new addresses are reserved
    std::string_view("daemon.change.live"),       // the new limits are in force, not saved
    std::string_view("daemon.change.saved"),      // vps.yaml is replaced
};

struct FailpointName {
  consteval FailpointName(const char* text) : name(text) {  // NOLINT: meant to convert
    if (std::ranges::find(kFailpoints, name) == kFailpoints.end()) throw "not in kFailpoints";
  }
  std::string_view name;
};
inline Result<> step(FailpointName point) { return failpoint::hit(point.name); }

}  // namespace vps::daemon
