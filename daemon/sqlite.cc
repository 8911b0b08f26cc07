#include "daemon/sqlite.h"

#include <sqlite3.h>

namespace vps::daemon {
namespace {

std::unexpected<Error> error_of(sqlite3* handle, std::string_view what, int rc) {
  Code code = rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB ? Code::kUsage
              : rc == SQLITE_FULL                         ? Code::kUnavailable
                                                          : Code::kFailed;
  return fail(code, "ledger: {}: {}", what, handle != nullptr ? sqlite3_errmsg(handle) : sqlite3_errstr(rc));
}

}  // namespace

void SqlStatement::Closer::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
void SqlFile::Closer::operator()(sqlite3* handle) const { sqlite3_close(handle); }

SqlStatement& SqlStatement::bind(int index, std::string_view text) {
  sqlite3_bind_text(statement_.get(), index, text.data(), static_cast<int>(text.size()), SQLITE_TRANSIENT);
  return *this;
}

SqlStatement& SqlStatement::bind(int index, std::int64_t number) {
  sqlite3_bind_int64(statement_.get(), index, number);
  return *this;
}

Result<bool> SqlStatement::step() {
  int rc = sqlite3_step(statement_.get());
  if (rc == SQLITE_ROW) return true;
  if (rc == SQLITE_DONE) return false;
  return error_of(handle_, sqlite3_sql(statement_.get()), rc);
}

Result<> SqlStatement::run() {
  auto done = step();
  sqlite3_reset(statement_.get());
  if (!done) return std::unexpected(std::move(done).error());
  return {};
}

std::string SqlStatement::text(int column) const {
  const auto* text = sqlite3_column_text(statement_.get(), column);
  if (text == nullptr) return {};
  return {reinterpret_cast<const char*>(text), static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

std::int64_t SqlStatement::number(int column) const { return sqlite3_column_int64(statement_.get(), column); }

Result<SqlFile> SqlFile::open_with(const std::string& path, int flags) {
  sqlite3* handle = nullptr;
  int rc = sqlite3_open_v2(path.c_str(), &handle, flags | SQLITE_OPEN_FULLMUTEX, nullptr);
  SqlFile file(handle);
  if (rc != SQLITE_OK) return error_of(handle, "open " + path, rc);
  constexpr int kBusyMs = 2'000;  // a person may have it open with the sqlite3 tool
  sqlite3_busy_timeout(handle, kBusyMs);
  return file;
}

Result<SqlFile> SqlFile::open(const std::string& path) {
  auto file = VPS_TRY(open_with(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE));
  VPS_TRY(file.execute("PRAGMA journal_mode=WAL"));
  return file;
}

Result<SqlFile> SqlFile::open_readonly(const std::string& path) { return open_with(path, SQLITE_OPEN_READONLY); }

Result<> SqlFile::execute(const char* sql) const {
  int rc = sqlite3_exec(handle_.get(), sql, nullptr, nullptr, nullptr);
  if (rc != SQLITE_OK) return error_of(handle_.get(), sql, rc);
  return {};
}

Result<SqlStatement> SqlFile::prepare(const char* sql) const {
  sqlite3_stmt* statement = nullptr;
  int rc = sqlite3_prepare_v2(handle_.get(), sql, -1, &statement, nullptr);
  if (rc != SQLITE_OK) return error_of(handle_.get(), "prepare", rc);
  return SqlStatement(handle_.get(), statement);
}

Result<std::int64_t> SqlFile::number(const char* sql) const {
  auto statement = VPS_TRY(prepare(sql));
  if (!VPS_TRY(statement.step())) return fail(Code::kFailed, "ledger: {}: no answer", sql);
  return statement.number(0);
}

Result<SqlTransaction> SqlTransaction::begin(const SqlFile& file) {
  VPS_TRY(file.execute("BEGIN IMMEDIATE"));
  return SqlTransaction(file);
}

SqlTransaction::~SqlTransaction() {
  if (file_ != nullptr) (void)file_->execute("ROLLBACK");
}

Result<> SqlTransaction::commit() {
  VPS_TRY(file_->execute("COMMIT"));
  file_ = nullptr;
  return {};
}

}  // namespace vps::daemon
