# The verbs of this repository. Each calls a script, so nobody needs `just`: `./scripts/up` and `./scripts/test` do all.

set shell := ["bash", "-euo", "pipefail", "-c"]
# "$@" in a recipe is what was typed, quotes and all.
set positional-arguments

[private]
default:
    @just --list --unsorted

# install what is missing on this machine: PostgreSQL, Podman, Rust, cargo-nextest, the user tstr
setup:
    ./scripts/test setup

# build a debug tstr and start all of it with the demo tests; arguments go to `tstr up`
dev *ARGS:
    TSTR_UP_PROFILE=dev ./scripts/up "$@"

# open psql on the database of a running tstr: `just db [DATA-DIR] [PSQL-ARGUMENT…]`
db *ARGS:
    ./scripts/db "$@"

# format all code
fmt:
    cargo fmt --all

# clippy, warnings are errors
lint:
    ./scripts/test lint

# all tests, or those that match: `just test -E 'test(claim)'`
test *ARGS:
    ./scripts/test build test "$@"

# break things while the product works, and check that every invariant holds: the rows that every change must pass
faults *ARGS:
    ./scripts/test build faults "$@"

# all rows, in about half an hour; one of them: `just faults-all -E 'test(row_13)'`
faults-all *ARGS:
    ./scripts/test build faults-all "$@"

# run the suites of tests/reports with the real test frameworks, in containers, and store what they write
reports *ARGS:
    ./scripts/reports "$@"

# give the readers of reports and result data hostile bytes, SECONDS for each of them, from another seed each time
fuzz SECONDS="600":
    TSTR_FUZZ_SECS="$1" TSTR_FUZZ_SEED="${TSTR_FUZZ_SEED:-$RANDOM$RANDOM}" cargo nextest run --locked -p tstr-shared --test fuzz --no-capture --profile fuzz

# how long each page of the web UI takes over a million runs, on a quiet machine; some minutes
ui-budgets:
    ./scripts/ui-instance npm run budgets

# the pictures in docs/screenshots, anew
ui-screenshots:
    ./scripts/ui-instance npm run screenshots

# write the generated files anew: openapi/, .sqlx/, migrations/schema.sql
gen:
    ./scripts/gen

# everything that must be green before review, as continuous integration runs it
verify:
    ./scripts/test

# measure everything, or the sections that are named, on a quiet machine; `just bench --quick` only shows that it works
bench *ARGS:
    ./scripts/bench "$@"
