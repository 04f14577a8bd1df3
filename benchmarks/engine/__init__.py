"""What the benchmarks and the tests of the engine share: stages that cost nothing, servers, hosts, runs to kill."""
