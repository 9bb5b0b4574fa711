#pragma once

#include <string>

#include "base/text.h"
#include "tests/support/catch.h"

namespace director::test {

/// The bytes of a PEM text with one block.
inline std::string DerOf(const std::string& pem) {
  const std::size_t begin = pem.find('\n');
  const std::size_t end = pem.find("-----END");
  REQUIRE(begin != std::string::npos);
  REQUIRE(end != std::string::npos);
  std::string base64 = pem.substr(begin, end - begin);
  std::erase(base64, '\n');
  const Result<std::string> der = DecodeBase64(base64);
  REQUIRE(der);
  return *der;
}

}  // namespace director::test
