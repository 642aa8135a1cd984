# List the recipes.
default:
    @just --list

# Everything that needs no test run: format, lints, docs, dependencies.
check: fmt-check clippy doc deny

# Format the code.
fmt:
    cargo fmt --all

# Is the code formatted?
fmt-check:
    cargo fmt --all --check

# Lints, as errors.
clippy:
    cargo clippy --workspace --all-targets --locked -- -D warnings

# Build the documentation; a broken link is an error.
doc $RUSTDOCFLAGS="-D warnings":
    cargo doc --workspace --no-deps --locked

# Arrows between crates, licences, sources.
deny:
    cargo deny --locked check --hide-inclusion-graph bans licenses sources

# Every test.
test:
    cargo test --workspace

# Every test, within 13 minutes of two cores, as CI runs them; with the three suites below 39.
ci-test: (_within "13" "cargo test --workspace --locked")

# Killed processes, within 5 minutes.
ci-real: (_within "5" "just real 8 1")

# 2,000 random histories, within 15 minutes.
ci-simulate: (_within "15" "just simulate 2000")

# The hunt for planted mistakes, within 6 minutes.
ci-mutants: (_within "6" "just mutants")

# Needs `timeout` of the GNU coreutils.
_within MINUTES COMMAND:
    timeout {{MINUTES}}m {{COMMAND}} || { [ $? -ne 124 ] || echo "longer than {{MINUTES}} minutes: {{COMMAND}}" >&2; exit 1; }

# Play N random histories in release; SIMULATE_FIRST_SEED says where to begin.
simulate N="2000":
    SIMULATE_SEEDS={{N}} cargo test --release --locked -p moonforge-e2e --features simulation --test simulation -- --nocapture

# Plant each mistake in the engine and see that the simulation finds it; MUTANT=name tries one.
mutants:
    cargo test --release --locked -p moonforge-e2e --features simulation --test mutants -- --nocapture

# Kill N syncing processes and play SEEDS random histories of real processes on the emulator, in release.
real N="100" SEEDS="10":
    REAL_KILLS={{N}} REAL_SEEDS={{SEEDS}} cargo test --release --locked -p moonforge-e2e --features simulation --test emulator real:: -- --nocapture

# Pair each workload with its floor in ROUNDS alternating rounds; prints the rows of the table in docs/performance.md.
bench ROUNDS="5":
    cargo build --release --locked -p moonforge-bench
    for who in user admin; do \
      for workload in "w2 10000" "w3 10000" "w4 5000"; do \
        target/release/moonforge-bench $workload --as $who --pair {{ROUNDS}} || exit 1; \
      done; \
    done

# The guide's examples, which have to run.
examples:
    cargo run --locked -p moonforge --example own_collection
    cargo run --locked -p moonforge --example live_list
    cargo run --locked -p moonforge --example background_worker

# The story of two devices, told by the real engine.
demo:
    cargo run --release --locked -p moonforge-cli -- demo

# What CI runs.
ci:
    .ci/run
