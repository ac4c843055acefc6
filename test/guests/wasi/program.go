// A program in Go: goroutines, sleeps, maps, files. Its status is 3.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sort"
	"strings"
	"sync"
	"time"
)

func main() {
	var group sync.WaitGroup
	results := make([]int, 8)
	for i := range results {
		group.Add(1)
		go func() {
			defer group.Done()
			time.Sleep(time.Duration(8-i) * 10 * time.Millisecond)
			results[i] = i * i
		}()
	}
	group.Wait()
	fmt.Println(results)

	start := time.Now()
	time.Sleep(time.Second)
	slept := time.Since(start)
	fmt.Println("slept:", slept >= time.Second && slept < 2*time.Second)

	select {
	case <-time.After(50 * time.Millisecond):
		fmt.Println("timer")
	case <-make(chan int):
	}

	counts := map[string]int{}
	scanner := bufio.NewScanner(os.Stdin)
	for scanner.Scan() {
		for _, word := range strings.Fields(scanner.Text()) {
			counts[word]++
		}
	}
	words := make([]string, 0, len(counts))
	for word := range counts {
		words = append(words, word)
	}
	sort.Strings(words)
	for _, word := range words {
		fmt.Println(word, counts[word])
	}

	check(os.MkdirAll("/tmp/go/deep", 0o755))
	check(os.WriteFile("/tmp/go/deep/file", []byte("written by Go\n"), 0o644))
	text, err := os.ReadFile("/tmp/go/deep/file")
	check(err)
	fmt.Print(string(text))
	check(fs.WalkDir(os.DirFS("/tmp"), ".", func(path string, entry fs.DirEntry, err error) error {
		fmt.Println(path, entry.IsDir())
		return err
	}))
	_, err = os.Stat("/tmp/missing")
	fmt.Println(errors.Is(err, fs.ErrNotExist))
	check(os.RemoveAll("/tmp/go"))
	fmt.Println(os.Args[1:], os.Getenv("GREETING"))

	func() {
		defer func() { fmt.Println("recovered:", recover()) }()
		var none []int
		fmt.Println(none[len(os.Args)])
	}()
	fmt.Fprintln(os.Stderr, "to the error output")
	os.Exit(3)
}

func check(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
