// A test of every status that googletest knows.
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "gtest/gtest.h"

TEST(Statuses, Passes) { RecordProperty("ticket", 17); }
TEST(Statuses, Fails) {
  EXPECT_EQ(1, 2) << "<first> & \"quoted\" \x1b[31mred\x1b[0m";
  EXPECT_EQ(std::string("a"), "b") << "second ]]>";
}
TEST(Statuses, FailsHard) { ASSERT_TRUE(false); }
TEST(Statuses, Raises) { throw std::runtime_error("no assertion"); }
TEST(Statuses, IsSkipped) { GTEST_SKIP() << "not now"; }
TEST(Statuses, DISABLED_IsDisabled) { FAIL(); }
TEST(DISABLED_Suite, One) { FAIL(); }

class Fixture : public testing::Test {
 protected:
  void SetUp() override { GTEST_SKIP() << "no such device"; }
};
TEST_F(Fixture, IsSkippedBySetUp) {}

class BrokenFixture : public testing::Test {
 protected:
  void SetUp() override { FAIL() << "the setup is broken"; }
};
TEST_F(BrokenFixture, NeverRuns) {}

class BrokenSuite : public testing::Test {
 protected:
  static void SetUpTestSuite() { ADD_FAILURE() << "the suite's setup is broken"; }
};
TEST_F(BrokenSuite, Passes) {}

class Numbers : public testing::TestWithParam<int> {};
TEST_P(Numbers, IsSmall) { EXPECT_LT(GetParam(), 3); }
INSTANTIATE_TEST_SUITE_P(Few, Numbers, testing::Values(1, 2, 3));
INSTANTIATE_TEST_SUITE_P(Words, Numbers, testing::Values(1, 2), [](const auto& info) { return info.param == 1 ? "One" : "Two"; });

template <typename T>
class Typed : public testing::Test {};
using Types = testing::Types<int, std::string>;
TYPED_TEST_SUITE(Typed, Types);
TYPED_TEST(Typed, IsSmall) { EXPECT_LE(sizeof(TypeParam), 8u); }
