package server_test

import (
	"io"
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"usermanager/db/dbtest"
)

// contractProxy stands between a pool and PostgreSQL, so that a test can cut the wire.
type contractProxy struct {
	t        testing.TB
	address  string // where the pool connects to
	upstream string
	mu       sync.Mutex
	listener net.Listener
	open     []net.Conn
}

// newContractProxy is a proxy and a pool that reaches a fresh database through it.
func newContractProxy(t testing.TB) (*contractProxy, *pgxpool.Pool) {
	t.Helper()
	config, err := pgxpool.ParseConfig(dbtest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	to := config.ConnConfig
	p := &contractProxy{t: t, address: "127.0.0.1:0", upstream: net.JoinHostPort(to.Host, strconv.Itoa(int(to.Port)))}
	p.restore()
	t.Cleanup(p.cut)
	port := p.listener.Addr().(*net.TCPAddr).Port
	to.Host, to.Port, to.Fallbacks = "127.0.0.1", uint16(port), nil
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return p, pool
}

// restore listens, at first and again after a cut.
func (p *contractProxy) restore() {
	p.t.Helper()
	listener, err := net.Listen("tcp", p.address)
	if err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	p.listener, p.address = listener, listener.Addr().String()
	p.mu.Unlock()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // cut
			}
			p.forward(conn)
		}
	}()
}

func (p *contractProxy) forward(client net.Conn) {
	server, err := net.Dial("tcp", p.upstream)
	if err != nil {
		_ = client.Close()
		return
	}
	p.mu.Lock()
	p.open = append(p.open, client, server)
	p.mu.Unlock()
	for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
		go func() {
			_, _ = io.Copy(way[0], way[1])
			_, _ = way[0].Close(), way[1].Close()
		}()
	}
}

// cut drops every connection and takes no more, until restore.
func (p *contractProxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.listener.Close()
	for _, conn := range p.open {
		_ = conn.Close()
	}
	p.open = nil
}
