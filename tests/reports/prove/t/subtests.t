# Tests inside of tests.
use strict;
use warnings;
use Test::More;

ok 1, 'before';
subtest 'subtests' => sub {
    plan tests => 3;
    ok 1, 'passes';
    ok 0, 'fails';
    subtest 'inside' => sub { ok 1, 'passes'; done_testing };
};
subtest 'skipped' => sub { plan skip_all => 'not now' };
done_testing;
