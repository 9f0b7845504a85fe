module hubward.dev/bench/go-load

go 1.26.0
