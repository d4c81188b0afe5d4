package main

import (
	"strings"
	"testing"
	"time"

	"usermanager/db/dbtest"
)

func TestConnectionsHaveLimits(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	separator := "?"
	if strings.Contains(url, "?") {
		separator = "&"
	}
	for name, test := range map[string]struct {
		url  string
		want map[string]string
	}{
		"ours": {url, map[string]string{ // F-13
			"timezone": "UTC", "application_name": "usermanager", "statement_timeout": "5s", "lock_timeout": "3s",
			"idle_in_transaction_session_timeout": "10s",
		}},
		"those of the URL win": {url + separator + "statement_timeout=7s&application_name=node-1", map[string]string{
			"statement_timeout": "7s", "application_name": "node-1", "lock_timeout": "3s",
		}},
	} {
		pool, err := openPool(t.Context(), test.url, 3)
		if err != nil {
			t.Fatal(err)
		}
		for setting, want := range test.want {
			var got string
			err := pool.QueryRow(t.Context(), `SELECT current_setting($1)`, setting).Scan(&got)
			if err != nil || got != want {
				t.Errorf("%s: %s is %q, want %q (error %v)", name, setting, got, want, err)
			}
		}
		if config := pool.Config(); config.MaxConns != 3 || config.ConnConfig.ConnectTimeout != connectTimeout ||
			config.MaxConnLifetime != connLifetime {
			t.Errorf("%s: %d connections, connect within %s, for %s", name, config.MaxConns,
				config.ConnConfig.ConnectTimeout, config.MaxConnLifetime)
		}
		pool.Close()
	}
}

func TestAPoolNeverKeepsMoreConnectionsThanItMayOpen(t *testing.T) {
	t.Parallel()
	pool, err := openPool(t.Context(), "postgres://u:p@127.0.0.1:1/d?pool_min_conns=9&pool_min_idle_conns=8&connect_timeout=2", 4)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	config := pool.Config()
	if config.MaxConns != 4 || config.MinConns != 4 || config.MinIdleConns != 4 || config.ConnConfig.ConnectTimeout != 2*time.Second {
		t.Errorf("got at most %d, at least %d and %d, connect within %s", config.MaxConns, config.MinConns, config.MinIdleConns,
			config.ConnConfig.ConnectTimeout)
	}
}

func TestAPoolOfABadURLDoesNotRepeatIt(t *testing.T) {
	t.Parallel()
	_, err := openPool(t.Context(), "postgres://u:"+canary+"%zz@h/d", 4)
	if err == nil || strings.Contains(err.Error(), canary) { // H-09
		t.Errorf("got %v", err)
	}
}
