// Two associations over UDP on the loopback; the server's host falls silent, and the client has something to say.
package main

import (
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/pion/logging"
	"github.com/pion/sctp"
)

// conn carries SCTP packets in datagrams, counts packets that are sent, and loses all when it is silent.
type conn struct {
	*net.UDPConn
	peer   *net.UDPAddr
	silent atomic.Bool
	sent   atomic.Int64
}

func (c *conn) Write(packet []byte) (int, error) {
	c.sent.Add(1)
	if c.silent.Load() {
		return len(packet), nil
	}
	return c.WriteToUDP(packet, c.peer)
}

func (c *conn) Read(packet []byte) (int, error) {
	for {
		count, _, err := c.ReadFromUDP(packet)
		if err != nil || !c.silent.Load() {
			return count, err
		}
	}
}

func check(err error) {
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

func listen() *conn {
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	check(err)
	return &conn{UDPConn: socket}
}

func config(over *conn) sctp.Config {
	return sctp.Config{NetConn: over, LoggerFactory: logging.NewDefaultLoggerFactory(), RTOMax: 200}
}

func main() {
	near, far := listen(), listen()
	near.peer, far.peer = far.LocalAddr().(*net.UDPAddr), near.LocalAddr().(*net.UDPAddr)
	go func() {
		server, err := sctp.Server(config(far))
		check(err)
		stream, err := server.AcceptStream()
		check(err)
		buffer := make([]byte, 100)
		_, err = stream.Read(buffer)
		check(err)
		_, err = stream.Write([]byte("heard"))
		check(err)
	}()
	client, err := sctp.Client(config(near))
	check(err)
	stream, err := client.OpenStream(1, 53)
	check(err)
	_, err = stream.Write([]byte("hello"))
	check(err)
	buffer := make([]byte, 100)
	_, err = stream.Read(buffer)
	check(err)
	fmt.Println("the association is up and carries messages both ways")
	near.silent.Store(true)
	far.silent.Store(true)
	near.sent.Store(0)
	_, err = stream.Write([]byte("to nobody"))
	check(err)
	ended := make(chan error)
	go func() { _, err := stream.Read(buffer); ended <- err }()
	go func() { _, err := client.AcceptStream(); ended <- err }()
	select {
	case err := <-ended:
		fmt.Println("gave up:", err, "after", near.sent.Load(), "packets")
	case <-time.After(30 * time.Second):
		_, err := stream.Write([]byte("more"))
		fmt.Println("packets sent to nobody:", near.sent.Load())
		fmt.Println("still up; a further write returns", err)
	}
}
