// A load of HTTP/1.1 requests that costs little itself. Closed: each connection sends its next request when it has its
// answer. Open: requests are due at a fixed rate, and the time of each counts from when it was due, whether or not a
// connection was free to send it: a server that stands still for a second then shows a second, to all who came in it.
// Prints one line of JSON.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

type headerList []string

func (list *headerList) String() string { return strings.Join(*list, ", ") }
func (list *headerList) Set(value string) error {
	*list = append(*list, value)
	return nil
}

// One request that has ended: when it was due (open) or sent (closed), how late it was sent, how long it took.
type ended struct {
	dueNs, lateNs, tookNs int64
	status                int16
	where                 string
}

type options struct {
	address               string
	connections, requests int
	rate                  float64
	seconds               float64
	method, path, body    string
	mark                  string
	byBody                bool
	trace                 string
	patience              time.Duration
	headers               headerList
}

// Values of the mark that are told apart.
const marksMax = 32

type result struct {
	Requests int `json:"requests"`
	// When the first request was due, in milliseconds since 1970.
	StartMs  float64        `json:"startMs"`
	WallMs   float64        `json:"wallMs"`
	CPUMs    float64        `json:"cpuMs"`
	PerS     float64        `json:"perSecond"`
	P50Ms    float64        `json:"p50Ms"`
	P99Ms    float64        `json:"p99Ms"`
	P999Ms   float64        `json:"p999Ms"`
	MaxMs    float64        `json:"maxMs"`
	LateMs   float64        `json:"lateP99Ms"`
	ByStatus map[string]int `json:"byStatus"`
	ByMark   map[string]int `json:"byMark"`
	// Broken connections, patience that ended, and answers that are not 2xx.
	Bad int `json:"bad"`
}

// The request of this number: tenants take turns, so that nobody can remember one answer for all.
func (o *options) request(number int) []byte {
	text := make([]byte, 0, 512)
	text = append(text, o.method...)
	text = append(text, ' ')
	text = append(text, o.path...)
	text = append(text, " HTTP/1.1\r\nhost: bench\r\nx-tenant: tenant-"...)
	text = strconv.AppendInt(text, int64(number%50), 10)
	text = append(text, "\r\n"...)
	for _, header := range o.headers {
		text = append(text, header...)
		text = append(text, "\r\n"...)
	}
	if o.body != "" {
		text = append(text, "content-type: application/json\r\ncontent-length: "...)
		text = strconv.AppendInt(text, int64(len(o.body)), 10)
		text = append(text, "\r\n"...)
	}
	text = append(text, "\r\n"...)
	return append(text, o.body...)
}

// An answer is read to its end; closes says that the connection can't be used again.
func (o *options) read(reader *bufio.Reader) (status int16, where string, closes bool, err error) {
	line, err := reader.ReadSlice('\n')
	if err != nil {
		return 0, "", true, err
	}
	if len(line) < 12 {
		return 0, "", true, fmt.Errorf("no status line")
	}
	code, err := strconv.Atoi(string(line[9:12]))
	if err != nil {
		return 0, "", true, err
	}
	length, chunked := 0, false
	for {
		line, err = reader.ReadSlice('\n')
		if err != nil {
			return 0, "", true, err
		}
		if len(line) <= 2 {
			break
		}
		name, value, _ := strings.Cut(strings.TrimRight(string(line), "\r\n"), ":")
		value = strings.TrimSpace(value)
		switch strings.ToLower(name) {
		case "content-length":
			length, _ = strconv.Atoi(value)
		case "transfer-encoding":
			chunked = value == "chunked"
		case "connection":
			closes = value == "close"
		case o.mark:
			where = value
		}
	}
	for chunked {
		line, err = reader.ReadSlice('\n')
		if err != nil {
			return 0, "", true, err
		}
		size, err := strconv.ParseInt(strings.TrimSpace(string(line)), 16, 64)
		if err != nil {
			return 0, "", true, err
		}
		if _, err = reader.Discard(int(size) + 2); err != nil {
			return 0, "", true, err
		}
		chunked = size > 0
	}
	if length > 0 {
		if o.byBody && length < 64 {
			body := make([]byte, length)
			_, err = io.ReadFull(reader, body)
			where = string(body)
		} else {
			_, err = reader.Discard(length)
		}
	}
	return int16(code), where, closes, err
}

// One connection's life: requests as they are handed out, until there are no more.
func (o *options) work(next *atomic.Int64, begun func() time.Time, ready *sync.WaitGroup) []ended {
	var connection net.Conn
	var reader *bufio.Reader
	open := func() error {
		if connection != nil {
			connection.Close()
		}
		var err error
		if connection, err = net.Dial("tcp", o.address); err != nil {
			connection = nil
			return err
		}
		reader = bufio.NewReaderSize(connection, 16384)
		return nil
	}
	failed := open() != nil
	ready.Done()
	start := begun()
	all := make([]ended, 0, 4096)
	for {
		number := int(next.Add(1) - 1)
		var due time.Time
		if o.rate > 0 {
			due = start.Add(time.Duration(float64(number) / o.rate * 1e9))
			if due.Sub(start).Seconds() >= o.seconds {
				break
			}
			time.Sleep(time.Until(due))
		} else if number >= o.requests || o.seconds > 0 && time.Since(start).Seconds() >= o.seconds {
			break
		}
		sent := time.Now()
		if o.rate <= 0 {
			due = sent
		}
		one := ended{dueNs: due.Sub(start).Nanoseconds(), lateNs: sent.Sub(due).Nanoseconds(), status: -1}
		closes := true
		if !failed || open() == nil {
			connection.SetDeadline(sent.Add(o.patience))
			if _, err := connection.Write(o.request(number)); err == nil {
				one.status, one.where, closes, err = o.read(reader)
				if err != nil {
					one.status = -1
				}
			}
		}
		failed = closes
		one.tookNs = time.Since(due).Nanoseconds()
		all = append(all, one)
	}
	if connection != nil {
		connection.Close()
	}
	return all
}

func (o *options) run() ([]ended, time.Time, time.Duration) {
	var next atomic.Int64
	var ready, done sync.WaitGroup
	gate := make(chan struct{})
	var start time.Time
	begun := func() time.Time {
		<-gate
		return start
	}
	parts := make([][]ended, o.connections)
	ready.Add(o.connections)
	for index := range parts {
		done.Go(func() { parts[index] = o.work(&next, begun, &ready) })
	}
	ready.Wait()
	start = time.Now()
	close(gate)
	done.Wait()
	return slices.Concat(parts...), start, time.Since(start)
}

func summary(all []ended, wall time.Duration) result {
	times, lates := make([]int64, len(all)), make([]int64, len(all))
	told := result{Requests: len(all), WallMs: wall.Seconds() * 1e3, ByStatus: map[string]int{}, ByMark: map[string]int{}}
	for index, one := range all {
		times[index], lates[index] = one.tookNs, one.lateNs
		told.ByStatus[strconv.Itoa(int(one.status))]++
		// Ids are another in each answer: what counts is then how many had one.
		if _, isKnown := told.ByMark[one.where]; !isKnown && len(told.ByMark) >= marksMax {
			one.where = "others"
		}
		told.ByMark[one.where]++
		if one.status < 200 || one.status > 299 {
			told.Bad++
		}
	}
	slices.Sort(times)
	slices.Sort(lates)
	at := func(values []int64, share float64) float64 {
		if len(values) == 0 {
			return 0
		}
		return float64(values[min(len(values)-1, int(float64(len(values))*share))]) / 1e6
	}
	told.PerS = float64(len(all)) / wall.Seconds()
	told.P50Ms, told.P99Ms, told.P999Ms, told.MaxMs = at(times, 0.5), at(times, 0.99), at(times, 0.999), at(times, 1)
	told.LateMs = at(lates, 0.99)
	var used syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &used) == nil {
		told.CPUMs = float64(used.Utime.Nano()+used.Stime.Nano()) / 1e6
	}
	return told
}

// One line for each request, by the time at which it was due: `due_us took_us status where`.
func writeTrace(path string, all []ended) error {
	slices.SortFunc(all, func(a, b ended) int { return int(a.dueNs - b.dueNs) })
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	writer := bufio.NewWriter(file)
	for _, one := range all {
		fmt.Fprintf(writer, "%d %d %d %s\n", one.dueNs/1e3, one.tookNs/1e3, one.status, one.where)
	}
	if err := writer.Flush(); err != nil {
		return err
	}
	return file.Close()
}

func main() {
	o := options{}
	flag.StringVar(&o.address, "address", "", "host:port")
	flag.IntVar(&o.connections, "connections", 1, "connections that are kept")
	flag.IntVar(&o.requests, "requests", 0, "closed loop: requests in all")
	flag.Float64Var(&o.rate, "rate", 0, "open loop: requests a second")
	flag.Float64Var(&o.seconds, "seconds", 0, "open loop: how long; closed loop: the longest")
	flag.StringVar(&o.method, "method", "GET", "")
	flag.StringVar(&o.path, "path", "/v1/chat/completions", "")
	flag.StringVar(&o.body, "body", "", "a body of JSON")
	flag.StringVar(&o.mark, "mark", "x-hubward-decision", "the header of answers whose values are counted")
	flag.BoolVar(&o.byBody, "by-body", false, "short bodies are counted instead of the header")
	flag.StringVar(&o.trace, "trace", "", "a file for one line of each request")
	flag.DurationVar(&o.patience, "patience", 20*time.Second, "how long an answer may take")
	flag.Var(&o.headers, "header", "a header, `name: value`; may be repeated")
	flag.Parse()
	o.mark = strings.ToLower(o.mark)
	if o.rate > 0 && o.seconds <= 0 || o.rate <= 0 && o.requests <= 0 {
		fmt.Fprintln(os.Stderr, "either -rate and -seconds, or -requests")
		os.Exit(2)
	}
	all, start, wall := o.run()
	if o.trace != "" {
		if err := writeTrace(o.trace, all); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	told := summary(all, wall)
	told.StartMs = float64(start.UnixMicro()) / 1e3
	json.NewEncoder(os.Stdout).Encode(told)
}
