// Aligned columns of text. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/common/output.h"

namespace vps::cli {

enum class Align { kLeft, kRight };

struct Column {
  std::string header;
  Align align = Align::kLeft;
};

struct Cell {
  std::string text;  // control characters are made visible; an empty one prints as "-"
  Colour colour = Colour::kNone;
};

class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  void add(std::vector<Cell> row) { rows_.push_back(std::move(row)); }
  [[nodiscard]] bool empty() const { return rows_.empty(); }

  // Two blanks between columns, none at the end of a line.
  [[nodiscard]] std::string render(const Output& output, bool headers = true) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

// Order of people: runs of digits compare as numbers, so that 9 < 101 and web-2 < web-10.
bool natural_less(std::string_view a, std::string_view b);

}  // namespace vps::cli
