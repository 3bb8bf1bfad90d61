use Test::More;

ok 1, 'one';
die "gone\n";
