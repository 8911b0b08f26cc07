#include "cli/common/table.h"

#include <algorithm>

namespace vps::cli {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string_view take_digits(std::string_view& text) {
  std::size_t zeros = 0;
  while (zeros + 1 < text.size() && text[zeros] == '0' && is_digit(text[zeros + 1])) ++zeros;
  text.remove_prefix(zeros);
  std::size_t n = 0;
  while (n < text.size() && is_digit(text[n])) ++n;
  auto digits = text.substr(0, n);
  text.remove_prefix(n);
  return digits;
}

}  // namespace

bool natural_less(std::string_view a, std::string_view b) {
  auto x = a;
  auto y = b;
  while (!x.empty() && !y.empty()) {
    if (is_digit(x[0]) && is_digit(y[0])) {
      auto m = take_digits(x);
      auto n = take_digits(y);
      if (m.size() != n.size()) return m.size() < n.size();
      if (m != n) return m < n;
    } else {
      if (x[0] != y[0]) return x[0] < y[0];
      x.remove_prefix(1);
      y.remove_prefix(1);
    }
  }
  if (x.empty() != y.empty()) return x.empty();
  return a < b;  // 01 and 1 are different, if barely
}

std::string Table::render(const Output& output, bool headers) const {
  std::vector<std::size_t> widths(columns_.size());
  std::vector<std::vector<std::string>> texts;
  for (const auto& row : rows_) {
    auto& shown = texts.emplace_back();
    for (const auto& cell : row) shown.push_back(cell.text.empty() ? "-" : visible(cell.text));
  }
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (headers) widths[i] = text_width(columns_[i].header);
    for (const auto& row : texts)
      if (i < row.size()) widths[i] = std::max(widths[i], text_width(row[i]));
  }
  std::string out;
  auto put = [&](std::size_t i, const std::string& text, Colour colour, bool last) {
    std::string pad(widths[i] - text_width(text), ' ');
    if (i > 0) out += "  ";
    if (columns_[i].align == Align::kRight) out += pad;
    out += output.paint(colour, text);
    if (columns_[i].align == Align::kLeft && !last) out += pad;
  };
  if (headers) {
    for (std::size_t i = 0; i < columns_.size(); ++i) put(i, columns_[i].header, Colour::kBold, i + 1 == columns_.size());
    out += '\n';
  }
  for (std::size_t r = 0; r < rows_.size(); ++r) {
    for (std::size_t i = 0; i < columns_.size() && i < texts[r].size(); ++i)
      put(i, texts[r][i], rows_[r][i].colour, i + 1 == columns_.size());
    out += '\n';
  }
  return out;
}

}  // namespace vps::cli
