// A compact, bounded encoding for messages between our own processes on one machine (same build, same byte order).
// Reader never reads past its input: the first malformed field makes every later read fail, and finish() reports it.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace vps {

class WireWriter {
 public:
  void u8(std::uint8_t v) { raw(&v, sizeof v); }
  void u32(std::uint32_t v) { raw(&v, sizeof v); }
  void i32(std::int32_t v) { raw(&v, sizeof v); }
  void u64(std::uint64_t v) { raw(&v, sizeof v); }
  void boolean(bool v) { u8(v ? 1 : 0); }
  void string(std::string_view v) {
    u32(static_cast<std::uint32_t>(v.size()));
    raw(v.data(), v.size());
  }
  void strings(const std::vector<std::string>& v) {
    u32(static_cast<std::uint32_t>(v.size()));
    for (const auto& s : v) string(s);
  }
  [[nodiscard]] const std::string& data() const { return data_; }

 private:
  void raw(const void* p, std::size_t n) { data_.append(static_cast<const char*>(p), n); }
  std::string data_;
};

class WireReader {
 public:
  explicit WireReader(std::string_view data) : data_(data) {}
  std::uint8_t u8() { return number<std::uint8_t>(); }
  std::uint32_t u32() { return number<std::uint32_t>(); }
  std::int32_t i32() { return number<std::int32_t>(); }
  std::uint64_t u64() { return number<std::uint64_t>(); }
  bool boolean() { return u8() != 0; }
  std::string string() {
    std::uint32_t n = u32();
    if (n > data_.size()) {
      bad_ = true;
      data_ = {};
      return {};
    }
    std::string value(data_.substr(0, n));
    data_.remove_prefix(n);
    return value;
  }
  std::vector<std::string> strings() {
    std::uint32_t n = u32();
    std::vector<std::string> values;
    // Each string takes at least its length field, so a forged count cannot make us allocate more than the input holds.
    for (std::uint32_t i = 0; i < n && !bad_; ++i) values.push_back(string());
    return values;
  }
  [[nodiscard]] bool ok() const { return !bad_; }
  // All fields were there and nothing is left over.
  [[nodiscard]] Result<> finish(std::string_view what) const {
    if (bad_ || !data_.empty()) return fail(Code::kUsage, "malformed message {}", what);
    return {};
  }

 private:
  template <class T>
  T number() {
    T value{};
    if (data_.size() < sizeof value) {
      bad_ = true;
      data_ = {};
      return value;
    }
    std::memcpy(&value, data_.data(), sizeof value);
    data_.remove_prefix(sizeof value);
    return value;
  }
  std::string_view data_;
  bool bad_ = false;
};

}  // namespace vps
