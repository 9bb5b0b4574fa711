#include "store/postgres_db.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/digest.h"
#include "base/invariant.h"
#include "base/text.h"

namespace director {
namespace {

constexpr std::size_t kMessageSizeMaxBytes = 300;
constexpr std::size_t kStatementDigits = 24;

constexpr char kHexDigits[] = "0123456789abcdef";

/// The element of an array literal. Source: PostgreSQL's documentation of array input.
void AppendElement(std::string& literal, const PostgresValue& value) {
  if (!value) {
    literal += "NULL";
    return;
  }
  literal += '"';
  for (const char c : *value) {
    if (c == '"' || c == '\\') literal += '\\';
    literal += c;
  }
  literal += '"';
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return 0;
}

/// Source: PostgreSQL's table of error codes.
ErrorKind KindOf(const pqxx::sql_error& refused) {
  const std::string_view error_class = std::string_view(refused.sqlstate()).substr(0, 2);
  for (const std::string_view of_value : {"21", "22", "23", "54"}) {
    if (error_class == of_value) return ErrorKind::kInvalid;
  }
  return ErrorKind::kUnavailable;
}

/// In libpqxx 6 these are no sql_error.
bool IsConflict(const std::exception& failure) {
  return dynamic_cast<const pqxx::serialization_failure*>(&failure) != nullptr ||
         dynamic_cast<const pqxx::deadlock_detected*>(&failure) != nullptr;
}

// libpqxx 6 (Debian 12) and 7 (Debian 13) take parameters in different ways.
#if PQXX_VERSION_MAJOR >= 7
void PrepareNow(pqxx::connection& connection, const std::string& name, const char* sql) {
  connection.prepare(name, sql);
}
#else
void PrepareNow(pqxx::connection& connection, const std::string& name, const char* sql) {
  connection.prepare(name, sql);
  connection.prepare_now(name);
}
#endif
#if PQXX_VERSION_MAJOR > 7 || (PQXX_VERSION_MAJOR == 7 && PQXX_VERSION_MINOR >= 10)
pqxx::result ExecuteText(pqxx::transaction_base& transaction, const char* sql,
                         const std::vector<const char*>& parameters) {
  pqxx::params given;
  for (const char* parameter : parameters) given.append(parameter);
  return transaction.exec(sql, given);
}
pqxx::result ExecutePrepared(pqxx::transaction_base& transaction, const std::string& name,
                             const std::vector<const char*>& parameters) {
  pqxx::params given;
  for (const char* parameter : parameters) given.append(parameter);
  return transaction.exec(pqxx::prepped{name}, given);
}
#else
pqxx::result ExecuteText(pqxx::transaction_base& transaction, const char* sql,
                         const std::vector<const char*>& parameters) {
  return transaction.exec_params(sql, pqxx::prepare::make_dynamic_params(parameters));
}
pqxx::result ExecutePrepared(pqxx::transaction_base& transaction, const std::string& name,
                             const std::vector<const char*>& parameters) {
  return transaction.exec_prepared(name, pqxx::prepare::make_dynamic_params(parameters));
}
#endif

/// The server's message in one line, without the values that it quotes in its DETAIL.
std::string FirstLine(std::string_view text) {
  text = text.substr(0, text.find('\n'));
  constexpr std::string_view kPrefix = "ERROR:  ";
  if (text.starts_with(kPrefix)) text.remove_prefix(kPrefix.size());
  return Printable(text, kMessageSizeMaxBytes);
}

/// What libpq says of every host that it tried, a line for each, without its hints: the first may
/// be a standby and another one the trouble.
std::string AllLines(std::string_view text) {
  std::string line;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view part = text.substr(begin, end - begin);
    if (!part.empty() && part.front() != '\t') {
      if (!line.empty()) line += "; ";
      line += part;
    }
    begin = end + 1;
  }
  return Printable(line, kMessageSizeMaxBytes);
}

}  // namespace

PostgresValue ToPostgres(std::string_view text) { return std::string(text); }
PostgresValue ToPostgres(std::int64_t number) { return std::to_string(number); }
PostgresValue ToPostgres(Timestamp at) { return ToPostgres(ToUnixMs(at)); }
PostgresValue ToPostgres(std::optional<Timestamp> at) {
  return at ? ToPostgres(*at) : std::nullopt;
}
PostgresValue ToPostgres(bool flag) { return std::string(flag ? "t" : "f"); }
PostgresValue ToPostgres(std::optional<bool> flag) {
  return flag ? ToPostgres(*flag) : std::nullopt;
}

PostgresValue BytesToPostgres(std::string_view bytes) {
  std::string hex = "\\x";
  hex.reserve(2 + 2 * bytes.size());
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    hex += kHexDigits[byte >> 4];
    hex += kHexDigits[byte & 0xf];
  }
  return hex;
}

void PostgresBatch::Add(PostgresValue value) {
  columns_[next_].push_back(std::move(value));
  next_ = (next_ + 1) % columns_.size();
}

std::vector<PostgresValue> PostgresBatch::Arrays() const {
  INVARIANT(next_ == 0);
  std::vector<PostgresValue> arrays;
  for (const auto& column : columns_) {
    std::string literal = "{";
    for (const PostgresValue& value : column) {
      if (literal.size() > 1) literal += ',';
      AppendElement(literal, value);
    }
    arrays.emplace_back(std::move(literal) + "}");
  }
  return arrays;
}

pqxx::field PostgresResult::FieldAt(int column) const {
  return row_[static_cast<pqxx::row::size_type>(column)];
}

std::string_view PostgresResult::TextAt(int column) const {
  const pqxx::field field = FieldAt(column);
  return {field.c_str(), field.size()};
}

std::string PostgresResult::BytesAt(int column) const {
  const std::string_view hex = TextAt(column);
  std::string bytes;
  bytes.reserve(hex.size() / 2);
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(HexDigit(hex[i]) * 16 + HexDigit(hex[i + 1]));
  }
  return bytes;
}

std::int64_t PostgresResult::IntAt(int column) const {
  const std::string_view text = TextAt(column);
  std::int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

std::string_view PostgresResult::NameOf(int column) const {
  return result_.column_name(static_cast<pqxx::row::size_type>(column));
}

Error DescribePostgres(const std::exception& failure) {
  Error error;
  error.detail = FirstLine(failure.what());
  if (IsConflict(failure)) {
    error.kind = ErrorKind::kConflict;
    error.message = "another transaction was in the way";
    return error;
  }
  if (const auto* refused = dynamic_cast<const pqxx::sql_error*>(&failure)) {
    error.kind = KindOf(*refused);
    error.message = error.kind == ErrorKind::kInvalid
                        ? fmt::format("the database refuses a value: {}", FirstLine(failure.what()))
                        : fmt::format("the database cannot be used: {}", FirstLine(failure.what()));
    error.detail = fmt::format("SQLSTATE {}: {}", refused->sqlstate(), error.detail);
    return error;
  }
  error.kind = ErrorKind::kUnavailable;
  error.message = fmt::format("the database cannot be reached: {}", AllLines(failure.what()));
  return error;
}

bool IsLost(const std::exception& failure) {
  return dynamic_cast<const pqxx::broken_connection*>(&failure) != nullptr;
}

/// Source: PostgreSQL's table of error codes: invalid_sql_statement_name, which says that there is
/// none of the name, and duplicate_prepared_statement.
bool IsOtherSession(const std::exception& failure) {
  const auto* refused = dynamic_cast<const pqxx::sql_error*>(&failure);
  return refused != nullptr && (refused->sqlstate() == "26000" || refused->sqlstate() == "42P05");
}

/// The digest as a name: in a session that is shared behind our back, the same name is the same
/// statement, whichever version of Director prepared it.
const std::string& PostgresConnection::Prepare(const char* sql) {
  const auto found = prepared_.find(sql);
  if (found != prepared_.end()) return found->second;
  std::string name = "director_" + Sha256Hex(sql).substr(0, kStatementDigits);
  PrepareNow(*connection_, name, sql);
  return prepared_.emplace(sql, std::move(name)).first->second;
}

pqxx::result PostgresConnection::Execute(pqxx::transaction_base& transaction, const char* sql,
                                         const std::vector<const char*>& parameters) {
  if (!prepares_) return ExecuteText(transaction, sql, parameters);
  return ExecutePrepared(transaction, Prepare(sql), parameters);
}

pqxx::result PostgresConnection::ExecuteAlone(pqxx::transaction_base& session, const char* settings,
                                              const char* sql,
                                              const std::vector<const char*>& parameters) {
  std::string message = fmt::format("{}; EXECUTE {}", settings, Prepare(sql));
  char separator = '(';
  for (const char* parameter : parameters) {
    message += separator;
    message += parameter == nullptr ? std::string("NULL") : session.quote(std::string(parameter));
    separator = ',';
  }
  if (!parameters.empty()) message += ')';
  return session.exec(message);
}

Result<PostgresResult> PostgresTransaction::Run(const char* sql,
                                                const std::vector<PostgresValue>& values,
                                                std::string_view table) {
  if (failure_) return Fail(*failure_);
  std::vector<const char*> parameters;
  for (const PostgresValue& value : values) {
    // PostgreSQL has no text with a NUL in it, and the wire would end there.
    if (value && value->find('\0') != std::string::npos) {
      const Status refused = Refuse("it has a zero byte");
      return Fail(refused.error());
    }
    parameters.push_back(value ? value->c_str() : nullptr);
  }
  try {
    if (settings_ == nullptr) {
      return PostgresResult(connection_.Execute(transaction_, sql, parameters), table);
    }
    INVARIANT(!has_ended_);
    has_ended_ = true;
    return PostgresResult(connection_.ExecuteAlone(transaction_, settings_, sql, parameters),
                          table);
  } catch (const std::exception& failure) {
    failure_ = DescribePostgres(failure);
    is_lost_ = IsLost(failure);
    is_other_session_ = IsOtherSession(failure);
    return Fail(*failure_);
  }
}

Status PostgresTransaction::Refuse(std::string_view why) {
  failure_ = MakeError(ErrorKind::kInvalid, fmt::format("the database refuses a value: {}", why));
  return Fail(*failure_);
}

}  // namespace director
