#include "mdm/os_build.h"
#include "tests/support/catch.h"

namespace director::mdm_os_build_test {
namespace {

TEST_CASE("builds are ordered by numbers, not by text") {
  CHECK(HasBuildGrown("22G74", "22G90"));
  CHECK(HasBuildGrown("22A99", "22A100"));
  CHECK(HasBuildGrown("22G74", "23A344"));
  CHECK(HasBuildGrown("9A1", "10A1"));
  CHECK(HasBuildGrown("22A380", "22B5001c"));
  CHECK_FALSE(HasBuildGrown("22A100", "22A99"));
  CHECK_FALSE(HasBuildGrown("23A344", "22G74"));
  CHECK_FALSE(HasBuildGrown("22G74", "22G74"));
}

TEST_CASE("builds that cannot be ordered never count as newer") {
  CHECK_FALSE(HasBuildGrown("", "22G74"));
  CHECK_FALSE(HasBuildGrown("22G74", ""));
  CHECK_FALSE(HasBuildGrown("22G74", "unknown"));
  CHECK_FALSE(HasBuildGrown("22A5266r", "22A5300a"));
  CHECK_FALSE(HasBuildGrown("22A380", "22A5266r"));
  CHECK_FALSE(HasBuildGrown("22G74", "22G90ab"));
  CHECK_FALSE(HasBuildGrown("22G74", "-23A1"));
  CHECK_FALSE(HasBuildGrown("22G74", "99999999999A1"));
  CHECK_FALSE(HasBuildGrown("22G74", "23a344"));
}

}  // namespace
}  // namespace director::mdm_os_build_test
