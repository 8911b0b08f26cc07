// A connection to an SQLite file in WAL mode, and its statements. sqlite3.h stays in the .cc. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"

struct sqlite3;
struct sqlite3_stmt;

namespace vps::daemon {

class SqlStatement {
 public:
  // Parameters count from 1, columns from 0.
  SqlStatement& bind(int index, std::string_view text);
  SqlStatement& bind(int index, std::int64_t number);
  SqlStatement& bind(int index, std::uint64_t number) { return bind(index, static_cast<std::int64_t>(number)); }
  Result<bool> step();  // true: a row is there; false: done
  Result<> run();       // a statement without rows; may be run again with other parameters
  [[nodiscard]] std::string text(int column) const;
  [[nodiscard]] std::int64_t number(int column) const;

 private:
  friend class SqlFile;
  struct Closer {
    void operator()(sqlite3_stmt* statement) const;
  };
  SqlStatement(sqlite3* handle, sqlite3_stmt* statement) : handle_(handle), statement_(statement) {}
  sqlite3* handle_;
  std::unique_ptr<sqlite3_stmt, Closer> statement_;
};

class SqlFile {
 public:
  // kUsage: the file is damaged or no database, as for any other file that does not parse. Made when missing.
  static Result<SqlFile> open(const std::string& path);
  static Result<SqlFile> open_readonly(const std::string& path);

  Result<> execute(const char* sql) const;
  Result<SqlStatement> prepare(const char* sql) const;
  Result<std::int64_t> number(const char* sql) const;  // the first column of the first row

 private:
  struct Closer {
    void operator()(sqlite3* handle) const;
  };
  static Result<SqlFile> open_with(const std::string& path, int flags);
  explicit SqlFile(sqlite3* handle) : handle_(handle) {}
  std::unique_ptr<sqlite3, Closer> handle_;
};

// Rolls back when it goes out of scope without commit().
class SqlTransaction {
 public:
  static Result<SqlTransaction> begin(const SqlFile& file);
  SqlTransaction(SqlTransaction&& other) noexcept : file_(std::exchange(other.file_, nullptr)) {}
  SqlTransaction& operator=(SqlTransaction&&) = delete;
  ~SqlTransaction();
  Result<> commit();

 private:
  explicit SqlTransaction(const SqlFile& file) : file_(&file) {}
  const SqlFile* file_;
};

}  // namespace vps::daemon
