// A library in Go (a reactor): its functions are called from outside.
package main

import "time"

var calls = map[string]int64{}

//go:wasmexport add
func add(a, b int64) int64 {
	calls["add"]++
	return a + b
}

//go:wasmexport count
func count() int64 {
	return calls["add"]
}

// The sum of 1 to n, which so many goroutines send, each after a sleep.
//
//go:wasmexport sum
func sum(n int32) int64 {
	numbers := make(chan int64)
	for i := int64(1); i <= int64(n); i++ {
		go func() {
			time.Sleep(time.Duration(i) * time.Millisecond)
			numbers <- i
		}()
	}
	total := int64(0)
	for range n {
		total += <-numbers
	}
	return total
}

func main() {}
