# Targets say what they do with `make help`. Tests, benchmarks and the demo
# run real Incus containers on this machine and need root.
.DEFAULT_GOAL := help
LAB := tests/lab/lab

.PHONY: help demo demo-down test check bench prove soak fuzz lab clean-lab

help: ## this list
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 12

demo: ## a sentinel with one container on this machine, to try by hand
	@tests/demo

demo-down: ## remove the demo
	@tests/demo-down

test: lab ## every test; installs what is missing, leaves the lab up
	tests/lab/clients
	cargo build --locked
	cargo test --locked --lib --tests

check: ## formatting, lints, documentation
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	RUSTDOCFLAGS=-Dwarnings cargo doc --no-deps

bench: lab ## the door beside ssh -J; writes docs/benchmarks.md, BENCH_QUICK=1 does not
	cargo bench --bench door

prove: lab ## bulk, key exchanges and stalled readers with the full figures; minutes
	PROVE=1 cargo test --locked --release --test e2e -- endurance crowd_of_hostile --nocapture --test-threads=1

soak: lab ## mixed clients for half an hour, SOAK_SECONDS=1800; nothing may grow
	cargo bench --bench soak

fuzz: ## fuzz each target for FUZZ_SECONDS=1800; FUZZ_TARGETS="a b" (docs/fuzzing.md)
	@fuzz/run

lab: ## bring up the test fleet (see tests/lab/README.md)
	tests/lab/install
	$(LAB) up

clean-lab: ## remove the test fleet
	$(LAB) down
