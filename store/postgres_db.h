#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <pqxx/pqxx>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "store/row.h"

namespace director {

/// A value on its way into a statement, as PostgreSQL reads it; nothing stands for NULL.
using PostgresValue = std::optional<std::string>;

PostgresValue ToPostgres(std::string_view text);
PostgresValue ToPostgres(std::int64_t number);
PostgresValue ToPostgres(Timestamp at);
PostgresValue ToPostgres(std::optional<Timestamp> at);
PostgresValue ToPostgres(bool flag);
PostgresValue ToPostgres(std::optional<bool> flag);
PostgresValue BytesToPostgres(std::string_view bytes);
template <typename Tag>
PostgresValue ToPostgres(const StrongId<Tag>& id) {
  return ToPostgres(std::string_view(id.value()));
}

/// Many rows in one statement: `Bind` takes the values row by row, the statement unnests one array
/// for each column.
class PostgresBatch {
 public:
  explicit PostgresBatch(std::size_t columns) : columns_(columns) {}

  template <typename T>
  PostgresBatch& Bind(const T& value) {
    Add(ToPostgres(value));
    return *this;
  }
  PostgresBatch& Bind(const char* text) { return Bind(std::string_view(text)); }
  PostgresBatch& Bind(int number) { return Bind(std::int64_t{number}); }
  PostgresBatch& BindFlag(bool flag) { return Bind(flag); }
  PostgresBatch& BindBytes(std::string_view bytes) {
    Add(BytesToPostgres(bytes));
    return *this;
  }
  bool empty() const { return columns_.front().empty(); }
  std::size_t size() const { return columns_.front().size(); }
  std::vector<PostgresValue> Arrays() const;

 private:
  void Add(PostgresValue value);

  std::vector<std::vector<PostgresValue>> columns_;
  std::size_t next_ = 0;
};

/// One array as a parameter.
template <typename Values>
PostgresValue ArrayToPostgres(const Values& values) {
  PostgresBatch rows(1);
  for (const auto& value : values) rows.Bind(value);
  return rows.Arrays().front();
}

/// What a statement returned, row by row: `Next` goes to the first one, then to each other.
class PostgresResult final : public Row {
 public:
  /// `table` names the rows in errors.
  PostgresResult(pqxx::result result, std::string_view table)
      : Row(table), result_(std::move(result)) {}

  bool Next() {
    StartOver();
    if (next_ >= result_.size()) return false;
    row_ = result_[next_++];
    return true;
  }
  std::int64_t affected_rows() const { return static_cast<std::int64_t>(result_.affected_rows()); }

 private:
  bool IsNull(int column) const override { return FieldAt(column).is_null(); }
  std::string_view TextAt(int column) const override;
  /// Of `encode(column, 'hex')`: what the server makes of bytes otherwise depends on its settings.
  std::string BytesAt(int column) const override;
  std::int64_t IntAt(int column) const override;
  bool FlagAt(int column) const override { return TextAt(column) == "t"; }
  std::string_view NameOf(int column) const override;
  pqxx::field FieldAt(int column) const;

  pqxx::result result_;
  pqxx::row row_;
  pqxx::result::size_type next_ = 0;
};

/// What PostgreSQL and the network to it say, as our error. kInvalid: the database refuses a value;
/// kConflict: another transaction was in the way, the same may work a moment later; kUnavailable:
/// all else.
Error DescribePostgres(const std::exception& failure);

/// The connection is gone, whatever it says itself.
bool IsLost(const std::exception& failure);

/// A pooler gave the session to somebody else: what was prepared is not there.
bool IsOtherSession(const std::exception& failure);

/// A connection that sends statements. Each is parsed and planned once and then named by its
/// digest; behind a pooler that hands out sessions by transaction, `prepares` has to be false.
class PostgresConnection {
 public:
  PostgresConnection(std::unique_ptr<pqxx::connection> connection, bool prepares)
      : connection_(std::move(connection)), prepares_(prepares) {}

  pqxx::connection& connection() { return *connection_; }
  bool is_usable() const { return !is_broken_ && connection_->is_open(); }
  bool prepares() const { return prepares_; }
  void SetBroken() { is_broken_ = true; }
  /// `sql` is a literal: its address stands for it.
  pqxx::result Execute(pqxx::transaction_base& transaction, const char* sql,
                       const std::vector<const char*>& parameters);
  /// In a transaction of its own with these settings, in one message. Requires: `prepares`.
  pqxx::result ExecuteAlone(pqxx::transaction_base& session, const char* settings, const char* sql,
                            const std::vector<const char*>& parameters);

 private:
  const std::string& Prepare(const char* sql);

  std::unique_ptr<pqxx::connection> connection_;
  const bool prepares_;
  bool is_broken_ = false;
  std::map<const char*, std::string> prepared_;  ///< names
};

/// An open transaction. The first error sticks: later statements are not sent and return it.
class PostgresTransaction {
 public:
  PostgresTransaction(PostgresConnection& connection, pqxx::transaction_base& transaction)
      : connection_(connection), transaction_(transaction) {}
  /// One that begins with its only statement, under `settings`, and ends with it.
  PostgresTransaction(PostgresConnection& connection, pqxx::transaction_base& session,
                      const char* settings)
      : connection_(connection), transaction_(session), settings_(settings) {}

  Result<PostgresResult> Run(const char* sql, const std::vector<PostgresValue>& values,
                             std::string_view table);
  /// kInvalid, as if the server had refused a value; it sticks.
  Status Refuse(std::string_view why);
  const std::optional<Error>& failure() const { return failure_; }
  /// The failure was the loss of the connection.
  bool is_lost() const { return is_lost_; }
  /// The failure was that of `IsOtherSession`.
  bool is_other_session() const { return is_other_session_; }

 private:
  PostgresConnection& connection_;
  pqxx::transaction_base& transaction_;
  const char* settings_ = nullptr;  ///< of the only statement
  bool has_ended_ = false;          ///< the only statement was sent
  std::optional<Error> failure_;
  bool is_lost_ = false;
  bool is_other_session_ = false;
};

}  // namespace director
