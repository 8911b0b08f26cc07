// Archives made by hand for the storage tests: raw ustar blocks for what no honest tool writes, libarchive's writer for the
// rest.
#pragma once

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

namespace vps::test {

// One ustar entry, header and padded content. `size` may lie.
struct RawEntry {
  std::string name;
  char type = '0';
  std::string link{};
  std::string content{};
  unsigned mode = 0644;
  long long size = -1;  // -1: content's
};

inline std::string raw_entry(const RawEntry& e) {
  char header[512] = {};
  auto put = [&](std::size_t at, std::size_t width, const std::string& text) {
    std::memcpy(header + at, text.data(), std::min(width, text.size()));
  };
  auto octal = [&](std::size_t at, std::size_t width, unsigned long long value) {
    char text[32];
    std::snprintf(text, sizeof text, "%0*llo", static_cast<int>(width - 1), value);
    put(at, width, text);
  };
  put(0, 100, e.name);
  octal(100, 8, e.mode);
  octal(108, 8, 0);
  octal(116, 8, 0);
  octal(124, 12, static_cast<unsigned long long>(e.size < 0 ? static_cast<long long>(e.content.size()) : e.size));
  octal(136, 12, 1'700'000'000);
  put(148, 8, "        ");
  header[156] = e.type;
  put(157, 100, e.link);
  put(257, 8, std::string("ustar\00000", 8));
  octal(329, 8, 0);
  octal(337, 8, 0);
  unsigned sum = 0;
  for (char c : header) sum += static_cast<unsigned char>(c);
  char text[8];
  std::snprintf(text, sizeof text, "%06o", sum);
  std::memcpy(header + 148, text, 7);
  std::string out(header, sizeof header);
  out += e.content;
  out.resize((out.size() + 511) / 512 * 512, '\0');
  return out;
}

inline std::string raw_tar(const std::vector<RawEntry>& entries) {
  std::string out;
  for (const auto& e : entries) out += raw_entry(e);
  out.append(1024, '\0');
  return out;
}

// A pax tar through libarchive; `filter` as archive_write_add_filter_by_name ("gzip", "zstd", "xz" or "").
class ArchiveWriter {
 public:
  explicit ArchiveWriter(const std::string& path, const char* filter = "", const char* format = "pax") : a_(::archive_write_new()) {
    ::archive_write_set_format_by_name(a_, format);
    if (*filter != '\0') ::archive_write_add_filter_by_name(a_, filter);
    ::archive_write_open_filename(a_, path.c_str());
  }
  ~ArchiveWriter() { close(); }
  ArchiveWriter(const ArchiveWriter&) = delete;
  ArchiveWriter& operator=(const ArchiveWriter&) = delete;

  void close() {
    if (a_ != nullptr) ::archive_write_free(a_);
    a_ = nullptr;
  }
  // `fill` sets what the entry has beyond name, type and mode.
  void add(const std::string& name, unsigned type, unsigned mode, const std::string& content = {},
           const std::function<void(archive_entry*)>& fill = {}) {
    archive_entry* e = ::archive_entry_new();
    ::archive_entry_set_pathname(e, name.c_str());
    ::archive_entry_set_filetype(e, type);
    ::archive_entry_set_perm(e, static_cast<mode_t>(mode));
    ::archive_entry_set_size(e, static_cast<la_int64_t>(content.size()));
    ::archive_entry_set_mtime(e, 1'600'000'000, 123'456'789);
    if (fill) fill(e);
    ::archive_write_header(a_, e);
    ::archive_write_data(a_, content.data(), content.size());
    ::archive_entry_free(e);
  }

 private:
  archive* a_;
};

}  // namespace vps::test
