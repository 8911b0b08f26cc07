// The host's own apt sources, as far as they hold one Debian release: the mirror that works for the host works for a build.
// Pure. Source: sources.list(5).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace vps::storage {

// Of the text of a one-line-style ("deb [options] URI SUITE COMPONENT...") or deb822-style file, what offers `release`,
// <release>-updates or <release>-security with the component "main" over http or https, without comments, deb-src and other
// releases. Empty when there is nothing.
std::string debian_list_entries(std::string_view text, std::string_view release);
std::string debian_deb822_stanzas(std::string_view text, std::string_view release);

// The host's sources of `release` in files for mmdebstrap, one per style, made in `directory`; empty when the host does not
// offer the release itself (updates alone are no distribution).
Result<std::vector<std::string>> collect_apt_sources(const std::string& apt_directory, std::string_view release,
                                                     const std::string& directory);

}  // namespace vps::storage
