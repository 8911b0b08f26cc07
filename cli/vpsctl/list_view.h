// Choosing, ordering and laying out rows of `vpsctl list`. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cli/common/output.h"
#include "cli/common/value.h"

namespace vps::cli {

// KEY=VALUE or KEY!=VALUE; VALUE may have * and ? (fnmatch(3)). KEY is a column or the dotted path of a member ("labels.customer").
struct Filter {
  std::string key, pattern;
  bool negated = false;
};
Result<Filter> parse_filter(std::string_view text);
bool matches(const Filter& filter, const Value& row);

// By a column or dotted path; "-" in front reverses. Numbers compare as numbers, text in natural order; what is absent comes last.
Result<> sort_rows(std::vector<Value>& rows, std::string_view by);

// "id,name,state": names of columns or dotted paths below "labels".
Result<std::vector<std::string>> parse_columns(std::string_view text);
std::string render_list(const std::vector<Value>& rows, const std::vector<std::string>& columns, const Output& output, bool headers);

}  // namespace vps::cli
