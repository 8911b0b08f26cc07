// An image without a registry and without an engine: an archive of the OCI image layout (image-spec) with one layer.
#pragma once

#include <string>

#include "base/error.h"

namespace vps::test {

// Writes `archive` from the uncompressed tar `layer`; works below the directory `scratch`.
Result<> write_oci_archive(const std::string& layer, const std::string& name, const std::string& scratch, const std::string& archive);

}  // namespace vps::test
