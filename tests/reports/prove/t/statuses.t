# A test of every status that Test::More knows.
use strict;
use warnings;
use Test::More;

ok 1, 'passes';
is 'a', 'b', 'fails <&> "quoted"';
is_deeply { a => [1, 2] }, { a => [1, 3] }, 'fails deeply';
ok 1;
ok 0;
ok 1, 'a name with # SKIP and \\';
SKIP: { skip 'no such device', 2; ok 0; ok 0; }
TODO: { local $TODO = 'soon'; ok 0, 'is to be done and fails'; ok 1, 'is to be done and passes'; }
note 'a note';
ok 1, 'same';
ok 1, 'same';
done_testing;
