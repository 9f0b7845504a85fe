// A client on grpc-go for the tests of the transport: it asks in every way that gRPC has, and prints what it got as one
// line of JSON. Messages are bytes, so that it needs no protos.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

type raw struct{}

func (raw) Name() string { return "raw" }
func (raw) Marshal(message any) ([]byte, error) {
	return *message.(*[]byte), nil
}
func (raw) Unmarshal(data []byte, message any) error {
	*message.(*[]byte) = append([]byte{}, data...)
	return nil
}

const (
	process = "/envoy.service.ext_proc.v3.ExternalProcessor/Process"
	check   = "/envoy.service.auth.v3.Authorization/Check"
	health  = "/grpc.health.v1.Health/Check"
	watch   = "/grpc.health.v1.Health/Watch"
)

var both = &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}

// exchange sends each message and takes its answer, then half-closes; it gives the code that the call ended with.
func exchange(ctx context.Context, conn *grpc.ClientConn, messages [][]byte) string {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := conn.NewStream(ctx, both, process)
	if err != nil {
		return status.Code(err).String()
	}
	for _, message := range messages {
		if err := stream.SendMsg(&message); err != nil && err != io.EOF {
			return status.Code(err).String()
		}
		var answer []byte
		if err := stream.RecvMsg(&answer); err != nil {
			return status.Code(err).String()
		}
		if !bytes.Equal(answer, message) {
			return "other bytes"
		}
	}
	if err := stream.CloseSend(); err != nil {
		return status.Code(err).String()
	}
	var rest []byte
	if err := stream.RecvMsg(&rest); err != io.EOF {
		return status.Code(err).String()
	}
	return "OK"
}

func unary(ctx context.Context, conn *grpc.ClientConn, path string, message []byte) string {
	var answer []byte
	return status.Code(conn.Invoke(ctx, path, &message, &answer)).String()
}

func main() {
	address := flag.String("address", "", "what to ask")
	count := flag.Int("count", 1000, "calls of the crowd")
	flag.Parse()
	conn, err := grpc.NewClient(*address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{}), grpc.MaxCallRecvMsgSize(32<<20)))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	got := map[string]any{}
	got["stream"] = exchange(ctx, conn, [][]byte{[]byte("a"), {}, []byte("c")})
	got["large"] = exchange(ctx, conn, [][]byte{bytes.Repeat([]byte("l"), 3<<20), bytes.Repeat([]byte("m"), 100_000)})
	got["too large"] = exchange(ctx, conn, [][]byte{bytes.Repeat([]byte("l"), 17<<20)})
	got["exception"] = exchange(ctx, conn, [][]byte{{0xe0}})
	got["unary"] = unary(ctx, conn, check, []byte("u"))
	got["unary exception"] = unary(ctx, conn, check, []byte{0xe0})
	got["unknown"] = unary(ctx, conn, "/no.Such/Method", nil)
	got["health"] = unary(ctx, conn, health, nil)
	short, stop := context.WithTimeout(ctx, 50*time.Millisecond)
	silent, err := conn.NewStream(short, both, process)
	if err != nil {
		log.Fatal(err)
	}
	var none []byte
	got["deadline"] = status.Code(silent.RecvMsg(&none)).String()
	stop()
	many := metadata.AppendToOutgoingContext(ctx, "x-padding", string(bytes.Repeat([]byte("h"), 20_000)))
	got["many headers"] = exchange(many, conn, [][]byte{[]byte("h")})

	watching, leave := context.WithCancel(ctx)
	watcher, err := conn.NewStream(watching, &grpc.StreamDesc{ServerStreams: true}, watch)
	if err != nil {
		log.Fatal(err)
	}
	if err := watcher.SendMsg(&[]byte{}); err != nil {
		log.Fatal(err)
	}
	if err := watcher.CloseSend(); err != nil {
		log.Fatal(err)
	}
	var word []byte
	if err := watcher.RecvMsg(&word); err != nil {
		log.Fatal(err)
	}
	got["watch"] = fmt.Sprint(word)
	leave()

	var lock sync.Mutex
	var wait sync.WaitGroup
	codes := map[string]int{}
	next := make(chan int)
	for worker := 0; worker < 32; worker++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for index := range next {
				var code string
				if index%2 == 0 {
					code = exchange(ctx, conn, [][]byte{[]byte("x"), bytes.Repeat([]byte("y"), index%5000)})
				} else {
					code = unary(ctx, conn, check, []byte("z"))
				}
				lock.Lock()
				codes[code]++
				lock.Unlock()
			}
		}()
	}
	for index := 0; index < *count; index++ {
		next <- index
	}
	close(next)
	wait.Wait()
	got["crowd"] = codes
	if err := json.NewEncoder(os.Stdout).Encode(got); err != nil {
		log.Fatal(err)
	}
}
