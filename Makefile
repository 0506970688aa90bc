# The commands of this project. Each needs only rustup, Python 3 and a C compiler.

CARGO ?= cargo
DENY_VERSION := 0.20.2
DENY := target/tools/bin/cargo-deny
FUZZ_VERSION := 0.13.2
FUZZ := target/tools/bin/cargo-fuzz

.PHONY: demo test sdk sdk-install check docs-check conformance ci wasm wasm-dev envoy toolchain fmt clippy doc deny advisories policy paper-check results bench bench-core soak load attack fuzz fuzz-module tokens clean

# Play some hundred sessions through Envoy with every policy; print the table and leave a plot.
demo: wasm envoy
	$(CARGO) build --release --workspace --bin demo
	target/release/demo

# All tests, those in real Envoy included.
test: wasm envoy sdk-install
	$(CARGO) test --release --workspace

# Play the official client libraries of three providers through the filter in a real Envoy, against strict model servers.
# `SDK="--only openai_cases.py"`, `SDK=--table` (writes the table in envoy/README.md).
SDK :=
sdk: wasm envoy sdk-install
	$(CARGO) build --release --workspace --bin sdk
	target/release/sdk $(SDK)

# Install these libraries into target/sdk, in pinned versions (needs Python 3.11 with pip, and Node 20 with npm).
sdk-install:
	@sh tests/sdk/install.sh

# The quick part of `test`: unit tests without the module and without Envoy.
check: toolchain
	$(CARGO) test --release --workspace --lib --bins

# Check that every command, option, path and link in the documents exists, and run the commands or a short form of them.
docs-check: wasm envoy
	$(CARGO) build --release --workspace --bins --tests
	python3 -B -m unittest discover --start-directory tests/docs_check
	python3 -B tests/docs_check

# Plugins of other projects in the harness; harness/CONFORMANCE.md says which and where they go.
conformance: envoy
	$(CARGO) test --release --workspace --test conformance --test in_envoy -- --include-ignored

# What CI runs.
ci: fmt clippy doc deny test docs-check

# Build the filter's module.
wasm: toolchain
	$(CARGO) build --profile wasm --target wasm32-wasip1 -p seqroute-filter

# Build the module quickly, without link-time optimisation, for work on the filter.
wasm-dev: toolchain
	$(CARGO) build --profile wasm-dev --target wasm32-wasip1 -p seqroute-filter

# Get Envoy 1.40 into target/envoy (or use $ENVOY_BIN).
envoy:
	@sh envoy/get-envoy.sh

# Install the pinned toolchain's wasm target, if it is missing.
toolchain:
	@rustup target list --installed | grep -qx wasm32-wasip1 || rustup target add wasm32-wasip1

# Train the shipped default policy again; the same command gives the same bytes.
policy:
	$(CARGO) build --release --workspace --bin seqroute
	target/release/seqroute train --simulate 16000 --seed 1 --name default --out envoy/policy/default.nnef.tar

# Send five million sessions through the core and through the module, and check that memory stays bounded (some minutes; an interrupt ends it with the figures so far).
soak: wasm
	$(CARGO) build --release --workspace --bin seqroute-harness
	target/release/seqroute-harness soak

# Try to overspend budgets: 100,000 turns with faults through real Envoy, next to a post-hoc checker.
load: wasm envoy
	$(CARGO) build --release --workspace --bin load
	target/release/load

# Attack the filter in a real Envoy: hostile clients, and hostile model servers that keep their own bill. `ATTACK="--seconds 120"`,
# `ATTACK="--kinds references,no_id --turns 2000"`, `ATTACK=--list`.
ATTACK :=
attack: wasm envoy
	$(CARGO) build --release --workspace --bin attack
	target/release/attack $(ATTACK)

# Repeat the paper's experiment on simulated sessions of its shape (trainer/docs/method.md); some minutes.
PAPER := target/paper
paper-check:
	$(CARGO) build --release --workspace --bin seqroute
	mkdir -p $(PAPER)
	target/release/seqroute simulate --scenario paper --sessions 10000 --seed 1 --out $(PAPER)/train.jsonl.gz
	target/release/seqroute simulate --scenario paper --sessions 1000 --seed 2 --out $(PAPER)/valid.jsonl.gz
	target/release/seqroute simulate --scenario paper --sessions 2000 --seed 3 --out $(PAPER)/test.jsonl.gz
	target/release/seqroute train --dry-run --data $(PAPER)/train.jsonl.gz \
	  --models trainer/examples/paper.models.json --config trainer/examples/paper.toml
	for name in paper paper-bc; do target/release/seqroute train --data $(PAPER)/train.jsonl.gz \
	  --valid $(PAPER)/valid.jsonl.gz --models trainer/examples/paper.models.json \
	  --config trainer/examples/$$name.toml --name $$name --out $(PAPER)/$$name.nnef.tar || exit 1; done
	target/release/seqroute train --data $(PAPER)/train.jsonl.gz --valid $(PAPER)/valid.jsonl.gz \
	  --models trainer/examples/paper.models.json --name ours --out $(PAPER)/ours.nnef.tar
	target/release/seqroute evaluate --policy ours=$(PAPER)/ours.nnef.tar --policy bc=$(PAPER)/paper-bc.nnef.tar \
	  --policy cql=$(PAPER)/paper.nnef.tar --policy cql@2.5=$(PAPER)/paper.nnef.tar --rule next-cost \
	  --models trainer/examples/paper.models.json --data $(PAPER)/test.jsonl.gz --train $(PAPER)/train.jsonl.gz \
	  --tune $(PAPER)/valid.jsonl.gz --budgets-nano-usd 500,1500,3000,5000,8000 --html $(PAPER)/report.html \
	  --json $(PAPER)/report.json

# Run the experiments of trainer/docs/results.md and write that page; DATA=… is the folder of the real outcomes, which are left out without it.
results:
	$(CARGO) build --release --workspace --bin seqroute
	python3 trainer/docs/results.py $(if $(DATA),--data $(DATA))

# Run every fuzz target for ten minutes (filter/fuzz/README.md); `make fuzz FUZZ_TARGETS=json FUZZ_SECONDS=30` runs one.
FUZZ_TARGETS := $(basename $(notdir $(wildcard filter/fuzz/fuzz_targets/*.rs)))
FUZZ_SECONDS := 600
fuzz: $(FUZZ)
	@for name in $(FUZZ_TARGETS); do \
	  found=target/fuzz-corpus/$$name; mkdir -p $$found; \
	  if [ -f filter/fuzz/corpus/$$name.tar.xz ]; then tar -xJf filter/fuzz/corpus/$$name.tar.xz -C $$found; fi; \
	  RUSTC_BOOTSTRAP=1 $(FUZZ) fuzz run --fuzz-dir filter/fuzz --target-dir target/fuzz --sanitizer none $$name \
	    $$found filter/fuzz/seeds/$$name -- -max_total_time=$(FUZZ_SECONDS) -timeout=20 -print_final_stats=1 \
	    -max_len=$$(case $$name in policy_archive) echo 100000;; *) echo 8192;; esac) || exit 1; done

$(FUZZ):
	$(CARGO) install --locked --debug --quiet --root target/tools --version $(FUZZ_VERSION) cargo-fuzz

# Test the tables of tokens per byte (filter/tokens/README.md) against the vocabularies that need no download.
tokens:
	$(CARGO) test --release --locked --manifest-path filter/tokens/Cargo.toml --target-dir target/tokens

# Send a million random requests through the compiled filter.
fuzz-module: wasm
	$(CARGO) build --release --workspace --bin fuzz-module
	target/release/fuzz-module

# Measure module size, boot time and added latency in real Envoy.
bench: wasm envoy
	$(CARGO) build --release --workspace --bin bench
	target/release/bench

# Measure the parts of a turn natively: scanners, decision, ledger.
bench-core:
	$(CARGO) bench --manifest-path filter/bench/Cargo.toml --target-dir target/bench-core

# Formatting, as CI checks it.
fmt:
	$(CARGO) fmt --all --check

# Lints for the host, for the module, and for what is built apart from both.
clippy: toolchain
	$(CARGO) clippy --release --workspace --all-targets -- -D warnings
	$(CARGO) clippy --profile wasm --target wasm32-wasip1 -p seqroute-filter -- -D warnings
	for side in fuzz bench tokens; do $(CARGO) clippy --manifest-path filter/$$side/Cargo.toml --target-dir target/side \
	  --all-targets --locked -- -D warnings || exit 1; done

# The documentation, without a warning.
doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --workspace --no-deps

# Licences and sources of all dependencies (installs cargo-deny into target/tools first).
deny: $(DENY)
	$(DENY) check licenses bans sources

# Known vulnerabilities; needs the advisory database's git host.
advisories: $(DENY)
	$(DENY) check advisories

$(DENY):
	$(CARGO) install --locked --debug --quiet --root target/tools --version $(DENY_VERSION) cargo-deny

# Remove everything that was built or fetched.
clean:
	$(CARGO) clean
