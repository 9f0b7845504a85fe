// The smallest useful ext_proc server in Go: it answers each request's headers with the routing header, and nothing
// else. hubward's bench compares itself with it.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"

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
	fmt.Println("up")
	if err := grpcServer.Serve(listener); err != nil {
		log.Fatal(err)
	}
}
