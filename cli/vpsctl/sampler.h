// Samples of several VPSes with the rates since the sample before: what stats and top print.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cli/common/context.h"
#include "cli/common/rates.h"

namespace vps::cli {

struct Measured {
  std::string id;
  Value sample;
  std::optional<Rates> rates;  // none: there was no sample before
};

class Sampler {
 public:
  // No ids: all that run.
  Sampler(Context& context, std::vector<std::string> ids) : context_(context), ids_(std::move(ids)) {}
  // In natural order of ids. One that has gone since the round before is left out; one that was never there is an error.
  Result<std::vector<Measured>> round();

 private:
  Result<std::vector<Value>> fetch();

  Context& context_;
  std::vector<std::string> ids_;
  std::map<std::string, Value> before_;
};

std::string render_stats(const std::vector<Measured>& rows, const Output& output);
enum class SortBy { kId, kCpu, kMemory, kIo };
void sort_measured(std::vector<Measured>& rows, SortBy by);

}  // namespace vps::cli
