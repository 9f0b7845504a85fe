// The smallest useful ext_proc server in Go: it answers each request's headers with the routing header, and nothing
// else. hubward's bench compares itself with it. At the line `report` on its standard input it tells its pauses since the
// line `reset`, as bench/serve.ts does.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
)

type server struct {
	extprocv3.UnimplementedExternalProcessorServer
	cluster []byte
}

func (s *server) Process(stream extprocv3.ExternalProcessor_ProcessServer) error {
	for {
		request, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if request.GetRequestHeaders() == nil {
			continue
		}
		header := func(name string, value []byte) *corev3.HeaderValueOption {
			return &corev3.HeaderValueOption{
				Header:       &corev3.HeaderValue{Key: name, RawValue: value},
				AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
			}
		}
		response := &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_RequestHeaders{
			RequestHeaders: &extprocv3.HeadersResponse{Response: &extprocv3.CommonResponse{
				ClearRouteCache: true,
				HeaderMutation: &extprocv3.HeaderMutation{SetHeaders: []*corev3.HeaderValueOption{
					header("x-hubward-cluster", s.cluster),
					header("x-hubward-reason", []byte("first-choice")),
				}},
			}},
		}}
		if err := stream.Send(response); err != nil {
			return err
		}
	}
}

type pauses struct {
	Count     int64   `json:"count"`
	TotalMs   float64 `json:"totalMs"`
	LongestMs float64 `json:"longestMs"`
}

// Answers what stands on the standard input, line by line.
func report() {
	ms := func(took time.Duration) float64 { return float64(took.Nanoseconds()) / 1e6 }
	from := debug.GCStats{}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		now := debug.GCStats{}
		debug.ReadGCStats(&now)
		if lines.Text() == "reset" {
			from = now
			continue
		}
		all := pauses{Count: now.NumGC - from.NumGC, TotalMs: ms(now.PauseTotal - from.PauseTotal)}
		for index := int64(0); index < all.Count && index < int64(len(now.Pause)); index++ {
			all.LongestMs = max(all.LongestMs, ms(now.Pause[index]))
		}
		memory := runtime.MemStats{}
		runtime.ReadMemStats(&memory)
		json.NewEncoder(os.Stdout).Encode(map[string]any{
			"gc":         map[string]pauses{"stop-the-world": all},
			"heapUsedMb": float64(memory.HeapAlloc) / (1 << 20),
		})
	}
}

func main() {
	path := flag.String("socket", "", "the unix socket to listen on")
	cluster := flag.String("cluster", "a", "what to write into the routing header")
	flag.Parse()
	listener, err := net.Listen("unix", *path)
	if err != nil {
		log.Fatal(err)
	}
	grpcServer := grpc.NewServer()
	extprocv3.RegisterExternalProcessorServer(grpcServer, &server{cluster: []byte(*cluster)})
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-ended
		grpcServer.Stop()
	}()
	go report()
	fmt.Println("up")
	if err := grpcServer.Serve(listener); err != nil {
		log.Fatal(err)
	}
}
