// template.json: what is known of a template, and how that is found out.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "storage/templates.h"

namespace vps::storage {

inline constexpr char kRecordFile[] = "template.json";
inline constexpr char kRootfsDirectory[] = "rootfs";

std::string format_template(const Template& record);  // JSON with "schema": 1
// Refuses other schema versions, missing keys and wrong types. The name is not in the file: the directory's name is it.
Result<Template> parse_template(std::string_view json, const std::string& name);

// ID and VERSION_ID of os-release(5) text: "debian 12", "alpine 3.20.1"; empty when there is no ID.
std::string distribution_of(std::string_view os_release);
// The machine of an ELF file, in Debian's words ("amd64"); empty for what is no ELF file or not known.
std::string elf_architecture(std::string_view header);

// Fills in what the tree itself tells: distribution, architecture, init.
Result<> describe_tree(int root_fd, Template& record);

std::string rfc3339_now();

}  // namespace vps::storage
