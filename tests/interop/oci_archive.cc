#include "tests/interop/oci_archive.h"

#include <filesystem>

#include "base/files.h"
#include "tests/support/command.h"

namespace vps::test {
namespace {

struct Blob {
  std::string digest;  // hexadecimal
  std::uintmax_t size = 0;
};

Result<Blob> store_blob(const std::string& layout, const std::string& file) {
  auto sum = VPS_TRY(run({"sha256sum", file}));
  if (sum.code != 0) return fail(Code::kFailed, "{}", sum.describe());
  Blob blob{.digest = sum.out.substr(0, 64), .size = std::filesystem::file_size(file)};
  std::filesystem::rename(file, layout + "/blobs/sha256/" + blob.digest);
  return blob;
}

Result<Blob> store_text(const std::string& layout, const std::string& text) {
  VPS_TRY(write_file_atomic(layout + "/text", text));
  return store_blob(layout, layout + "/text");
}

std::string descriptor(const char* type, const Blob& blob, const std::string& more = "") {
  return fmt::format(R"({{"mediaType": "application/vnd.oci.image.{}", "digest": "sha256:{}", "size": {}{}}})", type, blob.digest, blob.size, more);
}

}  // namespace

Result<> write_oci_archive(const std::string& layer, const std::string& name, const std::string& scratch, const std::string& archive) {
  auto layout = scratch + "/layout";
  VPS_TRY(make_dirs(layout + "/blobs/sha256"));
  std::filesystem::copy_file(layer, layout + "/layer");
  auto data = VPS_TRY(store_blob(layout, layout + "/layer"));
  auto config = VPS_TRY(store_text(layout, fmt::format(
      R"({{"architecture": "amd64", "os": "linux", "config": {{"Env": ["PATH=/bin"], "Cmd": ["/bin/sh"]}}, "rootfs": {{"type": "layers", "diff_ids": ["sha256:{}"]}}}})",
      data.digest)));
  auto manifest = VPS_TRY(store_text(layout, fmt::format(R"({{"schemaVersion": 2, "config": {}, "layers": [{}]}})", descriptor("config.v1+json", config),
                                                         descriptor("layer.v1.tar", data))));
  auto named = fmt::format(R"(, "annotations": {{"io.containerd.image.name": "{}", "org.opencontainers.image.ref.name": "latest"}})", name);
  VPS_TRY(write_file_atomic(layout + "/index.json", fmt::format(R"({{"schemaVersion": 2, "manifests": [{}]}})", descriptor("manifest.v1+json", manifest, named))));
  VPS_TRY(write_file_atomic(layout + "/oci-layout", R"({"imageLayoutVersion": "1.0.0"})"));
  auto packed = VPS_TRY(run({"tar", "-C", layout, "-cf", archive, "."}));
  if (packed.code != 0) return fail(Code::kFailed, "{}", packed.describe());
  return {};
}

}  // namespace vps::test
