// Completion scripts of the shells. They hold no names themselves: each asks the program's hidden command "__complete", so that
// completion follows the command table of whatever version is installed.
#pragma once

#include <string>
#include <string_view>

namespace vps::cli {

// shell: bash, zsh or fish; empty for any other.
std::string completion_script(std::string_view shell, std::string_view program);

}  // namespace vps::cli
